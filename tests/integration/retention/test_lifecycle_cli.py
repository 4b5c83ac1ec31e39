"""``nightlight lifecycle`` on the real S3 server, as a command: what it prints, how it ends, and what it needs."""

import json
import os
import re

import pytest

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.retention.bucket_client import BucketClient
from nightlight.retention.lifecycle_rule import read_rule
from tests.conftest import ROOT
from tests.support.buckets import bucket_pair
from tests.support.command import run_command
from tests.support.services import S3_OWNER, S3_SERVICE, identity

pytestmark = pytest.mark.integration
FOREIGN = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "o/"}, "Expiration": {"Days": 5}}


class World:
    """Buckets, and the command with the settings of an operator: no key of names, of seals or of anything else."""

    def __init__(self, pair, folder):
        key, secret = identity(S3_OWNER)
        self.pair = pair
        self.environment = {
            "NIGHTLIGHT_CATALOGUE_URL": f"sqlite:///{folder / 'c.sqlite3'}", "NIGHTLIGHT_STORE_KIND": "s3",
            "NIGHTLIGHT_STORE_ENDPOINT_URL": pair.endpoint, "NIGHTLIGHT_STORE_ACCESS_KEY_ID": key,
            "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": secret, "NIGHTLIGHT_STORE_ORIGINALS_BUCKET": pair.originals,
            "NIGHTLIGHT_STORE_RENDITIONS_BUCKET": pair.renditions, "NIGHTLIGHT_STORE_VAULT_BUCKET": pair.vault,
            "NIGHTLIGHT_STORE_EXPORTS_BUCKET": pair.exports,
            "NIGHTLIGHT_POLICY_DIR": str(ROOT / "policies"), "COLUMNS": "200",
        }  # fmt: skip
        catalogue = Catalogue(self.environment["NIGHTLIGHT_CATALOGUE_URL"])
        migrate.upgrade(catalogue.engine)
        catalogue.close()

    def run(self, *arguments, code=0, given="", **more):
        done = run_command(["lifecycle", *arguments], {**self.environment, **more}, given=given)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        return done.stdout if code != 1 or "--json" in arguments else done.stderr

    def json(self, *arguments, **more):
        return json.loads(self.run(*arguments, "--json", **more))

    def bucket(self, name=None):
        return BucketClient(self.pair.owner, name or self.pair.originals)


@pytest.fixture
def world(tmp_path):
    with bucket_pair() as opened:
        yield World(opened, tmp_path)


def test_plan_apply_drift_verify_undo(world):
    pair, bucket = world.pair, world.bucket()
    bucket.put([FOREIGN])
    pair.owner.put_object(Bucket=pair.originals, Key="o/1", Body=b"x" * 1234)
    output = world.run("plan", code=2)
    assert "+ nightlight-replaced: tagged nightlight-state=replaced is deleted 30 days after it was written" in output
    assert "! DELETES SOONER than nightlight-account-closed (30 days), " in output
    assert "under o/ is deleted 5 days after it was written" in output
    assert "1 object, 1,234 bytes are deleted sooner, 0 of them at once" in output
    planned = world.json("plan", "--no-count", code=2)
    assert [plan["bucket"] for plan in planned] == [pair.originals, pair.renditions, pair.exports, pair.vault]
    assert {action["step"] for plan in planned for action in plan["actions"]} == {"add", "foreign"}
    assert "stopped" in world.run("apply", "--bucket", pair.originals, code=1, given="n\n")
    assert [raw["ID"] for raw in bucket.rules()] == ["theirs"]
    applied = world.json("apply", "--yes", "--no-count")
    assert [entry["snapshot"] is not None for entry in applied] == [True] * 4
    again = world.json("apply", "--yes", "--no-count")
    assert [(entry["changes"], entry["snapshot"]) for entry in again] == [(0, None)] * 4
    assert "0 changes" in world.run("plan")
    assert world.run("drift").count("as it was applied") == 4
    assert "no object outlived its rule" in world.run("verify")
    assert world.json("verify") == {"late": 0, "objects": []}
    rules = bucket.rules()
    bucket.put([raw for raw in rules if raw["ID"] not in {"nightlight-versions", "theirs"}])
    first, *others = world.json("drift", code=2)
    assert [(entry["rule"], entry["change"], entry["owner"]) for entry in first["drift"]] == [
        ("nightlight-versions", "removed", "ours"), ("theirs", "removed", "foreign"),
    ]  # fmt: skip
    assert [entry["drift"] for entry in others] == [[], [], []]
    assert "see `nightlight lifecycle drift`" in world.run("undo", pair.originals, "--yes", code=1)
    world.run("apply", "--yes", "--no-count")
    assert len(world.json("history", pair.originals)) == 2
    preview = world.run("undo", pair.originals, code=1, given="n\n")
    assert "stopped" in preview
    first = world.json("history", pair.originals)[-1]["snapshot"]
    undone = world.json("undo", pair.originals, "--yes", "--to", str(first))
    assert undone["snapshot"] == first
    assert {action["step"] for action in undone["actions"]} == {"remove"}
    assert bucket.rules() == []  # what its owner has removed meanwhile is not brought back
    assert world.json("history", pair.originals) == []


