"""Policies built, watched, staged, activated and rolled back over HTTP, on a running service."""

import base64
import json
import shutil
import time
import zlib

import httpx
import pytest
from typer.testing import CliRunner

from nightlight.cli import key_commands
from nightlight.cli.main import app
from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_bundle, compile_folder
from nightlight.policy.diff import diff
from nightlight.policy.signing import SigningKey, approval_subject, approve
from nightlight_client import Problem
from nightlight_core.errors import NightlightError
from nightlight_core.policy.bundle import read_unverified, signed_bytes
from tests.support import pictures
from tests.support.stacks import ROOT
from tests.support.waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.integration]
# The placeholder's side in pixels.
PLACEHOLDER = 128


@pytest.fixture(scope="module")
def own(rollout_stack):
    return rollout_stack


@pytest.fixture(scope="module")
def client(own):
    with own.client() as connected:
        connected.declare("teen", band="age_13_15", assurance="verified", region="eu", choice="connections")
        connected.declare("grown", band="adult", assurance="verified", region="eu", choice="connections")
        images = [connected.upload(name, pictures.jpeg(700, 700)) for name in ("teen", "grown")]
        assert {connected.wait(image.image_id).state for image in images} == {"ready"}
        yield connected


@pytest.fixture(scope="module")
def keys(own):
    folder = own.folder / "keys"
    return {name: SigningKey.read(folder / f"{name}.private.jwk.json") for name in ("publisher", "safety")}


@pytest.fixture
def pack(tmp_path):
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    return tmp_path / "p"


def edit(pack, *changes, cases=False):
    for file, old, new in changes:
        text = (pack / file).read_text()
        assert old in text
        (pack / file).write_text(text.replace(old, new, 1))
    if not cases:
        for case in (pack / "cases").glob("*.yaml"):
            case.unlink()
    return compile_folder(pack)


CLOSE = (
    "rules.yaml",
    "at_most: {tier: medium, cache_s: 300, per_hour: 600}",
    "at_most: {tier: low, cache_s: 300, per_hour: 600}",
)
OPEN = (
    "rules.yaml",
    "when: {region: [us_ca, unknown], relation: outsider}",
    "when: {region: us_ca, relation: outsider}",
)
BREAK = (
    "rules.yaml",
    "at_most: {tier: tiny, cache_s: 3600, per_hour: 120}",
    "at_most: {tier: low, cache_s: 3600, per_hour: 120}",
)


def approval(difference, version, key):
    return approve(approval_subject(difference, version), key, expires_at=int(time.time()) + 600)


def next_version(client):
    return client.policy_status()["highest_version"] + 1


def size(client, profile_id, relation="connection"):
    (decision,) = client.decide("peer", "profile", [(profile_id, relation)])
    return pictures.opened(client.fetch(decision.url).content).size[0]


def test_an_activation_that_only_closes_takes_effect_at_once_and_is_audited(own, client, keys, pack):
    assert size(client, "teen") == 320
    compiled = edit(pack, CLOSE)
    data = build_bundle(compiled, next_version(client), keys["publisher"])
    answer = client.activate(data)
    assert answer["digest"] == compiled.table.digest
    assert size(client, "teen") == 160
    assert client.explain("peer", "profile", [("teen", "connection")])["policy_digest"] == compiled.table.digest
    with own.catalogue.reading() as tx:
        from sqlalchemy import select

        from nightlight.catalogue.schema import audit

        rows = tx.connection.execute(
            select(audit.c.actor, audit.c.detail).where(audit.c.event == "policy.activated")
        ).all()
    assert rows[-1].actor == "tests"
    assert rows[-1].detail["difference"] == answer["difference"]["digest"]
    assert rows[-1].detail["digest"] == compiled.table.digest


def test_the_same_bundle_again_and_every_older_version_are_refused(client, keys, pack):
    compiled = edit(pack, CLOSE)
    highest = client.policy_status()["highest_version"]
    for version in {highest, 1}:
        with pytest.raises(Problem) as refused:
            client.activate(build_bundle(compiled, version, keys["publisher"]))
        assert (refused.value.status, refused.value.code) == (409, "policy_conflict")


