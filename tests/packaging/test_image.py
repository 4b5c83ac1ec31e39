"""The images, run by a real container engine as infra/compose.yaml says, on the real PostgreSQL, RabbitMQ, Redis and S3."""

import os
import time
from contextlib import ExitStack
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from nightlight.catalogue import sql_roles
from nightlight.cli import compose_secrets, key_commands
from nightlight.cli.embedded import free_port
from tests.support import pictures
from tests.support.buckets import bucket_pair
from tests.support.containers import Container, podman
from tests.support.databases import postgres_database
from tests.support.services import BROKER, REDIS, S3_KEEPER, S3_SERVICE, S3_WORKER, identity, needed, token
from tests.support.stacks import client_of
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not os.environ.get("NIGHTLIGHT_TEST_IMAGE"), reason="builds and runs the images: `make test-image` runs it"
    ),
]
S3_OF = {"service": S3_SERVICE, "worker": S3_WORKER, "schedule": S3_WORKER, "keeper": S3_KEEPER}
# du counts 1024 * 1024 bytes as one; what each environment may have on disk.
MOST_MB = {"service": 250, "worker": 400}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Service, worker and schedule, each a container, with secrets as the script writes them; `migrate` has run."""
    folder = tmp_path_factory.mktemp("compose")
    folder.chmod(0o755)
    key_commands.init(folder / "keys-of")
    mark = token()
    with ExitStack() as stack:
        owner = make_url(stack.enter_context(postgres_database()))
        buckets = stack.enter_context(bucket_pair())
        broker = urlsplit(needed(BROKER))
        port, health, schedule_health = free_port(), free_port(), free_port()
        plain = {
            "NIGHTLIGHT_STORE_ENDPOINT_URL": buckets.endpoint,
            "NIGHTLIGHT_STORE_ORIGINALS_BUCKET": buckets.originals,
            "NIGHTLIGHT_STORE_RENDITIONS_BUCKET": buckets.renditions,
            "NIGHTLIGHT_STORE_VAULT_BUCKET": buckets.vault,
            "NIGHTLIGHT_QUOTAS_REDIS_URL": needed(REDIS),
            "NIGHTLIGHT_QUOTAS_NAMESPACE": f"test-{mark}",
            "NIGHTLIGHT_QUEUE_NAME": f"test-{mark}",
            "NIGHTLIGHT_SERVICE_HOST": "127.0.0.1",
            "NIGHTLIGHT_SERVICE_PORT": str(port),
            "NIGHTLIGHT_WORKER_HEALTH_PORT": str(health),
            "NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT": str(schedule_health),
            "NIGHTLIGHT_DELIVERY_BASE_URL": f"http://127.0.0.1:{port}",
            "NIGHTLIGHT_CATALOGUE_TIMEOUT_S": "60",
            "NIGHTLIGHT_STORE_READ_TIMEOUT_S": "60",
        }
        prefix, password = f"nightlight_test_{mark}", token()

        def secrets(process):
            passwords = dict.fromkeys(compose_secrets.PASSWORDS, password)
            given = compose_secrets.settings_of(process, folder / "keys-of", passwords)
            user = owner.username if process == "migrate" else f"{prefix}_{process}"
            url = owner if process == "migrate" else owner.set(username=user, password=password)
            given["NIGHTLIGHT_CATALOGUE_URL"] = url.render_as_string(hide_password=False)
            if process in S3_OF:
                plain_key, secret = identity(S3_OF[process])
                given["NIGHTLIGHT_STORE_SECRET_ACCESS_KEY"] = secret
                variables = {**plain, "NIGHTLIGHT_STORE_ACCESS_KEY_ID": plain_key}
            else:
                variables = plain
            if "NIGHTLIGHT_QUEUE_BROKER_URL" in given:
                given["NIGHTLIGHT_QUEUE_BROKER_URL"] = broker.geturl()
            compose_secrets.write_folder(folder / process, given)
            return folder / process, variables

        def container(name, **more):
            return Container(name, mark, *secrets(name), **more)

        migrate = container("migrate")
        (*shell, words) = migrate.compose["command"]
        status, output = container("migrate", command=[*shell, f"{words} --prefix {prefix}"]).run()
        assert status == 0, output
        engine = create_engine(owner)
        with engine.begin() as connection:
            for role in sql_roles.SqlRole:
                connection.execute(text(f"ALTER ROLE {prefix}_{role.value} LOGIN PASSWORD '{password}'"))
        stack.callback(drop_roles, engine, prefix)
        running = {name: stack.enter_context(container(name)) for name in ("service", "worker", "schedule")}
        ports = {"service": ("_8080", port), "worker": ("_8081", health), "schedule": ("_8082", schedule_health)}

        def healthy(name):
            old, new = ports[name]
            return running[name].healthy(**{old: new})

        for name in running:
            eventually(lambda name=name: healthy(name))
        yield SimpleNamespace(
            folder=folder / "keys-of", url=f"http://127.0.0.1:{port}", container=container, running=running
        )


def drop_roles(engine, prefix):
    with engine.begin() as connection:
        for role in sql_roles.SqlRole:
            connection.execute(text(f"DROP OWNED BY {prefix}_{role.value}"))
            connection.execute(text(f"DROP ROLE {prefix}_{role.value}"))
    engine.dispose()


def test_a_picture_is_rendered_and_served_by_confined_containers(stack):
    with client_of(stack, ()) as client:
        client.declare("container", band="age_13_15", assurance="verified", region="eu")
        image = client.upload("container", pictures.jpeg(seed=71))
        assert client.wait(image.image_id).state == "ready", stack.running["worker"].logs()
        (decision,) = client.decide("peer", "profile", [("container", "stranger")])
        assert pictures.opened(client.fetch(decision.url).content).size


@pytest.mark.parametrize("name", ["service", "worker", "schedule"])
def test_no_container_has_a_capability_or_may_write_to_its_root(stack, name):
    running = stack.running[name]
    status = dict(line.split(":\t", 1) for line in running.exec("cat", "/proc/self/status").stdout.splitlines())
    assert {status[f"Cap{which}"] for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
    assert (status["Uid"].split()[0], status["NoNewPrivs"], status["Seccomp"]) == ("10001", "1", "2")
    for path in ("/x", "/opt/nightlight/x", "/etc/nightlight/policies/x", "/run/nightlight/x"):
        assert running.exec("touch", path).returncode != 0, path
    assert running.exec("touch", "/tmp/x").returncode == 0


def test_no_log_has_a_traceback_and_every_line_of_the_containers_is_json(stack):
    for container in stack.running.values():
        logs = container.logs()
        assert "Traceback" not in logs
        assert all(line.startswith("{") for line in logs.splitlines()), logs


def test_the_keeper_ends_holds_and_stops(stack):
    status, output = stack.container("keeper").run()
    assert status == 0, output


@pytest.mark.parametrize("name", list(MOST_MB))
def test_an_image_has_no_more_than_its_processes_use(stack, name):
    size = stack.running[name].exec("du", "-sm", "/opt/nightlight").stdout.split()[0]
    print(f"{name}: {size} MB")  # noqa: T201 - a figure
    assert int(size) <= MOST_MB[name]
    for tool in ("pip", "gcc", "curl"):
        assert stack.running[name].exec("which", tool).returncode != 0


def test_the_service_has_no_decoder(stack):
    for module in ("cv2", "pillow_heif", "c2pa", "celery"):
        done = stack.running["service"].exec("python", "-c", f"import {module}")
        assert "ModuleNotFoundError" in done.stderr, module


def test_containers_stop_by_themselves_within_what_compose_gives_them(stack):
    for name, container in stack.running.items():
        began = time.monotonic()
        status = container.stop()
        assert status in {0, 143}, (name, status, container.logs()[-2000:])
        print(f"{name} stopped with {status} after {time.monotonic() - began:.1f} s")  # noqa: T201 - a figure
    assert podman("ps", "--quiet", "--filter", "name=nightlight-test").stdout == ""
