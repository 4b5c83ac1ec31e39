"""Originals under keys of their own: whoever has the object and not the row has noise."""

import base64

import pytest

from nightlight.catalogue import images
from nightlight.settings import Settings
from nightlight.store.sealing import Opener, Sealer, generate_seal_keys
from nightlight.wiring import originals
from nightlight_core.errors import SealKeyMissing, SettingsRefused, StoreUnavailable
from tests.integration.flows.conftest import profile_id, services  # noqa: F401 - fixtures
from tests.support import pictures

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def pair():
    return generate_seal_keys()


def sealer(pair, name="s1"):
    return Sealer.parse(f"{name}:{pair[1]}", "PUBLIC")


def opener(pair, name="s1"):
    return Opener.parse(f"{name}:{pair[0]}", "PRIVATE")


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_what_was_sealed_opens_and_is_noise_besides(pair, size):
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    stored, sealed_key = sealer(pair).seal(data)
    assert len(stored) == size + 16
    assert data[:32] not in stored or size < 32  # a few bytes may be anywhere by chance
    assert len(sealed_key) <= 200
    assert opener(pair).open(stored, sealed_key) == data
    other, other_key = sealer(pair).seal(data)
    assert (other, other_key) != (stored, sealed_key)
    with pytest.raises(StoreUnavailable):
        opener(pair).open(stored, other_key)


def test_what_was_not_sealed_is_as_it_is(pair):
    assert opener(pair).open(b"plain", None) == b"plain"
    assert Opener.parse(None, "PRIVATE").open(b"plain", None) == b"plain"


@pytest.mark.parametrize("damage", ["stored", "key", "no base64", "empty"])
def test_what_was_changed_does_not_open(pair, damage):
    stored, sealed_key = sealer(pair).seal(b"picture")
    if damage == "stored":
        stored = bytes([stored[0] ^ 1]) + stored[1:]
    elif damage == "key":
        raw = bytearray(base64.b64decode(sealed_key[3:]))
        raw[-1] ^= 1
        sealed_key = "s1:" + base64.b64encode(raw).decode()
    else:
        sealed_key = "s1:!" if damage == "no base64" else "s1:"
    with pytest.raises(StoreUnavailable, match="does not open"):
        opener(pair).open(stored, sealed_key)


def test_keys_are_rotated_and_one_that_is_missing_makes_jobs_wait(pair):
    new = generate_seal_keys()
    stored, sealed_key = sealer(pair).seal(b"old")
    both = Opener.parse(f"s2:{new[0]},s1:{pair[0]}", "PRIVATE")
    assert both.open(stored, sealed_key) == b"old"
    assert both.open(*sealer(new, "s2").seal(b"new")) == b"new"
    with pytest.raises(SealKeyMissing):
        Opener.parse(f"s2:{new[0]}", "PRIVATE").open(stored, sealed_key)


@pytest.mark.parametrize(
    "text",
    ["", "s1", "s1:AAAA", "s1:" + base64.b64encode(bytes(33)).decode(), "S:" + base64.b64encode(bytes(32)).decode()],
)
def test_what_is_no_key_is_refused_and_not_printed(text):
    for parse in (Sealer.parse, Opener.parse):
        if not text and parse == Opener.parse:
            continue
        with pytest.raises(SettingsRefused) as problem:
            parse(text, "NAME")
        assert "NAME" in str(problem.value)
        assert "AAAA" not in str(problem.value)


def test_a_sealed_original_is_rendered_and_its_key_is_destroyed_with_it(services, profile_id, pair):  # noqa: F811
    object.__setattr__(services.upload_flow, "seal", sealer(pair).seal)
    data = pictures.jpeg(200, 200)
    image = services.upload(profile_id, data)
    assert image.sealed_key is not None
    assert image.sealed_key not in repr(image)
    stored = services.originals.store.get(image.original_key, max_bytes=1_000_000).data
    assert stored != data
    assert data[:64] not in stored
    object.__setattr__(services.render, "open_", Opener({}).open)
    assert services.deliver() == ["later"]  # no key: it waits
    object.__setattr__(services.render, "open_", opener(pair).open)
    services.clock.forward(hours=1)
    services.reconciler.run_once()
    assert services.deliver() == ["ready"]
    services.delete.image(image.image_id, actor="t")
    assert services.deliver() == ["erased"]
    with services.catalogue.reading() as tx:
        assert tx.images.get(image.image_id).sealed_key is None
    assert services.state(image.image_id) == images.DELETED
    with pytest.raises(StoreUnavailable):
        opener(pair).open(stored, sealer(pair).seal(b"")[1])  # a copy somewhere else stays noise


