"""One suite for every adapter of the port: the local folder, and S3 on the real server."""

import hashlib
import io
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nightlight.store.interface import PutOnly, PutResult, check_key
from nightlight.store.local import LocalStore
from nightlight.store.s3 import S3Access, S3Store, make_client
from nightlight_core.errors import ObjectMissing, StoreDenied, StoreUnavailable
from tests.support.services import S3_OWNER, S3_SERVICE, S3_WORKER, identity, token

pytestmark = pytest.mark.integration


def access(endpoint, variable, **changes):
    key, secret = identity(variable)
    given = {
        "endpoint_url": endpoint,
        "region": "us-east-1",
        "access_key_id": key,
        "secret_access_key": secret,
        "connect_timeout_s": 2.0,
        "read_timeout_s": 5.0,
    }
    return S3Access(**{**given, **changes})


@pytest.fixture(params=["local", "s3"])
def store(request, tmp_path):
    if request.param == "local":
        return LocalStore(tmp_path / "bucket")
    buckets = request.getfixturevalue("buckets")
    return S3Store(buckets.renditions, access(buckets.endpoint, S3_OWNER))


@pytest.fixture
def key():
    return f"t/{token()}"


def put(store, key, data, sha256=None):
    return store.put(
        key,
        io.BytesIO(data),
        sha256=sha256 or hashlib.sha256(data).hexdigest(),
        content_type="image/webp",
    )


def test_what_is_put_is_got_with_its_properties(store, key):
    assert put(store, key, b"picture") is PutResult.STORED
    stored = store.get(key, max_bytes=100)
    assert stored.data == b"picture"
    assert stored.info == store.head(key)
    assert (stored.info.size, stored.info.content_type, stored.info.cache_control) == (7, "image/webp", "no-store")
    assert stored.info.sha256 == hashlib.sha256(b"picture").hexdigest()


def test_a_second_put_changes_nothing_and_says_so(store, key):
    assert put(store, key, b"first") is PutResult.STORED
    assert put(store, key, b"second") is PutResult.EXISTS
    assert store.get(key, max_bytes=100).data == b"first"


def test_of_many_puts_at_once_the_object_is_one_whole_of_them(store, key):
    bodies = [bytes([number]) * 50_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda body: put(store, key, body), bodies))
    assert created.count(PutResult.STORED) == 1
    assert store.get(key, max_bytes=100_000).data == bodies[created.index(PutResult.STORED)]


def test_what_is_not_there_is_missing(store, key):
    for read in (lambda: store.get(key, max_bytes=10), lambda: store.head(key)):
        with pytest.raises(ObjectMissing):
            read()


def test_deleting_is_final_and_may_be_repeated(store, key):
    put(store, key, b"x")
    store.delete(key)
    store.delete(key)
    with pytest.raises(ObjectMissing):
        store.get(key, max_bytes=10)
    assert put(store, key, b"y") is PutResult.STORED


def test_an_object_larger_than_asked_for_is_not_taken(store, key):
    put(store, key, b"12345")
    assert store.get(key, max_bytes=5).data == b"12345"
    with pytest.raises(StoreUnavailable):
        store.get(key, max_bytes=4)


def test_bytes_that_do_not_match_their_hash_are_not_taken(store, key):
    put(store, key, b"tampered", sha256="0" * 64)
    with pytest.raises(StoreUnavailable, match="hash"):
        store.get(key, max_bytes=100)


def test_keys_are_listed_in_order_by_prefix(store, key):
    wanted = sorted(f"{key}/{name}" for name in ("b", "a", "c/d"))
    for name in wanted:
        put(store, name, b"x")
    assert list(store.keys(f"{key}/")) == wanted
    assert list(store.keys(f"{key}/c")) == [f"{key}/c/d"]
    assert list(store.keys("nothing-here/")) == []


def test_empty_and_large_objects_are_kept(store, key):
    put(store, f"{key}/empty", b"")
    assert store.get(f"{key}/empty", max_bytes=1).data == b""
    large = bytes(range(256)) * 250_000  # 64 MB, the largest upload by default
    put(store, f"{key}/large", large)
    assert store.get(f"{key}/large", max_bytes=64_000_000).data == large


BAD_KEYS = ["", "/x", "../x", "a/../b", "a//b", "a/", "A", "a b", "a\x00", "é", "x" * 201, ".x", "a/.b", "a\n"]


@pytest.mark.parametrize("bad", BAD_KEYS)
def test_keys_that_we_never_make_are_refused(store, bad):
    with pytest.raises(ValueError, match="not an object key"):
        put(store, bad, b"x")
    with pytest.raises(ValueError, match="not an object key"):
        store.get(bad, max_bytes=1)
    with pytest.raises(ValueError, match="not an object key"):
        check_key(bad)


def test_a_store_that_is_there_is_ready_and_stays_as_it_was(store, key):
    assert store.ready() is None
    assert list(store.keys(key)) == []


