import pytest

from nightlight.cli import key_commands
from nightlight_core.policy.public_keys import PublicKeys
from tests.support.buckets import bucket_pair
from tests.support.databases import catalogue_on
from tests.support.erasure_world import Places
from tests.support.stacks import STACKS


@pytest.fixture(scope="session", params=sorted(STACKS))
def any_stack(request, tmp_path_factory):
    """A whole Nightlight whose renders a test can pause in their middle (tests.support.paused)."""
    with STACKS[request.param](tmp_path_factory.mktemp(request.param), paused=True) as started:
        yield started


@pytest.fixture(scope="module")
def pair():
    """Buckets whose earlier versions stay, and nothing of which is left afterwards."""
    with bucket_pair() as buckets:
        for name in (buckets.originals, buckets.renditions):
            buckets.owner.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        yield buckets
        for name in (buckets.originals, buckets.renditions):
            for page in buckets.owner.get_paginator("list_object_versions").paginate(Bucket=name):
                for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                    buckets.owner.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def catalogue(request, tmp_path_factory):
    with catalogue_on(request.param, tmp_path_factory.mktemp("c")) as opened:
        yield opened


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    keys_folder = tmp_path_factory.mktemp("keys")
    key_commands.init(keys_folder)
    return keys_folder / "keys"


@pytest.fixture(autouse=True)
def closed():
    """Every connection that a test opened is closed at its end."""
    yield
    opened, Places.opened = Places.opened, ()
    for place in opened:
        place.close()


@pytest.fixture
def public(folder):
    return PublicKeys.read(folder / "receipts.jwks.json")
