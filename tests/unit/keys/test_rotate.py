"""Each step of a rotation is taken only while it breaks nothing; files are written whole, for their owner alone."""

import json
import os
import stat
from datetime import UTC, datetime, timedelta

import pytest

from nightlight.cli import key_commands
from nightlight.flows.key_rotation.key_files import ChainStorage, JwksStorage, RingStorage, SealStorage
from nightlight.flows.key_rotation.processes import ProcessKeys
from nightlight.flows.key_rotation.rings import RotatedKeys
from nightlight.flows.key_rotation.rotate import KeyState, Rotation, Step
from nightlight.flows.key_rotation.rotation_log import locked
from nightlight.policy.signing import SigningKey
from nightlight.provenance.certificates import SigningAlgorithm, create_development_chain
from nightlight.provenance.signing import SigningCredential
from nightlight.store.sealing import Opener, Sealer, generate_seal_keys
from nightlight_core.errors import InvalidInput
from nightlight_core.keyring import KeyRing
from nightlight_core.policy.public_keys import PublicKeys

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
URLS = RotatedKeys("urls", "urls", "urls", timedelta(hours=1))
FOREVER = RotatedKeys("watermark", "watermark", "watermark", None, "copies")


class World:
    """Keys in a folder, processes that have read what a test says, and a clock."""

    def __init__(self, what, form):
        self.now, self.what, self.form = NOW, what, form
        self.processes = [ProcessKeys("http://a", {}), ProcessKeys("http://b", {})]
        self.still = ()
        self.read()

    def read(self, *numbers, ring=None):
        """Have processes read the keys as they are: all, or those with the numbers."""
        for number in numbers or range(len(self.processes)):
            keys = {ring or self.what.verified_by or "x": tuple(self.form.keys())}
            self.processes[number] = ProcessKeys(self.processes[number].address, keys)

    def run(self, step=None, *, dry_run=False):
        rotation = Rotation(
            self.what, self.form, lambda: list(self.processes), lambda: self.now, in_use=lambda _: self.still
        )
        return rotation.run(Step(step) if step else None, dry_run=dry_run)


@pytest.fixture
def keys(tmp_path):
    return key_commands.init(tmp_path)


def test_a_ring_stays_readable_by_whoever_read_it_and_by_nobody_else(urls):
    path = urls.form.path
    path.chmod(0o644)
    if os.getuid() == 0:
        os.chown(path, 10001, 101)
    before = path.stat()
    assert urls.run().done
    after = path.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (before.st_uid, before.st_gid, 0o640)


@pytest.fixture
def urls(keys):
    return World(URLS, RingStorage(keys / "secrets/nightlight_delivery_signing_keys", "d"))


def ids(form):
    listed = form.keys()
    return [key.rpartition("-")[0] for key in listed]


def test_the_three_steps_follow_each_other_and_each_waits_for_what_it_needs(urls):
    added = urls.run()
    assert (added.step, added.done, ids(urls.form)) == (Step.ADD, True, ["d1", "d2"])

    early = urls.run()
    assert (early.step, early.done, ids(urls.form)) == (Step.PROMOTE, False, ["d1", "d2"])
    assert "http://a" in early.refused
    assert "http://b" in early.refused
    urls.read(0)
    only_one = urls.run()
    assert not only_one.done
    assert "http://b" in only_one.refused
    assert "http://a" not in only_one.refused
    urls.read()
    promoted = urls.run()
    assert promoted.done
    assert ids(urls.form) == ["d2", "d1"]
    assert "another key is still in use" in promoted.note  # they have read it, and sign with the other

    late = urls.run()
    assert (late.step, late.done) == (Step.RETIRE, False)
    assert "still in use" in late.refused
    urls.read()
    soon = urls.run()
    assert not soon.done
    assert soon.not_before == NOW + URLS.life
    assert ids(urls.form) == ["d2", "d1"]
    urls.now += URLS.life - timedelta(seconds=1)
    assert not urls.run().done
    urls.now += timedelta(seconds=1)
    retired = urls.run()
    assert retired.done
    assert ids(urls.form) == ["d2"]
    assert urls.run(dry_run=True).step is Step.ADD


