"""infra/compose.yaml and the Dockerfile: exact images, a role a process, and commands that their images can run."""

import json
import re
import subprocess

import pytest
from ruamel.yaml import YAML

from nightlight.catalogue import sql_roles
from tests.conftest import ROOT

COMPOSE = ROOT / "infra/compose.yaml"
# Three numbers, or two of a database that has no more, or a release of MinIO's; or a digest.
EXACT = re.compile(
    r"[a-z0-9./-]+(:(v?\d+\.\d+\.\d+(-[a-z0-9.-]+)?|RELEASE\.\d{4}-\d\d-\d\dT[\d-]+Z)|@sha256:[0-9a-f]{64})"
)
POSTGRES = re.compile(r"postgres:\d{2}\.\d{1,2}-[a-z]+")


@pytest.fixture(scope="module")
def services():
    return YAML(typ="safe").load(COMPOSE.read_text("utf-8"))["services"]


def exact(image):
    return bool(EXACT.fullmatch(image) or POSTGRES.fullmatch(image))


def test_every_image_is_named_by_its_exact_version(services):
    images = [service["image"] for service in services.values() if service["image"] != "nightlight:local"]
    images += re.findall(r"^FROM (\S+)", (ROOT / "infra/Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert len(images) >= 7
    assert [image for image in images if not exact(image)] == []


@pytest.mark.parametrize(
    "image",
    [
        "postgres", "postgres:latest", "postgres:15", "postgres:15-bookworm", "redis:7", "redis:7.2", "rabbitmq:3.13", "python:3.13-slim",
        "minio/minio", "minio/minio:latest", "minio/minio:RELEASE", "minio/mc:edge", "redis:7.2.11\n", "redis@sha256:12", "redis:alpine",
    ],
)  # fmt: skip
def test_names_that_mean_another_image_tomorrow_are_not_exact(image):
    assert not exact(image)


def test_each_process_has_a_database_role_of_its_own(services):
    urls = {
        name: service.get("environment", {}).get("NIGHTLIGHT_CATALOGUE_URL", "") for name, service in services.items()
    }
    names = {name: re.match(r"postgresql\+psycopg://(\w+):", url)[1] for name, url in urls.items() if url}
    assert names == {
        "migrate": "nightlight", "service": "nightlight_service", "worker": "nightlight_worker",
        "schedule": "nightlight_schedule", "keeper": "nightlight_keeper",
    }  # fmt: skip
    assert services["migrate"]["command"][-1].endswith("nightlight catalogue grants --apply")
    script = (ROOT / "infra/postgres/roles.sh").read_text("utf-8")
    assert set(re.findall(r"^make_role (\w+) ", script, re.MULTILINE)) == {role.value for role in sql_roles.SqlRole}
    wanted = {f"POSTGRES_{role.name}_PASSWORD" for role in sql_roles.SqlRole} | {"POSTGRES_PASSWORD"}
    assert wanted <= set(services["postgres"]["environment"])
    assert wanted <= set(re.findall(r"^(\w+)=", (ROOT / "infra/env.example").read_text("utf-8"), re.MULTILINE))


def test_the_buckets_are_made_with_nothing_but_a_shell_and_mc(services, tmp_path):
    (script,) = services["s3-init"]["command"]
    script = script.replace("$$", "$").replace("/tmp/", f"{tmp_path}/").replace("/policies/", f"{ROOT}/infra/s3/")
    mc = 'mc() { printf "%s " "$@" >> "$CALLS"; printf "\\n" >> "$CALLS"; }\n'
    secrets = {f"S3_{name}_SECRET": "x" for name in ("OWNER", "SERVICE", "WORKER", "KEEPER")}
    calls = tmp_path / "calls"
    run = ["/bin/bash", "--posix", "-ec", mc + script]
    environment = {"PATH": "/nowhere", "CALLS": str(calls), **secrets}
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert "admin policy attach nightlight keeper --user keeper" in calls.read_text("utf-8")
    names = {name: f"nightlight-{name.lower()}" for name in ("ORIGINALS", "RENDITIONS", "EXPORTS", "VAULT")}
    for identity in ("service", "worker", "keeper"):
        text = (ROOT / f"infra/s3/{identity}-policy.json").read_text("utf-8")
        wanted = re.sub(r"\$\{(\w+)\}", lambda variable: names[variable[1]], text)
        assert json.loads((tmp_path / f"{identity}.json").read_text("utf-8")) == json.loads(wanted)