def test_the_same_bytes_are_sealed_the_same_and_only_the_private_key_opens_them(pair):
    """For the vault, which those who put there cannot look into: what is there already can only be the same."""
    sealed, two = sealer(pair).seal_same(b"evidence"), sealer(pair).seal_same(b"evidence")
    assert sealed[0] == two[0] != sealer(pair).seal_same(b"other evidence")[0][: len(sealed[0])]
    assert sealed[1] != two[1]
    assert b"evidence" not in sealed[0]
    assert opener(pair).open(sealed[0], two[1]) == b"evidence"
    with pytest.raises(SealKeyMissing):
        Opener({}).open(*sealed)


def settings(monkeypatch, **store):
    for name, value in store.items():
        monkeypatch.setenv(f"NIGHTLIGHT_STORE_{name}", value)
    return Settings()


@pytest.mark.parametrize(
    ("store", "sealed"),
    [
        ({}, False),  # a folder: one identity
        ({"KIND": "s3"}, False),  # AWS
        ({"KIND": "s3", "ENDPOINT_URL": "https://s3.eu-west-1.amazonaws.com"}, False),
        ({"KIND": "s3", "ENDPOINT_URL": "http://s3.eu-west-1.amazonaws.com"}, True),
        ({"KIND": "s3", "ENDPOINT_URL": "https://s3.amazonaws.com.example"}, True),
        ({"KIND": "s3", "ENDPOINT_URL": "https://evil-amazonaws.com"}, True),
        ({"KIND": "s3", "ENDPOINT_URL": "https://objects.example"}, True),
        ({"KIND": "s3", "ENDPOINT_URL": "https://objects.example", "SERVER": "ceph"}, True),
        ({"KIND": "s3", "ENDPOINT_URL": "https://objects.example", "SERVER": "aws"}, False),
        ({"KIND": "s3", "SERVER": "other"}, True),
        ({"KIND": "s3", "ENDPOINT_URL": "https://objects.example", "SEAL": "off"}, False),
        ({"KIND": "s3", "SEAL": "on"}, True),
        ({"SEAL_PUBLIC_KEY": "given"}, True),
    ],
)
def test_originals_are_sealed_wherever_it_is_not_known_that_nobody_else_reads_them(pair, monkeypatch, store, sealed):
    given = {"SEAL_PUBLIC_KEY": f"s1:{pair[1]}"} if store.pop("SEAL_PUBLIC_KEY", None) else {}
    loaded = settings(monkeypatch, **store, **given)
    assert originals.must_seal(loaded) is sealed
    if sealed and not given:
        with pytest.raises(SettingsRefused, match="nightlight keys seal"):
            originals.sealer(loaded)
        with pytest.raises(SealKeyMissing):  # a worker's other work goes on
            originals.import_sealer(loaded)(b"picture")
        loaded = settings(monkeypatch, SEAL_PUBLIC_KEY=f"s1:{pair[1]}")
    assert (originals.sealer(loaded) is not None) is sealed
    assert (originals.import_sealer(loaded) is not None) is sealed


def test_what_is_held_waits_where_the_vault_must_be_sealed_and_there_is_no_key(pair, monkeypatch):
    loaded = settings(monkeypatch, KIND="s3", ENDPOINT_URL="https://objects.example")
    with pytest.raises(SealKeyMissing, match="keys seal --vault"):
        originals.vault_sealer(loaded)(b"evidence")
    loaded = settings(monkeypatch, VAULT_SEAL_PUBLIC_KEY=f"v1:{pair[1]}")
    assert opener(pair, "v1").open(*originals.vault_sealer(loaded)(b"evidence")) == b"evidence"
    assert originals.vault_sealer(settings(monkeypatch, SEAL="off")) is None
    monkeypatch.delenv("NIGHTLIGHT_STORE_VAULT_SEAL_PUBLIC_KEY")
    assert originals.vault_sealer(settings(monkeypatch, SEAL="auto", SERVER="aws")) is None
