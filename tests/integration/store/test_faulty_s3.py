"""Puts to a server that fails as S3 does: what is said to be stored is there, and whoever does not look is told."""

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest

from nightlight.store.interface import PutResult
from nightlight.store.s3 import S3Store
from nightlight.store.vault import S3Vault
from nightlight_core.errors import StoreUnavailable
from tests.support.faulty_s3 import FAULTS, faulty_s3, without_pauses

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[3]
LASTING = ("409", "503", "cut")


@pytest.fixture
def server(monkeypatch):
    without_pauses(monkeypatch)
    with faulty_s3() as started:
        yield started


@pytest.fixture(params=["bucket", "vault"])
def store(request, server):
    if request.param == "bucket":
        return S3Store("b", server.access())
    return S3Vault("b", server.access(), lock=True)


def put(store, data=b"picture", key="o/1"):
    sha256 = hashlib.sha256(data).hexdigest()
    return store.put(key, io.BytesIO(data), sha256=sha256, content_type="x/y")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("unreadable", [False, True], ids=["who may look", "who may not"])
def test_a_put_that_fails_once_is_stored_in_the_end(server, store, fault, unreadable):
    server.faults, server.unreadable = [fault], unreadable
    assert put(store) is PutResult.STORED
    assert [body for body, _ in server.objects.values()] == [b"picture"]
    assert server.puts == 2


def test_a_conflict_is_no_object(server, store):
    """Nothing was stored: whoever takes it for an object that is there acknowledges what is lost."""
    server.always = "409"
    with pytest.raises(StoreUnavailable, match="ConditionalRequestConflict"):
        put(store)
    assert server.objects == {}
    assert 1 < server.puts <= 10


@pytest.mark.parametrize("fault", LASTING)
def test_what_fails_for_good_is_unavailable(server, store, fault):
    server.always = fault
    with pytest.raises(StoreUnavailable):
        put(store)
    assert server.objects == {}


@pytest.mark.parametrize("fault", FAULTS)
def test_anothers_object_stays_and_is_never_said_to_be_ours(server, store, fault):
    assert put(store, b"theirs") is PutResult.STORED
    server.faults = [fault] if "stored" not in fault else []
    assert put(store, b"ours") is PutResult.EXISTS
    assert [body for body, _ in server.objects.values()] == [b"theirs"]


def test_what_another_put_between_an_unanswered_attempt_and_the_next_is_not_ours(server):
    store = S3Store("b", server.access())
    server.faults = ["cut"]
    server.objects["/b/o/1"] = b"theirs", {"x-amz-meta-sha256": hashlib.sha256(b"theirs").hexdigest()}
    assert put(store, b"ours") is PutResult.EXISTS


def test_a_conflict_after_an_unanswered_attempt_that_stored(server, store):
    server.faults = ["500 stored", "409"]
    assert put(store) is PutResult.STORED


@pytest.mark.parametrize("fault", FAULTS)
def test_replacing_ends_with_the_new_bytes(server, fault):
    store = S3Store("b", server.access())
    assert put(store, b"old") is PutResult.STORED
    server.faults = [fault]
    digest = hashlib.sha256(b"new").hexdigest()
    store.replace("o/1", io.BytesIO(b"new"), sha256=digest, content_type="x/y")
    assert server.objects["/b/o/1"][0] == b"new"


SNIPPET = """
from io import BytesIO
from nightlight.store.interface import ObjectStore, PutOnly, PutResult

def careless(store: ObjectStore) -> None:
    store.put("a/b", BytesIO(), sha256="", content_type="")  # 1

def half(store: PutOnly) -> None:
    store.put("a/b", BytesIO(), sha256="", content_type="")  # 2

def truth(store: ObjectStore) -> bool:
    return store.put("a/b", BytesIO(), sha256="", content_type="")  # 3

def careful(store: ObjectStore) -> bool:
    return store.put("a/b", BytesIO(), sha256="", content_type="") is PutResult.STORED
"""


def test_the_type_checker_tells_whoever_ignores_the_answer_of_a_put(tmp_path):
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--no-pretty", str(file)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    wrong = [line for line in output.splitlines() if "error:" in line and "snippet.py" in line]
    lines = [int(line.split("snippet.py:")[1].split(":")[0]) for line in wrong]
    assert lines == [number for number, line in enumerate(SNIPPET.splitlines(), 1) if "# " in line]
    assert [line.rpartition("[")[2] for line in wrong] == ["unused-awaitable]", "unused-awaitable]", "return-value]"]


def test_an_answer_has_no_truth_value():
    with pytest.raises(TypeError, match=r"compare with PutResult.STORED"):
        bool(PutResult.EXISTS)