def test_what_opens_needs_safetys_approval_of_exactly_this_difference(client, keys, pack, tmp_path):
    before = compile_folder(ROOT / "policies")
    active = client.policy_bundle()
    compiled = edit(pack, OPEN)
    data = build_bundle(compiled, next_version(client), keys["publisher"])
    with pytest.raises(Problem, match="safety must approve") as refused:
        client.activate(data)
    assert refused.value.status == 422

    difference = diff(compile_bundle(read_unverified(active[1])), compiled)
    other = diff(before, compiled)
    version = next_version(client)
    for wrong in (approval(other, version, keys["safety"]), approval(difference, version, keys["publisher"])):
        with pytest.raises(Problem):
            client.activate(data, wrong)
    (why,) = client.explain("peer", "profile", [("teen", "stranger")])["items"]
    assert why["inputs"]["region"] == "eu"
    client.activate(data, approval(difference, version, keys["safety"]))
    assert client.policy_status()["active"]["digest"] == compiled.table.digest
    assert size(client, "teen") == 320


def test_a_pack_whose_checks_fail_is_refused_with_the_check(client, keys, pack):
    compiled = edit(pack, BREAK)
    with pytest.raises(Problem, match="outsider-tiny") as refused:
        client.activate(build_bundle(compiled, next_version(client), keys["publisher"]))
    assert (refused.value.status, refused.value.code) == (422, "policy_rejected")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda attributes: attributes.update(device=["phone", "desktop"]), "do not supply 'device'"),
        (lambda attributes: attributes["subject_age"].remove("unknown"), "lacks 'unknown'"),
    ],
)
def test_a_vocabulary_that_decisions_cannot_speak_is_refused_by_the_service_too(client, keys, pack, change, message):
    """`policy check` refuses it before; this bundle was signed by somebody who did not ask."""
    outer = json.loads(build_bundle(edit(pack, CLOSE), next_version(client), keys["publisher"]))
    payload = json.loads(zlib.decompress(base64.b64decode(outer["payload"])))
    change(payload["documents"]["vocabulary"]["attributes"])
    packed = zlib.compress(json.dumps(payload).encode())
    outer["payload"] = base64.b64encode(packed).decode()
    outer["signature"] = base64.b64encode(keys["publisher"].sign(signed_bytes(packed))).decode()
    with pytest.raises(Problem, match=message):
        client.activate(json.dumps(outer).encode())


def test_forged_and_malformed_bundles_are_refused(own, client, keys, pack):
    compiled = edit(pack, CLOSE)
    forged = build_bundle(compiled, next_version(client), keys["safety"])
    for data in (forged, b"", b"{}", b"x" * 2000):
        with pytest.raises(Problem) as refused:
            client.activate(data)
        assert refused.value.status == 422
    headers = {"Authorization": f"Bearer {client._token()}"}
    answer = httpx.post(f"{own.url}/v1/policy/activate", json={"bundle": "***"}, headers=headers)
    assert answer.status_code == 422


def test_a_shadow_counts_what_it_would_change_and_changes_nothing(client, keys, pack):
    compiled = edit(pack, CLOSE)
    client.candidate(build_bundle(compiled, next_version(client), keys["publisher"]))
    for _ in range(5):
        assert size(client, "teen") == 320
        size(client, "grown")
    candidate = client.policy_status()["candidate"]
    assert (candidate["mode"], candidate["digest"]) == ("shadow", compiled.table.digest)
    assert (candidate["would_close"], candidate["would_open"]) == (5, 0)
    assert candidate["cells"]["would_close"] == {"age_13_15,verified,connection,eu,peer,profile,connections,clear": 5}
    client.withdraw_candidate()
    assert client.policy_status()["candidate"] is None


