"""Edges learn what is revoked, and show nothing while they cannot know: the real publisher, the real nginx."""

import base64
import hashlib
import itertools
import re
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import httpx
import pytest
from sqlalchemy import insert

from nightlight.catalogue.schema import images, profiles, renditions
from nightlight.delivery.object_names import object_key
from nightlight.delivery.purge import EdgePurge, PurgeHook
from nightlight.flows.decisions.edge_revocations import RevocationPublisher
from nightlight.flows.pictures.revoke import RevokeUrls
from nightlight.policy.compile import compile_folder
from nightlight.store.s3 import S3Access, S3Store
from nightlight_core.clock import system_clock
from nightlight_core.decisions.answers import AnswerBuilder
from nightlight_core.decisions.profile_views import AvailableRendition, ProfileView
from nightlight_core.decisions.url_signing import HmacUrlSigner
from nightlight_core.errors import Unavailable
from nightlight_core.keyring import KeyRing
from tests.conftest import ROOT
from tests.integration.test_edge import DATA, KEYS, put, refused, url_of
from tests.support.buckets import bucket_pair
from tests.support.databases import catalogue_on
from tests.support.edge import PURGE_TOKEN, Edge
from tests.support.receiver import receiving
from tests.support.services import S3_WORKER, identity

pytestmark = pytest.mark.integration
_numbers = itertools.count()


@pytest.fixture(scope="module")
def buckets():
    with bucket_pair() as pair:
        yield pair


@pytest.fixture(scope="module")
def store(buckets):
    access, secret = identity(S3_WORKER)
    return S3Store(buckets.renditions, S3Access(buckets.endpoint, "us-east-1", access, secret, 2, 10))


@pytest.fixture
def name():
    return base64.b32encode(hashlib.sha256(b"revoked %d" % next(_numbers)).digest()[:20]).decode().lower()


@pytest.fixture
def key(store, name):
    return put(store, object_key(name, "webp"))


def signer_of(edge):
    return HmacUrlSigner(KeyRing.parse(KEYS, "test"), edge.url)


def hook_of(edge, number=0):
    return PurgeHook(f"{edge.url}/purge", name=f"hook_{number}", token=PURGE_TOKEN, timeout_s=5)


def test_an_edge_that_nobody_vouches_for_shows_nothing(tmp_path, buckets, key):
    with Edge(tmp_path / "edge", buckets, KEYS, list_age_s=60) as edge:
        url = url_of(signer_of(edge), key)
        (tmp_path / "edge/cache/revoked/at").unlink()
        assert refused(httpx.get(url))
        for at in (int(time.time()) - 61, int(time.time()) + 600):  # too old; of a clock that is wrong
            (tmp_path / "edge/cache/revoked/at").write_text(str(at))
            assert refused(httpx.get(url_of(signer_of(edge), key, now=time.time() - at % 7)))
        for wrong in ("", "x", "-1", "NaN", "Infinity", "1e99"):
            (tmp_path / "edge/cache/revoked/at").write_text(wrong)
            assert refused(httpx.get(url_of(signer_of(edge), key, life_s=250)))
        (tmp_path / "edge/cache/revoked/at").unlink()
        assert edge.tell(at=int(time.time())).status_code == 204
        assert httpx.get(url_of(signer_of(edge), key, life_s=200)).content == DATA


def test_a_url_that_was_checked_is_checked_again_within_half_a_minute(tmp_path, buckets, key):
    """nginx keeps the answer of a URL: not until it expires, but until the list is to be looked at again."""
    with Edge(tmp_path / "edge", buckets, KEYS) as edge:
        url = url_of(signer_of(edge), key)
        assert httpx.get(url).content == DATA
        (kept,) = (path for path in (tmp_path / "edge/cache/urls").rglob("*") if path.is_file())
        until = re.search(rb"X-Accel-Expires: @([0-9]+)", kept.read_bytes())
        assert until is None or int(until[1]) - time.time() <= 30
        valid_until = int.from_bytes(kept.read_bytes()[8:16], "little")  # ngx_http_file_cache_header_t.valid_sec
        assert 0 < valid_until - time.time() <= 30


def test_without_a_list_only_urls_that_live_a_minute_are_taken(tmp_path, buckets, key):
    with Edge(tmp_path / "edge", buckets, KEYS, list_age_s=0) as edge:
        assert refused(httpx.get(url_of(signer_of(edge), key, life_s=300)))
        ring = KeyRing.parse(KEYS, "test")
        short = HmacUrlSigner(ring, edge.url, max_life_s=60)
        assert httpx.get(url_of(short, key, life_s=86_400)).content == DATA


