"""The edge as infra/compose.yaml starts it: its script, its configuration, its user, and two folders to write to."""

import base64
import hashlib
import os
import shlex
import shutil
import subprocess
import time
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest

from nightlight.cli.embedded import free_port
from nightlight.delivery.object_names import object_key
from nightlight.store.s3 import S3Access, S3Store
from nightlight_core.decisions.placeholder import placeholder_bytes
from nightlight_core.decisions.url_signing import HmacUrlSigner
from nightlight_core.keyring import KeyRing
from tests.support import pictures
from tests.support.buckets import bucket_pair
from tests.support.containers import compose_service
from tests.support.edge import BINARY, EDGE, MODULE
from tests.support.services import S3_SERVICE, S3_WORKER, identity, missing_tool
from tests.support.waiting import HANG_S, eventually

pytestmark = pytest.mark.integration

KEYS = f"e1:{base64.b64encode(b'1' * 32).decode()}"
DATA = pictures.encoded(pictures.opened(pictures.jpeg(96, 96)), "WEBP")
KEY = object_key("b" * 32, "webp")
TOKEN = "purge-secret"


@pytest.fixture(scope="module")
def edge(tmp_path_factory):
    if os.getuid() != 0:
        pytest.skip("a user and mounts of its own take root")
    if not (Path(BINARY).exists() and MODULE.exists() and shutil.which("envsubst")):
        missing_tool("nginx with njs, and envsubst")
    compose, log, port = compose_service("edge"), tmp_path_factory.mktemp("edge") / "log", free_port()
    with bucket_pair() as buckets:
        key, secret = identity(S3_WORKER)
        store = S3Store(buckets.renditions, S3Access(buckets.endpoint, "us-east-1", key, secret, 2, 10))
        store.put(KEY, BytesIO(DATA), sha256=hashlib.sha256(DATA).hexdigest(), content_type="image/webp")
        key, secret = identity(S3_SERVICE)
        s3 = urlsplit(buckets.endpoint).netloc
        # The compose file's variables, with what is elsewhere here.
        environment = {
            **compose["environment"],
            "NIGHTLIGHT_EDGE_KEYS_FILE": "/mnt/ring",
            "NIGHTLIGHT_STORE_ACCESS_KEY_ID": key,
            "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": secret,
            "NIGHTLIGHT_EDGE_S3_HOST": s3,
            "NIGHTLIGHT_EDGE_S3_ADDRESS": s3,
            "NIGHTLIGHT_EDGE_BUCKET": buckets.renditions,
            "NIGHTLIGHT_EDGE_PURGE_TOKEN": TOKEN,
            "NIGHTLIGHT_EDGE_LISTEN": f"127.0.0.1:{port}",
            "NIGHTLIGHT_EDGE_JS": "/mnt/edge",
            "NIGHTLIGHT_EDGE_HEADERS": "/mnt/edge/headers.conf",
            "NIGHTLIGHT_EDGE_PLACEHOLDER": "/mnt/placeholder",
            "NIGHTLIGHT_EDGE_LOG": "/tmp/access.log",
        }
        placeholder = base64.b64encode(placeholder_bytes()).decode()
        user, group = compose["user"].split(":")
        # Mounts of its own: everything is read-only but /tmp and the cache, as in the container.
        mounts = (
            f"mount -t tmpfs tmpfs /mnt && mkdir /mnt/edge /mnt/placeholder && cp {shlex.quote(str(EDGE))}/* /mnt/edge/"
            f" && echo {placeholder} | base64 -d > /mnt/placeholder/placeholder.webp"
            f" && echo {KEYS} > /mnt/ring"
            f" && mkdir -p /mnt/cache && mount -t tmpfs -o uid={user},gid={group},mode=0700 tmpfs /mnt/cache"
            " && mount -t tmpfs -o mode=1777 tmpfs /tmp && mount -o remount,bind,ro / 2>/dev/null || exit 9;"
            f" exec setpriv --reuid={user} --regid={group} --clear-groups --bounding-set=-all --no-new-privs"
            " sh /mnt/edge/start.sh"
        )
        environment["NIGHTLIGHT_EDGE_CACHE"] = "/mnt/cache"
        with log.open("wb") as output:
            child = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", mounts],
                env={"PATH": os.environ["PATH"], **environment},
                stdout=output,
                stderr=output,
            )
        try:
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: answers(url) or child.poll() is not None)
            assert child.poll() is None, log.read_text()
            yield SimpleNamespace(url=url, child=child, log=log)
        finally:
            child.kill()
            child.wait(HANG_S)


def answers(url):
    try:
        return httpx.get(url).status_code
    except httpx.HTTPError:
        return None


def test_it_runs_as_the_users_of_the_compose_file_without_capabilities(edge):
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{edge.child.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split()[0] == compose_service("edge")["user"].split(":")[0]
    assert {status[f"Cap{which}"] for which in ("Prm", "Eff", "Bnd")} == {"0" * 16}
    assert Path(f"/proc/{edge.child.pid}/exe").resolve().name == "nginx"  # so a stop signal reaches nginx itself


def test_it_serves_what_is_signed_once_it_has_a_list_and_refuses_what_was_revoked(edge):
    good = HmacUrlSigner(KeyRing.parse(KEYS, "test"), edge.url).url(f"/{KEY}", now=int(time.time()), life_s=300)[0]
    assert httpx.get(good).status_code == 404  # nobody told it yet what is revoked
    assert tell(edge, [], at=int(time.time())) == 204
    assert httpx.get(good).content == DATA, edge.log.read_text()
    assert httpx.get(good[:-1] + ("A" if good[-1] != "A" else "B")).status_code == 404
    missing = HmacUrlSigner(KeyRing.parse(KEYS, "test"), edge.url)
    url = missing.url(f"/{object_key('c' * 32, 'webp')}", now=int(time.time()), life_s=300)[0]
    assert httpx.get(url).content == placeholder_bytes()
    assert tell(edge, [f"/{KEY}"]) == 204
    assert httpx.get(good).status_code == 404


def tell(edge, paths, **more):
    body = {"paths": paths, **more}
    return httpx.post(f"{edge.url}/purge", json=body, headers={"Authorization": f"Bearer {TOKEN}"}).status_code


def test_the_health_check_of_the_compose_file_is_what_it_answers(edge):
    (_, command) = compose_service("edge")["healthcheck"]["test"]
    command = command.replace("$$", "$").replace("http://127.0.0.1:8080", edge.url)
    assert subprocess.run(["sh", "-c", command], check=False).returncode == 0
    assert subprocess.run(["sh", "-c", command.replace(edge.url, "http://127.0.0.1:1")], check=False).returncode != 0


def test_it_stops_by_the_signal_of_the_compose_file(edge):
    signal_name = compose_service("edge")["stop_signal"]
    subprocess.run(["kill", f"-{signal_name.removeprefix('SIG')}", str(edge.child.pid)], check=True)
    assert edge.child.wait(HANG_S) == 0
