"""The scale deployment under a run: two services, two workers' kinds, each process on links and a clock of its own."""

import contextlib
import os
import signal
import struct
import subprocess
import threading
import time
from urllib.parse import urlsplit, urlunsplit

import httpx

from nightlight.cli import key_commands
from nightlight.cli.embedded import free_port
from nightlight_client import NightlightClient
from tests.chaos.link import Link
from tests.support.services import BROKER, DATABASE, REDIS, S3, S3_SERVICE, S3_WORKER, needed
from tests.support.stacks import Scale

# The product's own timeouts, shorter where a run would wait for minutes.
SETTINGS = {
    "NIGHTLIGHT_WORKER_TIME_LIMIT_S": "60",
    "NIGHTLIGHT_WORKER_LEASE_S": "70",
    "NIGHTLIGHT_WORKER_DECODE_S": "15",
    "NIGHTLIGHT_WORKER_SHUTDOWN_S": "5",
    "NIGHTLIGHT_WORKER_RECONCILE_INTERVAL_S": "1",
    "NIGHTLIGHT_CATALOGUE_TIMEOUT_S": "5",
    "NIGHTLIGHT_STORE_READ_TIMEOUT_S": "5",
    "NIGHTLIGHT_STORE_CONNECT_TIMEOUT_S": "2",
    "NIGHTLIGHT_QUOTAS_TIMEOUT_S": "0.25",
    "NIGHTLIGHT_SERVICE_CLIENT_S": "20",
    "NIGHTLIGHT_WORKER_CONCURRENCY": "1",
    "NIGHTLIGHT_WORKER_TRACES": "0",
}
# What each process connects to: the setting, and the variable that says where it really is.
DEPENDENCIES = {
    "database": ("NIGHTLIGHT_CATALOGUE_URL", DATABASE, 5432),
    "broker": ("NIGHTLIGHT_QUEUE_BROKER_URL", BROKER, 5672),
    "s3": ("NIGHTLIGHT_STORE_ENDPOINT_URL", S3, 80),
    "redis": ("NIGHTLIGHT_QUOTAS_REDIS_URL", REDIS, 6379),
}
PROCESSES = {
    "service": (S3_SERVICE, ("service",), "NIGHTLIGHT_SERVICE_PORT"),
    "service-2": (S3_SERVICE, ("service",), "NIGHTLIGHT_SERVICE_PORT"),
    "worker": (S3_WORKER, ("workers", "work"), "NIGHTLIGHT_WORKER_HEALTH_PORT"),
    "schedule": (S3_WORKER, ("workers", "schedule"), "NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT"),
}
# Started for a while beside the first of its kind.
SPARES = {
    "schedule-2": PROCESSES["schedule"],
    "worker-2": PROCESSES["worker"],
}
SERVICES = ("service", "service-2")
# Bytes of each process's own folder for temporary files: room for an upload, and soon full.
_DISK = "160m"
# A process that ends is started again after so long, as a service manager does.
_RESTART_S = 1.0


class Deployment(Scale):
    """Killed processes are started again; ``ended`` has when each one ended, and with what."""

    def __init__(self, folder):
        super().__init__(folder, **SETTINGS)
        self.links, self.ports, self.ended, self.disks = {}, {}, [], set()
        self._watching, self._lock, self._kept = threading.Event(), threading.RLock(), set()

    def _start(self):
        self._exit.callback(self._unmount)
        super()._start()
        with self._lock:
            self._begin("service-2")
        self._kept |= set(PROCESSES)
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        self._exit.callback(thread.join)
        self._exit.callback(self._watching.set)
        self.wait_ready(120)
        return self

    def address(self, name):
        return f"http://127.0.0.1:{self.ports[name]}"

    def client_at(self, name, *, budget_s=4.0):
        """A client of one service."""
        return NightlightClient(
            self.address(name),
            token=lambda: key_commands.token(self.folder, scopes=None, subject="chaos", hours=1),
            relation_keys=key_commands.relation_keys(self.folder),
            budget_s=budget_s,
        )

    def clock_file(self, name):
        return self.folder / f"{name}.clock"

    def disk(self, name):
        return self.folder / f"{name}.tmp"

    def start_spare(self, name):
        with self._lock:
            self._begin(name)

    def stop_spare(self, name):
        with self._lock:
            child = self.children.pop(name)
        child.terminate()
        try:
            child.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def readiness(self, name, timeout=3.0):
        """What a process says of itself: its parts, or the name of what went wrong."""
        try:
            answer = httpx.get(f"{self.address(name)}/readyz", timeout=timeout)
            return answer.status_code == 200, answer.json().get("parts", {})
        except (httpx.HTTPError, ValueError) as error:
            return False, {"process": type(error).__name__}

    def wait_ready(self, seconds, stopping=None):
        """Return the seconds until every process is ready; None if one is not within ``seconds``."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            if all(self.readiness(name)[0] for name in PROCESSES):
                return time.monotonic() - begun
            if stopping is not None and stopping.is_set():
                break
            time.sleep(0.3)
        return None

    def _begin(self, name):
        credentials, module, _ = {**PROCESSES, **SPARES}[name]
        self._spawn(name, credentials, *module)

    def _command(self, name, module):
        return ("tests.chaos.stepped", *(module if module[0] == "workers" else ("service",)))

    def _changed(self, name, environment):
        changed = {}
        for dependency, (setting, variable, port) in DEPENDENCIES.items():
            real = urlsplit(needed(variable))
            if (name, dependency) not in self.links:
                self.links[name, dependency] = link = Link(real.hostname, real.port or port)
                self._exit.callback(link.close)
            changed[setting] = _with_port(environment[setting], self.links[name, dependency].port)
        port_setting = {**PROCESSES, **SPARES}[name][2]
        if name not in self.ports:
            given = environment.get(port_setting)
            self.ports[name] = int(given) if name in {"service", "worker", "schedule"} else free_port()
            self.clock_file(name).write_bytes(struct.pack("d", 0.0))
            self._mount(name)
        changed[port_setting] = str(self.ports[name])
        changed["CHAOS_CLOCK"] = str(self.clock_file(name))
        changed["TMPDIR"] = str(self.disk(name))
        return changed

    def _mount(self, name):
        """Give a process a disk of its own, where this user may."""
        self.disk(name).mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=1777", "none", str(self.disk(name))]
        if subprocess.run(mount, capture_output=True, check=False).returncode == 0:
            self.disks.add(name)

    def _unmount(self):
        for name in self.disks:
            subprocess.run(["umount", "-l", str(self.disk(name))], check=False)

    def _watch(self):
        while not self._watching.wait(0.2):
            for name in self._kept:
                child = self.children[name]
                if child.poll() is not None:
                    self.ended.append((time.monotonic(), name, child.returncode))
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(child.pid, signal.SIGKILL)  # what it left behind
                    if not self._watching.wait(_RESTART_S):
                        with self._lock:
                            self._begin(name)


def _with_port(url, port):
    parts = urlsplit(url)
    host = f"127.0.0.1:{port}"
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}{host}"))
