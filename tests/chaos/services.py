"""The real services under a run: started by infra/dev/services.sh, killed, stopped for a while, filled."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from tests.support.paused import living
from tests.support.stacks import ROOT

SCRIPT = ROOT / "infra/dev/services.sh"
NAMES = ("postgres", "rabbitmq", "redis", "s3")
PID_FILES = {
    "postgres": "postgres/data/postmaster.pid",
    "rabbitmq": "rabbitmq/pid",
    "redis": "redis.pid",
    "s3": "s3-rgw.pid",
    "s3-disk": "s3-osd.pid",
}
PORTS = {
    "NIGHTLIGHT_PG_PORT": "56329",
    "NIGHTLIGHT_RMQ_PORT": "58729",
    "NIGHTLIGHT_REDIS_PORT": "65199",
    "NIGHTLIGHT_S3_PORT": "19480",
}


class Services:
    """A set of services of this run's own: other runs on this machine do not notice what happens to it."""

    def __init__(self, folder="/var/tmp/nightlight-chaos"):
        # Whoever names another folder names its ports as well.
        self.folder = Path(os.environ.get("NIGHTLIGHT_SERVICES_DIR", folder))
        self._variables = {**PORTS, **os.environ, "NIGHTLIGHT_SERVICES_DIR": str(self.folder)}
        self._started = []

    def __enter__(self):
        self._started = self._run("start").split()
        for line in self._run("env").splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            os.environ[name] = value
        return self

    def __exit__(self, *_):
        for name in PID_FILES:
            self.signal(name, signal.SIGCONT)
        if self._started:
            self._run("stop", *self._started)

    def _run(self, *arguments):
        done = subprocess.run(
            [str(SCRIPT), *arguments], env=self._variables, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"services.sh {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def pids(self, name):
        """A service's processes, the first of them before those that it started."""
        try:
            first = int((self.folder / PID_FILES[name]).read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return []
        return [first, *descendants(first)]

    def signal(self, name, number):
        send(self.pids(name), number)

    def kill(self, name):
        """Kill a service with all its processes, and return once they are gone."""
        pids = self.pids(name)
        send(pids, signal.SIGKILL)
        while pids and any(pid in living() for pid in pids):
            time.sleep(0.05)

    def start(self, name):
        """Start what was killed. The S3 server's disk is in memory and lives on: its gateway alone is started again."""
        if name != "s3":
            self._run("start", name)
            return
        configuration = self.folder / "s3/ceph.conf"
        with (self.folder / "log/s3-rgw.log").open("ab") as log:
            gateway = subprocess.Popen(
                ["radosgw", "-f", "-n", "client.rgw"],
                env={**os.environ, "CEPH_CONF": str(configuration), "CEPH_ARGS": f"--conf {configuration}"},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        (self.folder / PID_FILES["s3"]).write_text(f"{gateway.pid}\n")

    def rabbitmqctl(self, *arguments):
        """Run a command of the broker's own."""
        home, port = self.folder / "rabbitmq", int(self._variables["NIGHTLIGHT_RMQ_PORT"])
        variables = {
            **os.environ,
            "HOME": str(home),
            "RABBITMQ_NODENAME": "nightlight@localhost",
            "RABBITMQ_DIST_PORT": str(port + 1),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(port + 2),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        }
        command = ["/usr/lib/rabbitmq/bin/rabbitmqctl", "--quiet", *arguments]
        subprocess.run(command, env=variables, check=True, capture_output=True, timeout=120)


def descendants(pid):
    """The processes that a process started, and those that they did."""
    parents = living()
    pids, rest = [], [pid]
    while rest:
        parent = rest.pop()
        children = [child for child, its in parents.items() if its == parent]
        pids += children
        rest += children
    return pids


def send(pids, number):
    """Signal processes that may be gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
