"""A whole Nightlight in this process, whose clock is turned by hand: the service over HTTP, its jobs run when told to.

SQLite and folders, as the embedded deployment has them; the rendering, the policy and the HTTP server are the real ones.
Only the queue is a list: so an outsider can be let look between a change and the work that it asks for.
"""

import os
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from structlog.testing import capture_logs

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.cli import key_commands
from nightlight.cli.embedded import free_port
from nightlight.settings import Settings
from nightlight.wiring.components import embedded_catalogue_url
from nightlight.wiring.service_container import build_service
from nightlight.wiring.worker_container import build_worker
from nightlight_client import NightlightClient
from nightlight_core.clock import system_clock
from tests.support.golden import serving
from tests.support.stacks import ROOT
from workers import tasks

# A day is what any token may last; a whole world takes minutes.
_TOKEN_HOURS = 12
_SETTINGS = {
    "NIGHTLIGHT_DEPLOYMENT": "embedded",
    "NIGHTLIGHT_POLICY_DIR": str(ROOT / "policies"),
    "NIGHTLIGHT_QUOTAS_PROFILES_PER_HOUR": "1000000",  # quotas are another matter: here nobody must run into one
}


class World:
    """Use as a context manager. ``forward`` turns the clock, ``work`` does what jobs are due.

    With ``ticking`` the clock is the one on the wall.
    """

    def __init__(self, *, ticking=False):
        self.now = system_clock().replace(microsecond=0)
        self._clock = system_clock if ticking else lambda: self.now
        self._port = free_port()
        self._exit = ExitStack()
        self._sent = []

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_):
        self._exit.close()

    def _start(self):
        self._exit.enter_context(capture_logs())  # a service and a worker would write a line for everything
        self.folder = Path(self._exit.enter_context(tempfile.TemporaryDirectory()))
        key_commands.init(self.folder)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("NIGHTLIGHT_")}
        environment = {**_SETTINGS, **key_commands.environment(self.folder), "NIGHTLIGHT_DATA_DIR": str(self.folder)}
        self.environment = {**clean, **environment, "NIGHTLIGHT_DELIVERY_BASE_URL": f"http://127.0.0.1:{self._port}"}
        self._exit.enter_context(patch.dict(os.environ, self.environment, clear=True))
        self.catalogue = Catalogue(embedded_catalogue_url(self.folder))
        self._exit.callback(self.catalogue.close)
        migrate.upgrade(self.catalogue.engine)
        settings = Settings()
        self._worker = build_worker(settings, self._clock)
        self._exit.callback(self._worker.close)
        self._exit.enter_context(patch.object(tasks.services, "_container", self._worker))
        self.placeholder = self._worker.names.placeholder()
        self._relay = self._worker.relay(lambda task, job_id, _lane: self._sent.append((task, job_id)))
        self._service = build_service(settings, self._clock)
        self.url = self._exit.enter_context(serving(self._service, self._port))
        self.client = self._exit.enter_context(NightlightClient(self.url, token=self.token()))

    def token(self, *scopes):
        return key_commands.token(self.folder, scopes=list(scopes) or None, subject="parity", hours=_TOKEN_HOURS)

    def forward(self, **by):
        """Turn the clock, and let the schedule look for jobs that are due."""
        self.now += timedelta(**by)
        self._worker.reconciler.run_once()
        self._worker.expiry.run_once()

    def work(self):
        """Do everything that was asked for, as the broker and a worker would, until nothing is left to do."""
        while self._relay.run_once():
            sent, self._sent[:] = list(self._sent), []
            for task, job_id in sent:
                tasks.TASKS[task].apply(kwargs={"job_id": job_id}, throw=True)
        # As it does many times a second; and as it does once a minute, to forget names whose objects are gone.
        self._service.change_feed._all_names_at = float("-inf")
        self._service.change_feed.poll()
