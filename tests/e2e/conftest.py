import pytest

from tests.support import pictures
from tests.support.stacks import STACKS


@pytest.fixture(scope="session", params=sorted(STACKS))
def stack(request, tmp_path_factory):
    """A whole running Nightlight; every test of this folder runs on both kinds."""
    with STACKS[request.param](tmp_path_factory.mktemp(request.param)) as started:
        yield started


@pytest.fixture(scope="session")
def client(stack):
    with stack.client() as connected:
        yield connected


@pytest.fixture(scope="session")
def bands():
    return ("unknown", "under_13", "age_13_15", "age_16_17", "adult")


@pytest.fixture(scope="session")
def people(client, bands):
    """One ready profile for each band, all with the same photograph: {band: (profile id, image id)}."""
    picture = pictures.photograph("astronaut.png")
    picture_ids = {}
    for band in bands:
        profile_id = f"person-{band}"
        client.declare(profile_id, band=band, assurance="verified", region="eu", choice="connections")
        picture_ids[band] = (profile_id, client.upload(profile_id, picture).image_id)
    for _, image_id in picture_ids.values():
        assert client.wait(image_id).state == "ready"
    return picture_ids
