"""infra/compose.yaml and the Dockerfile: exact images, a role a process, and commands that their images can run."""

import importlib.util
import json
import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from nightlight.catalogue import sql_roles
from nightlight.settings import _SCALE_DRAIN_S
from nightlight.settings.process import WorkerSettings
from tests.conftest import ROOT
from tests.support.waiting import HANG_S

_SPEC = importlib.util.spec_from_file_location("compose_secrets", ROOT / "infra/compose_secrets.py")
compose_secrets = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(compose_secrets)
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
    images = [service["image"] for service in services.values() if not service["image"].startswith("nightlight-")]
    images += re.findall(r"^FROM (\S+:\S+)", (ROOT / "infra/Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert len(images) >= 8
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


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of infra as infra/compose_secrets.py leaves it, and what it put into .env."""
    root = tmp_path_factory.mktemp("infra")
    compose_secrets.write_all(root)
    lines = (root / ".env").read_text("utf-8").splitlines()
    return root, dict(line.split("=", 1) for line in lines)


def test_each_process_has_a_database_role_of_its_own(services, written):
    root, passwords = written
    urls = {path.parent.name: path.read_text() for path in root.glob("secrets/run/*/nightlight_catalogue_url")}
    names = {name: re.match(r"postgresql\+psycopg://(\w+):(\w+)@postgres/", url).groups() for name, url in urls.items()}
    assert names == {
        "migrate": ("nightlight", passwords["POSTGRES_PASSWORD"]),
        **{
            name: (f"nightlight_{name}", passwords[f"POSTGRES_{name.upper()}_PASSWORD"])
            for name in ("service", "worker", "schedule", "keeper")
        },
    }
    assert services["migrate"]["command"][-1].endswith("nightlight catalogue grants --apply")
    script = (ROOT / "infra/postgres/roles.sh").read_text("utf-8")
    assert set(re.findall(r"^make_role (\w+) ", script, re.MULTILINE)) == {role.value for role in sql_roles.SqlRole}
    wanted = {f"POSTGRES_{role.name}_PASSWORD" for role in sql_roles.SqlRole} | {"POSTGRES_PASSWORD"}
    assert wanted <= set(services["postgres"]["environment"])


def test_the_script_of_secrets_makes_every_variable_that_compose_asks_for_and_keeps_what_is_there(written):
    root, passwords = written
    asked = set(re.findall(r"\$\{(\w+):\?\}", COMPOSE.read_text("utf-8")))
    assert asked
    assert asked <= set(passwords)
    assert all(passwords.values())
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    compose_secrets.write_all(root)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


def test_secrets_can_be_read_by_a_containers_user_and_by_nobody_else_on_the_machine(written):
    root, _ = written
    modes = {path.relative_to(root): path.stat().st_mode & 0o777 for path in root.rglob("*")}
    closed = {path: mode for path, mode in modes.items() if path.parts[:2] != ("secrets", "run")}
    assert closed[Path(".env")] == 0o600
    assert closed[Path("secrets")] == 0o700
    assert modes[Path("secrets/run")] == 0o700
    mounted = {
        path: mode for path, mode in modes.items() if path.parts[:2] == ("secrets", "run") and len(path.parts) > 2
    }
    assert {mode for path, mode in mounted.items() if (root / path).is_dir()} == {0o755}
    assert {mode for path, mode in mounted.items() if (root / path).is_file()} == {0o444}


def test_no_process_is_given_what_another_needs(written):
    root, _ = written
    given = {folder.name: {path.name for path in folder.iterdir()} for folder in (root / "secrets/run").iterdir()}
    private = {"nightlight_store_seal_private_keys", "receipts.private.jwk.json", "leaf.key.pem"}
    assert not given["service"] & {*private, "nightlight_invisible_watermark_keys", "nightlight_queue_broker_url"}
    assert given["migrate"] == {"nightlight_catalogue_url"}
    assert given["edge"] == {"placeholder.webp"}
    assert "nightlight_delivery_signing_keys" not in given["worker"] | given["keeper"]
    opens = {
        name: (root / "secrets/run" / name / "nightlight_store_seal_private_keys") for name in ("worker", "keeper")
    }
    assert opens["worker"].read_text() != opens["keeper"].read_text()


def test_every_container_is_confined(services):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name  # and so the engine's own seccomp profile
        assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}, name
        assert service["mem_limit"], name
        assert service["pids_limit"] <= 1024, name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert not any(str(volume).startswith("/") for volume in service.get("volumes", [])), name


def test_what_runs_for_long_says_how_it_is_and_what_runs_once_is_not_started_again(services):
    once = {"s3-init", "migrate", "keeper"}
    assert {name for name, service in services.items() if service["restart"] == "no"} == once
    assert {name for name, service in services.items() if "healthcheck" not in service} == once
    for name in set(services) - once:
        assert seconds(services[name]["healthcheck"]["timeout"]) <= seconds(services[name]["healthcheck"]["interval"])


def test_both_caches_of_the_edge_and_its_list_have_room(services):
    """nginx removes what is too much only after it was written, so the tmpfs is larger than its two caches."""
    cache = services["edge"]["environment"]["NIGHTLIGHT_EDGE_CACHE_SIZE"]
    (room,) = (re.search(r"size=(\d+)m", entry) for entry in services["edge"]["tmpfs"] if "/var/cache" in entry)
    assert cache.endswith("m")
    assert 2 * int(cache[:-1]) + 100 <= int(room[1])


def test_the_stores_are_on_a_network_without_a_way_out():
    compose = YAML(typ="safe").load(COMPOSE.read_text("utf-8"))
    assert compose["networks"] == {"data": {"internal": True}, "front": None}
    fronts = {name for name, service in compose["services"].items() if "front" in service["networks"]}
    assert (
        fronts == {"service", "edge"} == {name for name, service in compose["services"].items() if "ports" in service}
    )


def test_containers_are_given_longer_to_stop_than_their_processes_take(services):
    source = (ROOT / "service/__main__.py").read_text("utf-8")
    drain = int(re.search(r"timeout_graceful_shutdown=(\d+)", source)[1])
    assert seconds(services["service"]["stop_grace_period"]) >= _SCALE_DRAIN_S + drain + 15
    assert seconds(services["worker"]["stop_grace_period"]) >= WorkerSettings().shutdown_s + 20


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)([sm])", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def test_the_buckets_are_made_with_nothing_but_a_shell_and_mc(services, tmp_path):
    (script,) = services["s3-init"]["command"]
    script = script.replace("$$", "$").replace("/tmp/", f"{tmp_path}/").replace("/policies/", f"{ROOT}/infra/s3/")
    mc = 'mc() { printf "%s " "$@" >> "$CALLS"; printf "\\n" >> "$CALLS"; }\n'
    secrets = {f"S3_{name}_SECRET": "x" for name in ("OWNER", "SERVICE", "WORKER", "KEEPER", "EDGE")}
    calls = tmp_path / "calls"
    run = ["/bin/bash", "--posix", "-ec", mc + script]
    environment = {"PATH": "/nowhere", "CALLS": str(calls), **secrets}
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False, timeout=HANG_S)
    assert (done.returncode, done.stderr) == (0, "")
    assert "admin policy attach nightlight keeper --user keeper" in calls.read_text("utf-8")
    names = {name: f"nightlight-{name.lower()}" for name in ("ORIGINALS", "RENDITIONS", "EXPORTS", "VAULT")}
    for identity in ("service", "worker", "keeper", "edge"):
        text = (ROOT / f"infra/s3/{identity}-policy.json").read_text("utf-8")
        wanted = re.sub(r"\$\{(\w+)\}", lambda variable: names[variable[1]], text)
        assert json.loads((tmp_path / f"{identity}.json").read_text("utf-8")) == json.loads(wanted)
