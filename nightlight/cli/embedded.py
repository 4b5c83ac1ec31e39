"""The embedded deployment: service, worker and schedule as children of one command."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, Self

import httpx

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.cli import key_commands
from nightlight.wiring.components import embedded_catalogue_url
from nightlight_core.errors import SettingsRefused, Unavailable
from nightlight_core.files import private_file, private_folder

START_S = 60.0
STOP_S = 20.0
_PR_SET_PDEATHSIG = 1


class EmbeddedStack:
    """Everything on this machine. Use as a context manager: what it started, it stops."""

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        workers: int = 2,
        extra: dict[str, str] | None = None,
        quiet: bool = False,
    ) -> None:
        """Keep files in ``data_dir``, listen on ``host``; ``extra`` overrides settings.

        ``quiet`` sends logs to ``data_dir/logs``.
        Viewers are sent to NIGHTLIGHT_DELIVERY_BASE_URL, and where it is unset to the address that is listened on.
        """
        self._data_dir = data_dir
        self._quiet = quiet
        self._children: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._logs: list[IO[bytes]] = []
        self._address = host, port or free_port()
        self.url = _url(*self._address)
        self.environment = {
            "NIGHTLIGHT_DEPLOYMENT": "embedded",
            "NIGHTLIGHT_DATA_DIR": str(data_dir.resolve()),
            "NIGHTLIGHT_SERVICE_HOST": host,
            "NIGHTLIGHT_SERVICE_PORT": str(self._address[1]),
            "NIGHTLIGHT_DELIVERY_BASE_URL": os.environ.get("NIGHTLIGHT_DELIVERY_BASE_URL") or self.url,
            "NIGHTLIGHT_WORKER_CONCURRENCY": str(workers),
            "NIGHTLIGHT_WORKER_HEALTH_PORT": str(free_port()),
            "NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT": str(free_port()),
            "NIGHTLIGHT_LOG_LEVEL": os.environ.get("NIGHTLIGHT_LOG_LEVEL", "warning"),
            **(extra or {}),
        }

    def __enter__(self) -> Self:
        """Start everything and wait until it is ready."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything."""
        self.stop()

    def wait(self) -> None:
        """Return when told to stop, or when a child has ended by itself."""
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        while not stop.wait(0.5):
            for name, child in self._children:
                if child.poll() is not None:
                    raise Unavailable(f"{name} ended by itself with {child.returncode}")

    def stop(self) -> None:
        """Stop the children, the last started first; kill what does not stop in time."""
        for _, child in reversed(self._children):
            child.terminate()
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._children.clear()
        for log in self._logs:
            log.close()
        self._logs.clear()

    def _start(self) -> None:
        _refuse_taken(*self._address)
        key_commands.init(self._data_dir)
        self.environment.update(key_commands.live_environment(self._data_dir))
        catalogue = Catalogue(embedded_catalogue_url(self._data_dir))
        migrate.upgrade(catalogue.engine)
        catalogue.close()
        self._spawn("service", [sys.executable, "-m", "service"])
        self._spawn("worker", [sys.executable, "-m", "workers", "work"])
        self._spawn("schedule", [sys.executable, "-m", "workers", "schedule"])
        self._wait_for("service", lambda: _ready(self.url))
        for name in ("NIGHTLIGHT_WORKER_HEALTH_PORT", "NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT"):
            self._wait_for("worker", lambda name=name: _ready(f"http://127.0.0.1:{self.environment[name]}"))

    def _spawn(self, name: str, command: list[str]) -> None:
        output: Any = None
        if self._quiet:
            folder = self._data_dir / "logs"
            private_folder(folder)
            output = private_file(folder / f"{name}.log").open("ab")
            self._logs.append(output)
        child = subprocess.Popen(  # noqa: S603 - our own programs
            command,
            env={**self._sealing(name), **_without_rings(), **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            umask=0o077,  # whatever a child writes is for its owner alone
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop them in order
            preexec_fn=_die_with_the_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one thread here
        )
        self._children.append((name, child))

    def _sealing(self, name: str) -> dict[str, str]:
        """Return the development keys by which originals on an S3 server are sealed; a folder has one identity."""
        if os.environ.get("NIGHTLIGHT_STORE_KIND") != "s3":
            return {}
        return key_commands.seal_environment(self._data_dir, "service" if name == "service" else "worker")

    def _wait_for(self, name: str, ready: Any) -> None:
        end = time.monotonic() + START_S
        while not ready():
            for other, child in self._children:
                if child.poll() is not None:
                    raise Unavailable(f"{other} did not start (exit {child.returncode}); its log says why")
            if time.monotonic() > end:
                raise Unavailable(f"{name} was not ready within {START_S:.0f} s")
            time.sleep(0.05)


def _without_rings() -> dict[str, str]:
    """Return this process's environment without the rings, which are this deployment's own, in files."""
    return {name: value for name, value in os.environ.items() if name.lower() not in key_commands.RINGS}


def _url(host: str, port: int) -> str:
    """Return where this machine reaches what listens on ``host``: for every address of it, the loopback one."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _refuse_taken(host: str, port: int) -> None:
    """Raise SettingsRefused where the service could not listen, and say why: its own log would say so later."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as asyncio does
            probe.bind(address)
    except OSError as error:
        raise SettingsRefused(
            f"{host}:{port}: {error.strerror or error}; name another --host or --port "
            "(NIGHTLIGHT_SERVICE_PORT in a project's .env); --port 0 picks a free one"
        ) from error


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).status_code == 200  # noqa: PLR2004 - OK
    except httpx.HTTPError:
        return False


def _die_with_the_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