def test_the_time_of_the_old_key_counts_from_when_every_process_signs_with_the_new_one(urls):
    urls.run("add")
    urls.read()
    urls.run("promote")
    urls.now += 10 * URLS.life  # one process has never read it again
    urls.read(0)
    assert "http://b" in urls.run("retire").refused
    urls.read()
    assert urls.run("retire").not_before == urls.now + URLS.life


def test_a_process_that_cannot_be_asked_or_says_nothing_refuses_both_steps(urls):
    urls.run("add")
    urls.read()
    urls.processes[1] = ProcessKeys("http://b", {}, "ConnectError")
    assert "could not be asked: http://b" in urls.run("promote").refused
    urls.processes = []
    assert "no process was asked" in urls.run("promote").refused
    urls.processes = [ProcessKeys("http://a", {"seal": ["s1-1"]})]
    assert "no process was asked" in urls.run("promote").refused


def test_a_key_of_the_same_id_and_another_value_is_another_key(urls):
    urls.run("add")
    waiting = urls.form.keys()[1]
    urls.processes = [ProcessKeys("http://a", {"urls": [urls.form.keys()[0], "d2-00000000"]})]
    assert not urls.run("promote").done
    assert waiting not in urls.processes[0].keys["urls"]


def test_a_key_that_waits_can_be_taken_back_and_none_can_be_added_beside_it(urls):
    urls.run("add")
    assert "waits" in urls.run("add").refused
    assert urls.run("retire").done
    assert ids(urls.form) == ["d1"]


def test_a_former_key_is_not_promoted_again_by_mistake(urls):
    urls.run("add")
    urls.read()
    urls.run("promote")
    urls.read()
    assert "no key waits" in urls.run("promote").refused


def test_a_key_of_which_nothing_is_recorded_is_neither_promoted_nor_retired_by_itself(urls):
    other = key_commands._secret()
    text = f"{urls.form.path.read_text()},d7:{other}"
    urls.form.path.write_text(text)
    with pytest.raises(InvalidInput, match="no step of d7-"):
        urls.run()
    urls.read()
    refused = urls.run("retire")  # its time counts from now
    assert not refused.done
    assert refused.not_before == NOW + URLS.life
    assert urls.run("promote").done
    assert ids(urls.form) == ["d7", "d1"]


def test_a_dry_run_writes_nothing(urls):
    before = {path: path.read_bytes() for path in urls.form.folder.iterdir()}
    assert urls.run(dry_run=True).done
    assert {path: path.read_bytes() for path in urls.form.folder.iterdir()} == before


def test_files_are_for_their_owner_alone_and_no_result_holds_a_key(urls):
    urls.form.path.chmod(0o644)
    result = urls.run()
    assert stat.S_IMODE(urls.form.path.stat().st_mode) == 0o640  # as it was, and nobody else may read it
    assert stat.S_IMODE((urls.form.folder / "rotations.json").stat().st_mode) == 0o600
    secrets = [part.partition(":")[2] for part in urls.form.path.read_text().split(",")]
    assert len(secrets) == 2
    shown = repr(result) + (urls.form.folder / "rotations.json").read_text()
    assert not [secret for secret in secrets if secret in shown]


def test_two_rotations_of_a_folder_at_once_are_refused(urls):
    with locked(urls.form.folder), pytest.raises(InvalidInput, match="somebody rotates"):
        urls.run()


def test_a_record_that_is_broken_is_refused(urls):
    (urls.form.folder / "rotations.json").write_text('{"urls": {"d1-x": {"in_use_at": "2026-01-01"}}}')
    with pytest.raises(InvalidInput, match="not a record"):
        urls.run()


def test_a_key_whose_products_last_is_kept_for_reading(keys):
    world = World(FOREVER, RingStorage(keys / "secrets/nightlight_invisible_watermark_keys", "m"))
    world.run("add")
    world.read()
    world.run("promote")
    world.read()
    retired = world.run()
    assert retired.done
    assert "kept for reading" in retired.note
    assert ids(world.form) == ["m2", "m1"]
    assert list(retired.keys.values()) == [KeyState.CURRENT, KeyState.KEPT]
    assert world.run(dry_run=True).step is Step.ADD


