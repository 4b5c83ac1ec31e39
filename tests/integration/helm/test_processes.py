"""What the chart gives each process is enough for it: each is started by its command with its variables and its secrets.

Not in a cluster: on this machine, with the variables of infra/Dockerfile, on the real PostgreSQL, RabbitMQ, Redis and S3.
"""

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from nightlight.catalogue import sql_roles
from nightlight.cli import compose_secrets, key_commands
from nightlight.cli.embedded import free_port
from tests.conftest import ROOT
from tests.support.buckets import bucket_pair
from tests.support.charts import Release, container, environment
from tests.support.databases import postgres_database
from tests.support.services import BROKER, REDIS, S3_KEEPER, S3_SERVICE, S3_WORKER, identity, needed, token
from tests.support.stacks import drop_queues
from tests.support.waiting import HANG_S, eventually

pytestmark = pytest.mark.integration
S3_OF = {"service": S3_SERVICE, "worker": S3_WORKER, "schedule": S3_WORKER, "keeper": S3_KEEPER}
PORTS = {
    "service": "NIGHTLIGHT_SERVICE_PORT",
    "worker": "NIGHTLIGHT_WORKER_HEALTH_PORT",
    "schedule": "NIGHTLIGHT_WORKER_SCHEDULE_HEALTH_PORT",
}


@pytest.fixture(scope="module")
def cluster(helm, tmp_path_factory):
    """The example's release over this machine's services; the migrations have run."""
    folder, mark = tmp_path_factory.mktemp("secrets"), token()
    key_commands.init(folder / "keys-of")
    with ExitStack() as stack:
        owner = make_url(stack.enter_context(postgres_database()))
        buckets = stack.enter_context(bucket_pair())
        queue = f"test-{mark}"
        stack.callback(drop_queues, queue)
        values = {
            "all.NIGHTLIGHT_STORE_ENDPOINT_URL": buckets.endpoint,
            "all.NIGHTLIGHT_STORE_ORIGINALS_BUCKET": buckets.originals,
            "all.NIGHTLIGHT_STORE_RENDITIONS_BUCKET": buckets.renditions,
            "all.NIGHTLIGHT_STORE_EXPORTS_BUCKET": buckets.exports,
            "all.NIGHTLIGHT_STORE_VAULT_BUCKET": buckets.vault,
            "all.NIGHTLIGHT_QUEUE_NAME": queue,
            "service.NIGHTLIGHT_QUOTAS_NAMESPACE": queue,
            **{
                f"{name}.NIGHTLIGHT_STORE_ACCESS_KEY_ID": identity(S3_OF[name])[0]
                for name in ("service", "worker", "keeper")
            },
        }
        options = [f"--set-string=settings.{name}={value}" for name, value in values.items()]
        release = Release(helm.manifests("--set=keeper.enabled=true", *options))
        cluster = SimpleNamespace(
            release=release, folder=folder, owner=owner, prefix=f"nightlight_test_{mark}", log=folder
        )
        status, output = run(cluster, "migrate", more=f" --prefix {cluster.prefix}")
        assert status == 0, output
        engine = create_engine(owner)
        with engine.begin() as connection:
            for role in sql_roles.SqlRole:
                connection.execute(text(f"ALTER ROLE {cluster.prefix}_{role.value} LOGIN PASSWORD 'x'"))
        stack.callback(drop_roles, engine, cluster.prefix)
        yield cluster


def drop_roles(engine, prefix):
    with engine.begin() as connection:
        for role in sql_roles.SqlRole:
            connection.execute(text(f"DROP OWNED BY {prefix}_{role.value}"))
            connection.execute(text(f"DROP ROLE {prefix}_{role.value}"))
    engine.dispose()


def image_environment():
    """The variables that the images set, and where this checkout has what they name."""
    text_of = (ROOT / "infra/Dockerfile").read_text("utf-8")
    given = dict(re.findall(r"(NIGHTLIGHT_\w+)=(\S+)", text_of))
    return {**given, "NIGHTLIGHT_POLICY_DIR": str(ROOT / "policies")}


def image_command(name):
    commands = re.findall(r"^CMD (\[.*\])", (ROOT / "infra/Dockerfile").read_text("utf-8"), re.MULTILINE)
    return json.loads(commands[0 if name == "service" else 1])