def test_a_staged_candidate_decides_for_its_share_of_profiles_and_always_the_same_ones(client, keys, pack):
    compiled = edit(pack, CLOSE)
    names = [f"staged-{number}" for number in range(200)]
    for name in names:
        client.declare(name, band="age_13_15", assurance="verified", region="eu")

    def tiers():
        items = [(name, "connection") for name in names]
        return [item["tier"] for item in client.explain("peer", "profile", items)["items"]]

    assert set(tiers()) == {"medium"}
    version = next_version(client)
    client.candidate(build_bundle(compiled, version, keys["publisher"]), permille=300)
    first = tiers()
    assert 30 <= first.count("low") <= 90
    assert tiers() == first
    client.candidate(build_bundle(compiled, version, keys["publisher"]), permille=600)
    wider = tiers()
    assert all(after == "low" for before, after in zip(first, wider, strict=True) if before == "low")
    assert wider.count("low") > first.count("low")
    client.activate(build_bundle(compiled, version, keys["publisher"]))
    assert set(tiers()) == {"low"}


def test_staging_something_that_opens_needs_approval_too(client, keys, pack):
    compiled = edit(pack)
    with pytest.raises(Problem, match="safety must approve"):
        client.candidate(build_bundle(compiled, next_version(client), keys["publisher"]), permille=10)


def test_counters_are_exported_without_small_counts(client):
    client.decide("unverified", "message", [("grown", "stranger")], budget_s=30)

    def counted():
        # A placeholder of its own is not counted, nor one of a service that is behind: on a stalled machine, more.
        client.decide("adult", "list", [("teen", "stranger")], budget_s=30)
        exported = client.policy_counters(7)
        return (
            exported
            if exported["cells"].get("age_13_15,verified,stranger,eu,adult,list,connections,clear", 0) >= 4
            else None
        )

    exported = eventually(counted)
    assert not any("unverified" in cell for cell in exported["cells"])
    assert not any("teen" in cell for cell in exported["cells"])


def test_a_combination_is_explained_over_http(own, client):
    explained = client.explain_policy({"subject_age": "age_13_15", "relation": "stranger", "region": "eu"})
    assert {"viewer", "context"} <= set(explained["missing"])
    assert (explained["least"]["tier"], explained["most"]["tier"]) == ("none", "tiny")
    assert explained["decided_by"]["viewer"]["signed_out"][1]["tier"] == "none"
    assert "outsider" in {applied["rule"] for applied in explained["applied"]}
    with pytest.raises(Problem, match="did you mean 'relation'"):
        client.explain_policy({"relatoin": "self"})


def test_the_commands_do_all_of_it(own, client, pack, tmp_path, monkeypatch):
    folder = own.folder / "keys"
    monkeypatch.setenv("NIGHTLIGHT_TOKEN", client._token())
    monkeypatch.setenv("NIGHTLIGHT_URL", own.url)
    monkeypatch.chdir(tmp_path)
    publisher, safety = f"{folder}/publisher.private.jwk.json", f"{folder}/safety.private.jwk.json"

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, ["policy", *map(str, arguments)])
        assert result.exit_code == code, (arguments, result.output, result.exception)
        return result.output

    def refused(*arguments):
        result = CliRunner().invoke(app, ["policy", *map(str, arguments)])
        assert isinstance(result.exception, NightlightError)
        return str(result.exception)

    digest = client.policy_status()["active"]["digest"]
    run("fetch", "--out", "active.bundle")
    run("build", pack, "--version", next_version(client), "--key", publisher, "--out", "new.bundle")
    assert "OPENS" in run("diff", "active.bundle", "new.bundle", code=4)
    assert "approval of difference" in run("approve", "active.bundle", "new.bundle", "--key", safety, "--yes")
    assert "is watched" in run("shadow", "new.bundle")
    assert json.loads(run("status"))["candidate"]["mode"] == "shadow"
    assert "deciding for 50 of 1000" in run("stage", "new.bundle", "--permille", "50", "--approval", "approval.json")
    run("withdraw")
    run("build", pack, "--version", next_version(client), "--key", publisher, "--out", "new.bundle")
    assert "is for version" in refused("activate", "new.bundle", "--approval", "approval.json")
    run("approve", "active.bundle", "new.bundle", "--key", safety, "--yes", "--hours", "1")
    assert "is active" in run("activate", "new.bundle", "--approval", "approval.json")
    assert client.policy_status()["active"]["digest"] != digest
    assert "brought back" in run("rollback", "--key", publisher)
    assert client.policy_status()["active"]["digest"] == digest
    run("counters", "--days", "1", "--out", "traffic.json")
    run("diff", "active.bundle", pack, "--traffic", "traffic.json", "--markdown", code=4)