def test_one_name_key_becomes_a_ring(keys):
    path = keys / "secrets/nightlight_delivery_name_key"
    before = path.read_text()
    world = World(RotatedKeys("names", "names", "names", None, ""), RingStorage(path, "n"))
    world.run("add")
    assert path.read_text().startswith(f"n0:{before},n1:")


def test_a_seal_key_is_with_the_workers_before_anything_is_sealed_to_it(tmp_path):
    private, public = generate_seal_keys()
    for name, text in (("private", f"s1:{private}"), ("public", f"s1:{public}")):
        (tmp_path / name).write_text(text)
    form = SealStorage(tmp_path / "private", tmp_path / "public")
    world = World(RotatedKeys("seal", "seal", "seal_public", None, ""), form)
    old = Sealer.parse((tmp_path / "public").read_text(), "x").seal(b"picture")
    world.run("add")
    assert Sealer.parse((tmp_path / "public").read_text(), "x").key_id == "s1"
    assert not world.run("promote").done
    world.read()
    world.run("promote")
    sealer, opener = (
        kind.parse((tmp_path / name).read_text(), "x") for kind, name in ((Sealer, "public"), (Opener, "private"))
    )
    assert sealer.key_id == "s2"
    assert opener.open(*sealer.seal(b"new")) == b"new"
    assert opener.open(*old) == b"picture"
    world.read(ring="seal_public")
    assert world.run("retire").done
    assert ids(form) == ["s2", "s1"]


def test_a_public_key_is_published_before_its_private_half_signs(keys):
    form = JwksStorage(keys / "publisher.jwks.json", keys / "publisher.private.jwk.json")
    form.public.chmod(0o644)
    world = World(RotatedKeys("publisher", "publisher", None, timedelta(0)), form)
    first = SigningKey.read(form.private).key_id
    world.run("add")
    assert set(PublicKeys.read(form.public).keys) > {first}
    assert SigningKey.read(form.private).key_id == first
    assert stat.S_IMODE(form.public.stat().st_mode) == 0o644  # whoever could read it still can
    assert stat.S_IMODE(form.next.stat().st_mode) == 0o600
    assert not world.run("promote").done
    world.read()
    assert world.run("promote").done
    second = SigningKey.read(form.private)
    assert second.key_id != first
    assert not form.next.exists()
    PublicKeys.read(form.public).verify(second.key_id, second.sign(b"x"), b"x", "x")
    world.still = ["bundle 3 is signed with it"]
    assert "bundle 3" in world.run("retire").refused
    world.still = ()
    assert world.run("retire").done
    assert set(PublicKeys.read(form.public).keys) == {second.key_id}


def test_a_root_is_trusted_before_its_leaf_signs(tmp_path):
    for name in ("now", "next"):
        create_development_chain(tmp_path / name, SigningAlgorithm.ED25519, NOW)
    chain, key, root = (tmp_path / "now" / name for name in ("chain.pem", "leaf.key.pem", "root.pem"))
    form = ChainStorage(chain, key, root, tmp_path / "next")
    world = World(RotatedKeys("c2pa", "c2pa_roots", "c2pa", None, ""), form)
    old = SigningCredential.read(chain, key, root)
    world.run("add")
    added = SigningCredential.read(chain, key, root)
    assert (added.key_id, len(added.root_ids)) == (old.key_id, 2)
    world.processes = [ProcessKeys("http://a", {"c2pa_roots": old.root_ids, "c2pa": [old.key_id]})]
    assert not world.run("promote").done
    world.processes = [ProcessKeys("http://a", {"c2pa_roots": added.root_ids, "c2pa": [old.key_id]})]
    assert world.run("promote").done
    new = SigningCredential.read(chain, key, root)
    assert new.key_id != old.key_id
    assert len(new.root_ids) == 2
    assert json.loads((tmp_path / "now/rotations.json").read_text())["c2pa"]


def test_the_first_ids_of_every_ring_are_those_of_the_keys_that_processes_use(keys):
    for name, (key_id, _, _) in key_commands.RINGS.items():
        if key_id:
            assert KeyRing.parse((keys / "secrets" / name).read_text(), name).signing_id == key_id