def test_where_nobody_says_how_old_a_list_may_be_an_edge_goes_by_what_it_was_told(tmp_path, buckets, key):
    with Edge(tmp_path / "edge", buckets, KEYS, list_age_s="") as edge:
        url = url_of(signer_of(edge), key)
        assert httpx.get(url).content == DATA
        assert edge.tell([f"/{key}"]).status_code == 204
        assert refused(httpx.get(url))


@pytest.mark.parametrize(
    "moment",
    [{"at": "1800000000"}, {"at": 1.5}, {"at": -1}, {"at": 1e12}, {"at": None}, {"at": 1_800_000_000, "since": "x"}, {"at": True}],
)  # fmt: skip
def test_moments_are_whole_seconds(tmp_path, buckets, moment):
    with Edge(tmp_path / "edge", buckets, KEYS) as edge:
        assert edge.tell(**moment).status_code == 400


def test_a_path_with_a_newline_is_no_path(tmp_path, buckets, store, key, name):
    with Edge(tmp_path / "edge", buckets, KEYS) as edge:
        for path in (f"/{key}\n", f"/{key}\r\n", f"\n/{key}", f"/{key}\u2028", f"/{key}\x00", f"/{key}/"):
            assert edge.tell([path]).status_code == 204
        assert sorted(path.name for path in (tmp_path / "edge/cache/revoked/a").iterdir()) == []
        url = url_of(signer_of(edge), key)
        assert httpx.get(url).content == DATA
        for suffix in ("%0A", "%0a", "%0D%0A", "%00"):
            bare, query = url.split("?")
            assert httpx.get(f"{bare}{suffix}?{query}").status_code in {400, 404}
            assert httpx.get(f"{bare}?{query}{suffix}").status_code == 404


def test_the_error_log_names_no_address_no_picture_and_no_signature(tmp_path, buckets, key):
    with Edge(tmp_path / "edge", buckets, KEYS, address="127.0.0.1:9") as edge:  # nobody is there: every fetch fails
        url = url_of(signer_of(edge), key)
        signature = url.rsplit("=", 1)[1]
        for asked in (url, url[:-2] + "AA", url.replace("/a/", "/a/../../"), f"{edge.url}/purge"):
            httpx.get(asked, headers={"Range": "bytes=0-1"})
        httpx.post(url)
        httpx.get(url, headers={"X": "y" * 9000})
        httpx.get(f"{url}{'x' * 9000}")
        edge.tell(["/a/" + "x" * 2_000_000])
        (tmp_path / "edge/cache/revoked").rename(tmp_path / "edge/cache/away")
        assert edge.tell([f"/{key}"]).status_code == 503
        time.sleep(0.1)
        written = edge.errors() + (tmp_path / "edge/start.log").read_text() + edge.log.read_text()
    name = key.split("/")[1].split(".")[0]
    for secret in (signature, name, "client:", "127.0.0.1", "request:", "GET ", "/a/"):
        assert secret not in written, written


def revoke_(catalogue, profile_id):
    RevokeUrls(catalogue, system_clock).profile(profile_id, actor="tests")


def rendition_of(catalogue, profile_id, name):
    """A ready picture of a profile with one rendition of that name."""
    now, image_id = system_clock(), hashlib.sha256(name.encode()).hexdigest()[:32]
    with catalogue.transaction() as tx:
        tx.connection.execute(insert(profiles).values(
            profile_id=profile_id, state="live", band="adult", asserted_band="adult", assurance="verified", region="other",
            choice="default", report_flag="none", asserted_at=now, generation=0, uploads=1, current_image_id=image_id,
            created_at=now,
        ))  # fmt: skip
        tx.connection.execute(insert(images).values(
            image_id=image_id, profile_id=profile_id, sequence=1, state="ready", original_key=f"o/{image_id}",
            original_bytes=1, format="jpeg", width=1, height=1, band="adult", ceiling_band="adult", created_at=now,
        ))  # fmt: skip
        tx.connection.execute(insert(renditions).values(
            name=name, image_id=image_id, tier="tiny", generation=0, recipe="r", format="webp", bytes=1, width=1, height=1,
            sha256="0" * 64, variant=0, created_at=now,
        ))  # fmt: skip


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_every_edge_refuses_what_is_revoked_before_any_worker_gets_to_it(tmp_path, buckets, store, name, key, database):
    with (
        catalogue_on(database, tmp_path) as catalogue,
        Edge(tmp_path / "one", buckets, KEYS, list_age_s=60) as first_edge,
        Edge(tmp_path / "two", buckets, KEYS, list_age_s=60) as second_edge,
    ):
        rendition_of(catalogue, "p-1", name)
        moment = [int(time.time())]
        publisher = RevocationPublisher(
            catalogue, [hook_of(first_edge), hook_of(second_edge, 1)], every_s=0, clock=lambda: utc(moment[0])
        )
        assert publisher.run_once() == 2
        urls = [url_of(signer_of(edge), key) for edge in (first_edge, second_edge)]
        assert [httpx.get(url).content for url in urls] == [DATA, DATA]
        revoke_(catalogue, "p-1")
        assert publisher.run_once() == 2
        assert all(refused(httpx.get(url)) for url in urls)
        # A node that lost its list is told everything anew, and shows nothing of what is revoked meanwhile.
        (tmp_path / "two/cache/revoked/at").unlink()
        (tmp_path / "two/cache/revoked" / key).unlink()
        assert refused(httpx.get(url_of(signer_of(second_edge), key, life_s=280)))
        moment[0] += 1
        assert publisher.run_once() == 1
        moment[0] += 1
        assert publisher.run_once() == 2
        assert refused(httpx.get(url_of(signer_of(second_edge), key, life_s=270)))


