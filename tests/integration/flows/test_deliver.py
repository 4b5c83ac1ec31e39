"""A service that cannot know what is revoked serves no picture, though the store has it."""

import hashlib
from contextlib import contextmanager
from io import BytesIO

import pytest

from nightlight.delivery.object_names import ObjectNames, object_key
from nightlight.flows.decisions.change_feed import ChangeFeedPoller
from nightlight.flows.decisions.serve import RenditionServer
from nightlight.store.local import LocalStore
from nightlight_core.clock import system_clock
from nightlight_core.decisions.placeholder import placeholder_bytes
from nightlight_core.decisions.profile_views import ProfileViewCache
from nightlight_core.decisions.url_signing import HmacUrlSigner
from nightlight_core.errors import CatalogueUnavailable, NotFound
from nightlight_core.keyring import KeyRing
from tests.integration.test_edge_revocation import rendition_of, revoke_
from tests.support.databases import catalogue_on

pytestmark = pytest.mark.integration

NAME, DATA = "b" * 32, b"a picture"


@pytest.fixture
def served(tmp_path):
    """(the flow, its catalogue, a way to fetch) over a catalogue that can be cut off."""
    with catalogue_on("sqlite", tmp_path) as catalogue:
        rendition_of(catalogue, "p-1", NAME)
        store = LocalStore(tmp_path / "objects")
        sha256 = hashlib.sha256(DATA).hexdigest()
        put = {"sha256": sha256, "content_type": "image/webp"}
        store.put(object_key(NAME, "webp"), BytesIO(DATA), **put)
        watch = ChangeFeedPoller(
            catalogue, ProfileViewCache(most=10, stale_s=0), picture_bytes=0, assertion_days=30, poll_s=1
        )
        signer = HmacUrlSigner(KeyRing({"k1": bytes(32)}), "")
        deliver = RenditionServer(store, ObjectNames(bytes(32)), signer, watch, system_clock)

        def fetch():
            now = int(system_clock().timestamp())
            url, _ = signer.url(f"/{object_key(NAME, 'webp')}", now=now, life_s=300)
            fields = dict(part.split("=") for part in url.split("?")[1].split("&"))
            return deliver.fetch(NAME, "webp", fields["e"], fields["k"], fields["s"])

        yield catalogue, fetch


def test_what_was_revoked_since_the_last_look_is_refused(served):
    catalogue, fetch = served
    assert fetch().data == DATA
    revoke_(catalogue, "p-1")
    with pytest.raises(NotFound):
        fetch()


def test_without_its_catalogue_it_gives_the_placeholder_to_be_kept_by_nobody(served, monkeypatch):
    catalogue, fetch = served
    assert fetch().data == DATA

    @contextmanager
    def away():
        raise CatalogueUnavailable
        yield

    monkeypatch.setattr(catalogue, "reading", away)
    answer = fetch()
    assert (answer.data, answer.max_age) == (placeholder_bytes(), 0)
