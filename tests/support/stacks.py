"""Two whole running Nightlights, for tests that speak HTTP only: embedded, and on the real services."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from kombu import Connection

from nightlight.catalogue.engine import Catalogue
from nightlight.cli import embedded, key_commands
from nightlight.cli.embedded import EmbeddedStack, free_port
from nightlight.jobs.lanes import LANES
from nightlight.wiring.components import embedded_catalogue_url
from nightlight_client import NightlightClient
from tests.support.buckets import bucket_pair
from tests.support.databases import catalogue_at, postgres_database, roles_of
from tests.support.proxy import Proxy
from tests.support.services import BROKER, REDIS, S3_SERVICE, S3_WORKER, identity, needed, token
from tests.support.waiting import HANG_S, eventually

ROOT = Path(__file__).parents[2]
# A machine that is slow, or stands still for a while, is no outage: the product's own patience decides no test. What
# is away refuses connections, and is seen to be away at once.
LONG_TIMEOUTS = {
    "NIGHTLIGHT_WORKER_TIME_LIMIT_S": "599",
    "NIGHTLIGHT_WORKER_LEASE_S": "600",
    "NIGHTLIGHT_WORKER_DECODE_S": "300",
    "NIGHTLIGHT_CATALOGUE_TIMEOUT_S": "60",
    "NIGHTLIGHT_STORE_READ_TIMEOUT_S": "60",
    "NIGHTLIGHT_STORE_CONNECT_TIMEOUT_S": "30",
    "NIGHTLIGHT_QUOTAS_TIMEOUT_S": "10",
    "NIGHTLIGHT_DELIVERY_HOOK_TIMEOUT_S": "60",
    "NIGHTLIGHT_SERVICE_CLIENT_S": "600",
}
QUICK = {
    "NIGHTLIGHT_POLICY_DIR": str(ROOT / "policies"),
    **LONG_TIMEOUTS,
    "NIGHTLIGHT_WORKER_BACKOFF_S": "0.3",
    "NIGHTLIGHT_WORKER_RECONCILE_INTERVAL_S": "1",
    "NIGHTLIGHT_WORKER_REQUEUE_AFTER_S": "5",
    "NIGHTLIGHT_WORKER_SHUTDOWN_S": "1",
    "NIGHTLIGHT_SERVICE_DRAIN_S": "0",
    "NIGHTLIGHT_LOG_LEVEL": "info",
    "NIGHTLIGHT_LOG_JSON_LINES": "true",
    # Whoever may approve of a hold's end; the officer places them.
    "NIGHTLIGHT_RETENTION_HOLD_APPROVERS": '["officer", "judge", "counsel"]',
}


# A worker whose renders a test can pause in their middle (tests.support.paused).
PAUSED_WORKER = ("tests.support.paused_worker", "work")


class _PausedStack(EmbeddedStack):
    def _spawn(self, name, command):
        super()._spawn(name, [sys.executable, "-m", *PAUSED_WORKER] if name == "worker" else command)


class Embedded:
    """Everything on this machine, as `nightlight serve` runs it."""

    name = "embedded"

    def __init__(self, folder, *, paused=False, **settings):
        self.folder = folder
        self._stack = (_PausedStack if paused else EmbeddedStack)(folder, extra={**QUICK, **settings}, quiet=True)
        self.url = self._stack.url

    def __enter__(self):
        embedded.START_S = HANG_S
        self._stack.__enter__()
        self.catalogue = Catalogue(embedded_catalogue_url(self.folder))
        return self

    def __exit__(self, *_):
        self.catalogue.close()
        self._stack.stop()

    @property
    def children(self):
        return dict(self._stack._children)

    @property
    def environment(self):
        return {**key_commands.environment(self.folder), **self._stack.environment}

    def as_role(self, _role):
        """Return the variables of a command."""
        return dict(self.environment)

    def change(self, **variables):
        """Set variables of commands, and of processes that start from now on."""
        self._stack.environment.update(variables)

    def start_worker(self, **variables):
        self.change(**variables)
        self._stack._children = [(n, c) for n, c in self._stack._children if n != "worker"]
        self._stack._spawn("worker", [sys.executable, "-m", "workers", "work"])

    def client(self, *scopes):
        return client_of(self, scopes)

    def logs(self, name):
        return (self.folder / "logs" / f"{name}.log").read_text()


class Scale:
    """PostgreSQL, RabbitMQ and S3, with service, worker and schedule in processes of their own."""

    name = "scale"

    def __init__(self, folder, *, paused=False, **settings):
        self.folder = folder
        self._paused = paused
        self._settings = settings
        self._exit = ExitStack()
        self.children = {}

    def __enter__(self):
        try:
            return self._start()
        except BaseException:
            self._exit.close()
            raise

    def __exit__(self, *_):
        self._exit.close()

    def _start(self):
        database = self._exit.enter_context(postgres_database())
        self.catalogue = self._exit.enter_context(catalogue_at(database))
        # Each process runs under a role of its own; `environment` names the one who owns it all.
        self.roles = self._exit.enter_context(roles_of(database))
        self.buckets = self._exit.enter_context(bucket_pair())
        broker = urlsplit(needed(BROKER))
        self.broker = self._proxy(broker.hostname, broker.port or 5672)
        s3 = urlsplit(self.buckets.endpoint)
        self.s3 = self._proxy(s3.hostname, s3.port)
        key_commands.init(self.folder)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        credentials = f"{broker.username}:{broker.password}@" if broker.username else ""
        self.queue = f"test-{token()}"
        self.environment = {
            **QUICK,
            **key_commands.environment(self.folder),
            "NIGHTLIGHT_DATA_DIR": str(self.folder),
            "NIGHTLIGHT_DEPLOYMENT": "scale",
            "NIGHTLIGHT_ENVIRONMENT": "production",
            "NIGHTLIGHT_CATALOGUE_URL": database,
            "NIGHTLIGHT_QUEUE_BROKER_URL": f"amqp://{credentials}127.0.0.1:{self.broker.port}{broker.path or '//'}",
            "NIGHTLIGHT_QUEUE_NAME": self.queue,
            "NIGHTLIGHT_STORE_KIND": "s3",
            "NIGHTLIGHT_STORE_ENDPOINT_URL": f"http://127.0.0.1:{self.s3.port}",
            "NIGHTLIGHT_STORE_ORIGINALS_BUCKET": self.buckets.originals,
            "NIGHTLIGHT_STORE_RENDITIONS_BUCKET": self.buckets.renditions,
            "NIGHTLIGHT_STORE_EXPORTS_BUCKET": self.buckets.exports,
            "NIGHTLIGHT_STORE_VAULT_BUCKET": self.buckets.vault,
            # Tests read what the service gives; by default it could not in production.
            "NIGHTLIGHT_EXPORT_SERVICE_MAY_READ": "true",
            "NIGHTLIGHT_QUOTAS_REDIS_URL": needed(REDIS),
            "NIGHTLIGHT_QUOTAS_NAMESPACE": self.queue,
            "NIGHTLIGHT_SERVICE_PORT": str(port),
            "NIGHTLIGHT_SERVICE_DOCS": "true",  # in production only where it is asked for
            "NIGHTLIGHT_DELIVERY_BASE_URL": self.url,
            "NIGHTLIGHT_WORKER_CONCURRENCY": "2",
            "NIGHTLIGHT_WORKER_HEALTH_PORT": str(free_port()),
            "NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT": str(free_port()),
            # Originals are sealed here, to a key that the service does not have.
            **key_commands.seal_environment(self.folder, "service"),
            **self._settings,
        }
        self._exit.callback(drop_queues, self.queue)
        self._exit.callback(self._stop_children)
        self._spawn("service", S3_SERVICE, "service")
        self.start_worker()
        self._spawn("schedule", S3_WORKER, "workers", "schedule")
        for address in (
            self.url,
            f"http://127.0.0.1:{self.environment['NIGHTLIGHT_WORKER_HEALTH_PORT']}",
            f"http://127.0.0.1:{self.environment['NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT']}",
        ):
            self._wait_ready(address)
        return self

    def as_role(self, role):
        """Return the variables of a command under a database role: ``operator`` or ``keeper``."""
        return {**self.environment, "NIGHTLIGHT_CATALOGUE_URL": self.roles[role]}

    def change(self, **variables):
        """Set variables of commands, and of processes that start from now on."""
        self.environment.update(variables)

    def start_worker(self, **variables):
        self.change(**variables)
        self._spawn("worker", S3_WORKER, "workers", "work")

    def client(self, *scopes):
        return client_of(self, scopes)

    def logs(self, name):
        return (self.folder / f"{name}.log").read_text()

    def _proxy(self, host, port):
        proxy = Proxy(host, port)
        self._exit.callback(proxy.close)
        return proxy

    def _spawn(self, name, credentials, *module):
        key, secret = identity(credentials)
        clean = {name_: value for name_, value in os.environ.items() if not name_.startswith(("NIGHTLIGHT_", "AWS_"))}
        environment = {
            **clean,
            **self.environment,
            "NIGHTLIGHT_CATALOGUE_URL": self.roles[name.partition("-")[0]],  # service-2 is a second service
            "NIGHTLIGHT_STORE_ACCESS_KEY_ID": key,
            "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": secret,
        }
        environment = self.with_keys(name, environment)
        with (self.folder / f"{name}.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                [sys.executable, "-m", *self._command(name, module)],
                env=environment | self._changed(name, environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=ROOT,
            )

    def with_keys(self, name, environment):
        """The variables of a process of a name, with the keys that it has besides those that all have."""
        if name.partition("-")[0] not in {"worker", "schedule"}:
            return environment
        return {**environment, **key_commands.seal_environment(self.folder, "worker")}

    def _command(self, name, module):
        return PAUSED_WORKER if self._paused and name == "worker" else module

    def _changed(self, _name, _environment):
        """The variables of one process that are not those of all."""
        return {}

    def _wait_ready(self, address):
        def ready():
            for name, child in self.children.items():
                if child.poll() is not None:
                    raise RuntimeError(f"{name} ended with {child.returncode}:\n{self.logs(name)[-4000:]}")
            try:
                return httpx.get(f"{address}/readyz").status_code == 200
            except httpx.HTTPError:
                return False

        eventually(ready)

    def _stop_children(self):
        for child in reversed(self.children.values()):
            child.terminate()
        for child in self.children.values():
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def drop_queues(prefix):
    """Delete the queues and exchanges whose names begin so."""
    with Connection(needed(BROKER)) as connection:
        channel = connection.default_channel
        for name in (*(f"{prefix}.{lane}" for lane in LANES), f"{prefix}.dead"):
            channel.queue_delete(name)
        for name in (prefix, f"{prefix}.dead"):
            channel.exchange_delete(name)


STACKS = {"embedded": Embedded, "scale": Scale}


class LongTimeoutClient(NightlightClient):
    """The client, but as long as a test hopes for an answer it waits for it."""

    def wait(self, image_id, *, timeout_s=HANG_S):
        return super().wait(image_id, timeout_s=timeout_s)

    def wait_trace(self, trace_id, *, timeout_s=HANG_S):
        return super().wait_trace(trace_id, timeout_s=timeout_s)


def client_of(stack, scopes):
    """A client whose token never gets old: one is made for every call."""

    def bearer():
        return key_commands.token(stack.folder, scopes=list(scopes) or None, subject="tests", hours=1)

    relation_keys = key_commands.relation_keys(stack.folder)
    return LongTimeoutClient(
        stack.url, token=bearer, relation_keys=relation_keys, viewer_id="somebody", budget_s=HANG_S
    )
