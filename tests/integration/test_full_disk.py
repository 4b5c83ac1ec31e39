"""A request whose body finds no room on the disk: nothing is acknowledged, and the same request may be made again."""

import os
import subprocess
import tempfile

import httpx
import pytest

from tests.support import golden, pictures
from tests.support.waiting import HANG_S

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.getuid() != 0, reason="mounts a small file system, which takes root"),
]


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    """Temporary files lie where there is room for 64 kB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], check=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    monkeypatch.undo()
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.fixture
def http(monkeypatch):
    with golden.served(monkeypatch, "ingest", "trace") as (client, *_):
        bearer = {"Authorization": f"Bearer {client._token()}"}
        with httpx.Client(base_url=client.base_url, headers=bearer, timeout=HANG_S) as http:
            client.declare("somebody", band="adult", assurance="verified", region="eu")
            yield http


def test_uploads_and_copies_that_find_no_room_are_answered_503(http, small_disk):
    data = pictures.photograph() + bytes(3_000_000)  # forms under a megabyte stay in memory
    for path, sent in (
        ("/v1/profiles/somebody/image", {"files": {"file": data}}),
        ("/v1/traces", {"files": {"file": data}}),
        ("/v1/c2pa/matches/byContent", {"files": {"file": data}}),
        ("/v1/c2pa/matches/byContent", {"content": data, "headers": {"Content-Type": "image/png"}}),
    ):
        answer = http.post(path, **sent)
        assert (answer.status_code, answer.json()["code"]) == (503, "disk_full"), (path, answer.text)
        assert answer.headers["Retry-After"]