def test_every_process_follows(own, client, keys, pack):
    """The worker's own recipes follow: a tier made smaller is smaller in the next picture."""
    compiled = edit(pack, CLOSE, ("tiers.yaml", "edge: 160", "edge: 128"))
    client.activate(build_bundle(compiled, next_version(client), keys["publisher"]))
    client.declare("later", band="age_13_15", assurance="verified", region="eu")
    assert client.wait(client.upload("later", pictures.jpeg(700, 700)).image_id).state == "ready"
    eventually(lambda: size(client, "later") == 128)
    # A picture made before is larger than the tier is now: a lower tier takes its place until it is rendered again.
    assert size(client, "teen") <= 128
    eventually(lambda: size(client, "teen") == 128)


def test_counts_are_read_back_in_the_order_of_the_vocabulary_that_is_active(client, keys, pack, own):

    text = (pack / "vocabulary.yaml").read_text()
    line = next(line for line in text.splitlines(keepends=True) if line.startswith("  report_flag: ["))
    (pack / "vocabulary.yaml").write_text(
        text.replace(line, "").replace("attributes:", "attributes:\n" + line + "  #", 1)
    )
    compiled = edit(pack)
    assert next(iter(compiled.table.attributes)) == "report_flag"
    difference = diff(compile_bundle(read_unverified(client.policy_bundle()[1])), compiled)
    client.activate(
        build_bundle(compiled, next_version(client), keys["publisher"]),
        approval(difference, next_version(client), keys["safety"]),
    )
    for _ in range(4):
        client.decide("adult", "list", [("grown", "mutual")])
    exported = client.policy_counters(1)
    assert exported["attributes"][0] == "report_flag"
    assert exported["cells"]["clear,adult,verified,mutual,eu,adult,list,connections"] == 4


def test_an_emergency_hides_at_night_with_one_key_and_a_rollback_ends_it(own, client, keys, pack, tmp_path):
    compiled = compile_folder(pack)
    version = next_version(client)
    bundle = client.policy_bundle()  # of the test before; there is none where this one is run alone
    active = compile_bundle(read_unverified(bundle[1])) if bundle else compile_folder(ROOT / "policies")
    signed = approval(diff(active, compiled), version, keys["safety"])
    client.activate(build_bundle(compiled, version, keys["publisher"]), signed)
    key = own.folder / "keys/publisher.private.jwk.json"
    token = key_commands.token(own.folder, scopes=["policy"], subject="tests", hours=1)
    runner = CliRunner(env={"NIGHTLIGHT_URL": own.url, "NIGHTLIGHT_TOKEN": token})
    assert size(client, "teen", "stranger") == 96
    began = time.monotonic()
    command = ["policy", "emergency", "--region", "eu", "--for", "72h", "--key", str(key), "--yes"]
    done = runner.invoke(app, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert time.monotonic() - began < 60 * 10  # a minute, on a machine that does not stand still
    for name in ("teen", "grown"):
        assert size(client, name, "stranger") == PLACEHOLDER, name
    assert size(client, "teen") == 320
    assert client.policy_status()["emergency"]["until"]
    with pytest.raises(NightlightError, match="under way already"):
        runner.invoke(app, command, catch_exceptions=False)
    ended = runner.invoke(app, ["policy", "rollback", "--key", str(key)], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    assert size(client, "teen", "stranger") == 96
    assert client.policy_status()["emergency"] is None