def test_a_saved_plan_is_applied_only_to_the_state_that_it_was_made_for(world, tmp_path):
    saved = tmp_path / "plan.json"
    world.run("plan", "--out", saved, "--no-count", code=2)
    world.bucket(world.pair.renditions).put([FOREIGN])
    refused = world.json("apply", saved, code=1)["error"]
    assert refused["code"] == "lifecycle_refused"
    assert world.pair.renditions in refused["message"]
    assert world.bucket().rules() == []  # not the one before it either
    world.bucket(world.pair.renditions).put([])
    document = json.loads(saved.read_text())
    forged = {**document, "plans": [{**document["plans"][0], "digest": "0" * 64}]}
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    assert "plan again" in world.run("apply", tmp_path / "forged.json", code=1)
    # What is told of the plan is not what is applied: the digest decides.
    document["plans"][0]["actions"] = []
    saved.write_text(json.dumps(document))
    assert [entry["changes"] for entry in world.json("apply", saved)] == [
        len(plan["touched"]) + plan["changes"] for plan in document["plans"]
    ]
    assert "plan again" in world.run("apply", saved, code=1)  # once
    (tmp_path / "other.json").write_text("[]")
    assert "no saved plan" in world.run("apply", tmp_path / "other.json", code=1)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"NIGHTLIGHT_STORE_ORIGINALS_BUCKET": "nightlight-is-not-there"}, "not_found"),
        ({"NIGHTLIGHT_STORE_ENDPOINT_URL": "http://127.0.0.1:9"}, "store_unavailable"),
        ("service", "store_denied"),
        ({"NIGHTLIGHT_STORE_KIND": "local"}, "settings_refused"),
        ({"NIGHTLIGHT_CATALOGUE_URL": "sqlite:////nowhere/c.sqlite3"}, "catalogue_unavailable"),
    ],
)
def test_an_error_is_1_whatever_the_command(world, more, code):
    if more == "service":
        key, secret = identity(S3_SERVICE)
        more = {"NIGHTLIGHT_STORE_ACCESS_KEY_ID": key, "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": secret}
    name = more.get("NIGHTLIGHT_STORE_ORIGINALS_BUCKET", world.pair.originals)
    assert world.json("plan", code=1, **more)["error"]["code"] == code
    for arguments in (("apply", "--yes"), ("drift",)):
        answer = world.json(*arguments, "--bucket", name, code=1, **more)
        assert (answer["error"] if isinstance(answer, dict) else answer[0]["error"])["code"] == code
    if code not in {"settings_refused", "catalogue_unavailable"}:
        # An error of one bucket does not hide the others.
        answers = world.json("drift", code=1, NIGHTLIGHT_STORE_VAULT_BUCKET="nightlight-is-not-there")
        assert ["error" in answer for answer in answers] == [False, False, False, True]