def utc(seconds):
    return datetime.fromtimestamp(seconds, UTC)


def test_an_edge_that_does_not_answer_is_told_later_and_holds_up_no_other(tmp_path, name):
    with catalogue_on("sqlite", tmp_path) as catalogue, receiving() as hooks:
        rendition_of(catalogue, "p-1", name)
        edges = [
            PurgeHook(f"{hooks.url}/{path}", name=f"hook_{number}", token=None, timeout_s=5)
            for number, path in enumerate(("one", "two"))
        ]
        publisher = RevocationPublisher(catalogue, edges, every_s=0, clock=lambda: utc(1_800_000_000))
        hooks.statuses["/two"] = [503]
        assert [publisher.run_once(), publisher.run_once()] == [1, 2]
        revoke_(catalogue, "p-1")
        hooks.statuses["/two"] = [503, 503]
        assert [publisher.run_once() for _ in range(3)] == [1, 1, 2]
        path = [f"/{object_key(name, 'webp')}"]
        assert [body["paths"] for body in hooks.bodies("/one")].count(path) == 1
        assert [body["paths"] for body in hooks.bodies("/two")][-4:] == [path, path, path, []]
        assert hooks.bodies("/two")[-1]["at"] == 1_800_000_000


def test_an_edge_that_is_away_from_the_start_makes_nobody_be_told_twice(tmp_path, name):
    with catalogue_on("sqlite", tmp_path) as catalogue, receiving() as hooks:
        rendition_of(catalogue, "p-1", name)
        revoke_(catalogue, "p-1")
        hooks.statuses["/two"] = [503] * 50
        edges = [
            PurgeHook(f"{hooks.url}/{path}", name=f"hook_{number}", token=None, timeout_s=5)
            for number, path in enumerate(("one", "two"))
        ]
        publisher = RevocationPublisher(catalogue, edges, every_s=0, clock=lambda: utc(1_800_000_000))
        assert [publisher.run_once() for _ in range(6)] == [1] * 6
        path = [f"/{object_key(name, 'webp')}"]
        assert [body["paths"] for body in hooks.bodies("/one")] == [path, *[[]] * 6]
        # It is asked again, and less and less often.
        assert 2 < len(hooks.bodies("/two")) < 6


def test_a_purge_tells_every_edge_and_fails_if_one_fails():
    with receiving() as hooks:
        hooks.statuses["/one"] = [503]
        purge = EdgePurge(f"{hooks.url}/one, {hooks.url}/two,", token="t", timeout_s=5)
        with pytest.raises(Unavailable, match="hook_0 answers 503"):
            purge.forget(["a/x"])
        assert hooks.bodies("/two") == [{"paths": ["/a/x"]}]
        purge.forget([f"a/{number}" for number in range(900)])
        assert [len(body["paths"]) for body in hooks.bodies("/two")] == [1, 400, 400, 100]


def test_no_url_is_given_again_once_it_is_due(name):
    """Views are kept for minutes, and URLs for edges without a list live for one."""
    ring, path = KeyRing.parse(KEYS, "test"), f"/a/{name}.webp"
    signer = HmacUrlSigner(ring, "https://pictures.example", max_life_s=60)
    builder = AnswerBuilder(signer, bytes(32), "/a/placeholder.webp", 3600, 60)
    table = compile_folder(ROOT / "policies").table
    policy = SimpleNamespace(
        table=table, table_for=lambda _: table, earlier_for=lambda _: None, tally=lambda *_: ("", None)
    )
    view = ProfileView("p", True, "adult", 2_000_000_000, "eu", "everyone", "clear", "adult", "i" * 32)
    view.available = {"medium": (AvailableRendition(path, 320, table.tiers["medium"].pixels),)}
    for now in range(1_800_000_000, 1_800_000_400, 7):
        (answer,) = builder.answers(policy, "peer", "profile", [view], ["stranger"], now=now)
        (picture,), (placeholder,) = answer.decisions, builder.placeholders(["q"], now=now)
        for given in (picture, placeholder):
            assert now < given.expires_at <= now + 60