def test_a_bucket_that_is_not_there_is_not_ready(buckets):
    with pytest.raises(StoreUnavailable, match="bucket"):
        S3Store(f"{buckets.renditions}-not-there", access(buckets.endpoint, S3_OWNER)).ready()


def test_put_only_gives_no_way_to_read(store):
    half = PutOnly(store)
    for name in ("get", "head", "keys", "delete", "_store"):
        assert not hasattr(half, name)


def test_a_local_folder_that_cannot_be_written_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable):
        LocalStore(tmp_path / "file").ready()
    with pytest.raises(StoreUnavailable):
        put(LocalStore(tmp_path / "file"), "a/b", b"x")


def test_a_local_put_that_is_interrupted_leaves_no_object(tmp_path):
    class Breaking(io.BytesIO):
        def read(self, *_):
            raise OSError("disk gone")

    local = LocalStore(tmp_path)
    with pytest.raises(StoreUnavailable):
        local.put("a/b", Breaking(b"x"), sha256="0", content_type="x")
    assert [path for path in Path(tmp_path).rglob("*") if path.is_file()] == []


def test_a_server_that_does_not_answer_is_unavailable():
    store = S3Store("b", access("http://127.0.0.1:1", S3_OWNER, connect_timeout_s=0.5))
    for call in (store.ready, lambda: store.get("a/b", max_bytes=1), lambda: put(store, "a/b", b"x")):
        with pytest.raises(StoreUnavailable):
            call()


def test_wrong_credentials_are_denied_and_never_printed(buckets):
    wrong = access(buckets.endpoint, S3_OWNER, secret_access_key="not-the-secret")
    with pytest.raises(StoreDenied):
        S3Store(buckets.renditions, wrong).get("a/b", max_bytes=1)
    assert "not-the-secret" not in repr(wrong)


def test_promise_3_the_service_can_put_originals_and_cannot_read_list_or_delete_them(buckets, key):
    service = S3Store(buckets.originals, access(buckets.endpoint, S3_SERVICE))
    worker = S3Store(buckets.originals, access(buckets.endpoint, S3_WORKER))
    assert put(service, key, b"original") is PutResult.STORED
    service.ready()
    for call in (
        lambda: service.get(key, max_bytes=100),
        lambda: service.head(key),
        lambda: service.delete(key),
        lambda: list(service.keys()),
    ):
        with pytest.raises(StoreDenied):
            call()
    assert worker.get(key, max_bytes=100).data == b"original"


def test_the_service_can_read_renditions_and_cannot_write_list_or_delete_them(buckets, key):
    service = S3Store(buckets.renditions, access(buckets.endpoint, S3_SERVICE))
    worker = S3Store(buckets.renditions, access(buckets.endpoint, S3_WORKER))
    assert put(worker, key, b"rendition") is PutResult.STORED
    assert service.get(key, max_bytes=100).data == b"rendition"
    for call in (lambda: put(service, f"{key}-2", b"x"), lambda: service.delete(key), lambda: list(service.keys())):
        with pytest.raises(StoreDenied):
            call()
    worker.delete(key)


def test_erasing_leaves_nothing_and_says_what_went(store, key):
    put(store, key, b"picture")
    put(store, f"{key}-other", b"another")
    assert len(store.remains(key)) == 1
    assert len(store.erase(key)) == 1
    assert len(store.remains(key)) == 0
    assert store.erase(key) == []
    assert len(store.remains(f"{key}-other")) == 1
    with pytest.raises(ObjectMissing):
        store.get(key, max_bytes=100)


def test_tagging_again_keeps_all_but_the_day_and_the_tag(store, key):
    put(store, key, b"picture")
    before = store.get(key, max_bytes=100)
    store.retag(key, "replaced")
    store.retag(key, "replaced")
    assert store.get(key, max_bytes=100) == before


def test_a_worker_tags_an_original_again_so_that_its_days_start_again(buckets, key):
    owner = S3Store(buckets.originals, access(buckets.endpoint, S3_OWNER))
    put(owner, key, b"original")
    written = buckets.owner.head_object(Bucket=buckets.originals, Key=key)["LastModified"]
    time.sleep(1.1)
    worker = S3Store(buckets.originals, access(buckets.endpoint, S3_WORKER))
    worker.retag(key, "replaced")
    # Where a bucket does not enforce its owner's ownership, as here, it is the worker's object now.
    own = make_client(access(buckets.endpoint, S3_WORKER))
    after = own.head_object(Bucket=buckets.originals, Key=key)
    assert after["LastModified"] > written
    tags = own.get_object_tagging(Bucket=buckets.originals, Key=key)["TagSet"]
    assert tags == [{"Key": "nightlight-state", "Value": "replaced"}]
    assert worker.get(key, max_bytes=100).data == b"original"
    with pytest.raises(ObjectMissing):
        worker.retag(f"{key}-none", "replaced")
    service = S3Store(buckets.originals, access(buckets.endpoint, S3_SERVICE))
    with pytest.raises(StoreDenied):
        service.retag(key, "replaced")
    with pytest.raises(StoreDenied):
        service.erase(key)