def secrets_of(cluster, name):
    """A folder with the keys that the pod asks for of its Secret, as the script writes them for this process."""
    passwords = dict.fromkeys(compose_secrets.PASSWORDS, "x")
    given = compose_secrets.settings_of(name, cluster.folder / "keys-of", passwords)
    url = cluster.owner if name == "migrate" else cluster.owner.set(username=f"{cluster.prefix}_{name}", password="x")
    given["NIGHTLIGHT_CATALOGUE_URL"] = url.render_as_string(hide_password=False)
    if name in S3_OF:
        given["NIGHTLIGHT_STORE_SECRET_ACCESS_KEY"] = identity(S3_OF[name])[1]
    if "NIGHTLIGHT_QUEUE_BROKER_URL" in given:
        given["NIGHTLIGHT_QUEUE_BROKER_URL"] = needed(BROKER)
    if name == "service":
        given["NIGHTLIGHT_QUOTAS_REDIS_URL"] = needed(REDIS)
    place = cluster.folder / name
    compose_secrets.write_folder(place, given)
    (volume,) = [volume for volume in cluster.release.pods[name]["spec"]["volumes"] if "secret" in volume]
    asked = {item["path"] for item in volume["secret"]["items"]}
    for path in place.iterdir():
        if path.name not in asked:
            path.unlink()
        elif path.read_bytes().startswith(b"/run/nightlight/"):
            path.chmod(0o600)
            path.write_text(str(place / Path(path.read_text()).name))
    assert asked == {path.name for path in place.iterdir()}
    return place


def started(cluster, name, *, port=None, more="", command=None):
    command = command or container(cluster.release.pods[name]).get("command") or image_command(name)
    given = {
        **image_environment(),
        **environment(cluster.release.pods[name]),
        "NIGHTLIGHT_SECRETS_DIR": str(secrets_of(cluster, name)),
        "NIGHTLIGHT_MATCHING_INDEX_DIR": str(cluster.folder / "index"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    if port is not None:
        given[PORTS[name]] = str(port)
    command = [*command[:-1], command[-1] + more]
    with (cluster.folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, env=given, cwd=cluster.folder, stdout=log, stderr=log, start_new_session=True)


def run(cluster, name, **how):
    status = started(cluster, name, **how).wait(HANG_S)
    return status, (cluster.folder / f"{name}.log").read_text()


@pytest.mark.parametrize("name", list(PORTS))
def test_a_process_is_ready_by_what_the_chart_gives_it_and_stops_when_told(cluster, name):
    port = free_port()
    probe = container(cluster.release.pods[name])["readinessProbe"]["httpGet"]
    child = started(cluster, name, port=port)
    try:
        answer = eventually(lambda: child.poll() is not None or answered(f"http://127.0.0.1:{port}{probe['path']}"))
        assert answer is not True, (cluster.folder / f"{name}.log").read_text()
        assert answer.status_code == 200, answer.text
        child.terminate()
        # uvicorn raises the signal again once it has stopped.
        assert child.wait(cluster.release.pods[name]["spec"]["terminationGracePeriodSeconds"]) in {0, -15}
    finally:
        child.kill()
        child.wait()


def answered(url):
    try:
        answer = httpx.get(url, timeout=HANG_S)
    except httpx.HTTPError:
        return None
    return answer if answer.status_code == 200 else None


def test_the_keeper_does_its_work_by_what_the_chart_gives_it(cluster):
    """Once: with --every it goes on, and says nothing while no hold may end."""
    command = container(cluster.release.pods["keeper"])["command"]
    assert command[3:] == ["--every", "60"]
    status, output = run(cluster, "keeper", command=command[:3])
    assert status == 0, output


def test_a_secret_that_lacks_a_key_stops_a_process_which_says_so(cluster):
    child = started(cluster, "worker", port=free_port())
    child.kill()
    child.wait()
    (cluster.folder / "worker/nightlight_erasure_keys").unlink()
    given = {**image_environment(), **environment(cluster.release.pods["worker"])}
    given |= {"NIGHTLIGHT_SECRETS_DIR": str(cluster.folder / "worker"), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "workers", "work"],
        env=given,
        cwd=cluster.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "NIGHTLIGHT_ERASURE_KEYS" in done.stdout + done.stderr