def test_drift_is_a_metric(world, tmp_path):
    world.run("apply", "--yes", "--no-count")
    world.bucket().put(world.bucket().rules()[1:])
    file = tmp_path / "nightlight.prom"
    world.run("drift", "--metrics", file, code=2)
    text = file.read_text()
    assert f'nightlight_lifecycle_drift{{bucket="{world.pair.originals}"}} 1.0' in text
    assert f'nightlight_lifecycle_drift{{bucket="{world.pair.vault}"}} 0.0' in text
    assert text.count("nightlight_lifecycle_drift_looked_seconds{") == 4
    alerts = (ROOT / "infra/alerts.yaml").read_text()
    assert "max(nightlight_lifecycle_drift) > 0" in alerts
    assert "nightlight_lifecycle_drift_looked_seconds" in alerts


def test_import_takes_a_rule_over(world):
    world.bucket().put([FOREIGN])
    world.run("apply", "--yes", "--no-count")
    asked = world.json("import", world.pair.originals, "theirs", "--yes")
    assert asked == {
        "bucket": world.pair.originals, "rule": "theirs", "is": "under o/: deleted 5 days after it was written",
        "wanted": None,
    }  # fmt: skip
    assert "- theirs: under o/" in world.run("plan", "--no-count", code=2)
    assert "there is no rule" in world.run("import", world.pair.originals, "nobodys", "--yes", code=1)


def test_render_needs_no_database_key_or_store(world):
    world.run("apply", "--yes", "--no-count")
    alone = {
        name: value for name, value in world.environment.items()
        if name.endswith("_BUCKET") or name == "NIGHTLIGHT_POLICY_DIR"
    }  # fmt: skip
    done = run_command(["lifecycle", "render", "json"], alone)
    assert done.returncode == 0, done.stderr
    for name, raw in json.loads(done.stdout).items():
        rules = {rule.rule_id: rule for rule in map(read_rule, world.bucket(name).rules())}
        assert {rule["ID"]: read_rule(rule) for rule in raw["Rules"]} == rules
    terraform = run_command(["lifecycle", "render", "terraform", "--bucket", world.pair.originals], alone)
    assert terraform.stdout.count("aws_s3_bucket_lifecycle_configuration") == 1
    assert "each apply times out" in terraform.stderr
    on_aws = run_command(["lifecycle", "render", "terraform"], {**alone, "NIGHTLIGHT_STORE_SERVER": "aws"})
    assert "times out" not in on_aws.stderr
    assert run_command(["lifecycle", "render", "json", "--bucket", "nobodys"], alone).returncode == 1


# What is done by hand between the commands of the transcript in docs/lifecycle.md.
BY_HAND = "# somebody removes nightlight-versions by hand"
STEPS = (
    "nightlight lifecycle plan --no-count --bucket nightlight-originals --out review.json",
    "nightlight lifecycle apply review.json",
    "nightlight lifecycle plan --no-count --bucket nightlight-originals",
    BY_HAND,
    "nightlight lifecycle drift --bucket nightlight-originals",
    "nightlight lifecycle undo nightlight-originals --yes",
    "nightlight lifecycle apply --yes --no-count --bucket nightlight-originals",
    "nightlight lifecycle undo nightlight-originals --yes",
)


def test_the_transcript_of_the_page(world, tmp_path, monkeypatch):
    """Every line of docs/lifecycle.md is what the commands say, in this order, and so is each exit code."""
    monkeypatch.chdir(tmp_path)
    transcript_lines = []
    for step in STEPS:
        transcript_lines.append(f"$ {step}" if step != BY_HAND else step)
        if step == BY_HAND:
            world.bucket().put([raw for raw in world.bucket().rules() if raw["ID"] != "nightlight-versions"])
            continue
        words = step.replace("nightlight-originals", world.pair.originals).split()[1:]
        done = run_command(words, world.environment)
        output = (done.stdout + done.stderr).replace(world.pair.originals, "nightlight-originals")
        transcript_lines += [*output.splitlines(), f"exit code {done.returncode}", ""]
    transcript = "\n".join(transcript_lines).strip()
    page = (ROOT / "docs/lifecycle.md").read_text("utf-8")
    if os.environ.get("NIGHTLIGHT_TEST_WRITE"):
        (ROOT / "docs/lifecycle.md").write_text(
            re.sub(r"(?s)```console\n.*?```", lambda _: f"```console\n{transcript}\n```", page)
        )
    assert f"```console\n{transcript}\n```" in page
