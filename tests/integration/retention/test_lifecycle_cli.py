"""``nightlight lifecycle`` on the real S3 server."""

import json

import pytest
from typer.testing import CliRunner

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.cli.main import app
from nightlight.retention.bucket_client import BucketClient
from nightlight.retention.lifecycle_rule import read_rule
from nightlight_core.errors import LifecycleRefused, NightlightError, SettingsRefused
from tests.conftest import ROOT
from tests.support.buckets import bucket_pair
from tests.support.services import S3_OWNER, identity

pytestmark = pytest.mark.integration


@pytest.fixture
def pair(tmp_path, monkeypatch):
    with bucket_pair() as opened:
        key, secret = identity(S3_OWNER)
        settings = {
            "NIGHTLIGHT_CATALOGUE_URL": f"sqlite:///{tmp_path / 'c.sqlite3'}", "NIGHTLIGHT_STORE_KIND": "s3",
            "NIGHTLIGHT_STORE_ENDPOINT_URL": opened.endpoint, "NIGHTLIGHT_STORE_ACCESS_KEY_ID": key,
            "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": secret, "NIGHTLIGHT_STORE_ORIGINALS_BUCKET": opened.originals,
            "NIGHTLIGHT_STORE_RENDITIONS_BUCKET": opened.renditions, "NIGHTLIGHT_POLICY_DIR": str(ROOT / "policies"),
            "NIGHTLIGHT_DELIVERY_NAME_KEY": "bmlnaHRsaWdodG5pZ2h0bGlnaHRuaWdodGxpZ2h0bmlnaHQ=", "COLUMNS": "200",
        }  # fmt: skip
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        catalogue = Catalogue(settings["NIGHTLIGHT_CATALOGUE_URL"])
        migrate.upgrade(catalogue.engine)
        catalogue.close()
        yield opened


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["lifecycle", *map(str, arguments)])
    assert result.exit_code == code, (arguments, result.output, result.exception)
    return result.stdout


def refused(kind, *arguments):
    result = CliRunner().invoke(app, ["lifecycle", *map(str, arguments)])
    assert isinstance(result.exception, kind), result.output
    assert isinstance(result.exception, NightlightError)
    return str(result.exception)


def test_plan_apply_drift_verify_undo(pair):
    foreign = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "o/"}, "Expiration": {"Days": 5}}
    bucket = BucketClient(pair.owner, pair.originals)
    bucket.put([foreign])
    pair.owner.put_object(Bucket=pair.originals, Key="o/1", Body=b"x" * 1234)
    output = run("plan", code=2)
    assert "+ nightlight-replaced: tagged nightlight-state=replaced is deleted 30 days after it was written" in output
    assert "! DELETES SOONER than the policy (3,650 days): under o/ is deleted 5 days after it was written" in output
    assert "1 objects, 1,234 bytes; 0 of them are deleted at once" in output
    planned = json.loads(run("plan", "--json", "--no-count", code=2))
    assert [plan["bucket"] for plan in planned] == [pair.originals, pair.renditions]
    assert {action["step"] for plan in planned for action in plan["actions"]} == {"add", "foreign"}
    run("apply", "--bucket", pair.originals, code=1)  # nobody says yes
    assert [raw["ID"] for raw in bucket.rules()] == ["theirs"]
    assert "applied" in run("apply", "--yes", "--no-count")
    assert "0 changes" in run("plan")
    assert run("drift").count("as it was applied") == 2
    assert "no object outlived its rule" in run("verify")
    assert json.loads(run("verify", "--json")) == {"late": 0, "objects": []}
    rules = bucket.rules()
    bucket.put([raw for raw in rules if raw["ID"] != "nightlight-versions"])
    assert "nightlight-versions: removed since" in run("drift", code=2)
    assert json.loads(run("drift", "--json", "--bucket", pair.renditions)) == {pair.renditions: []}
    assert "drift" in refused(LifecycleRefused, "undo", pair.originals)
    run("apply", "--yes", "--no-count")
    run("undo", pair.originals)
    run("undo", pair.originals)
    assert [read_rule(raw) for raw in bucket.rules()] == [read_rule(foreign)]


def test_what_is_rendered_is_what_is_applied(pair):
    run("apply", "--yes", "--no-count")
    documents = json.loads(run("render", "json"))
    for name, raw in documents.items():
        rules = {rule.rule_id: rule for rule in map(read_rule, BucketClient(pair.owner, name).rules())}
        assert {rule["ID"]: read_rule(rule) for rule in raw["Rules"]} == rules
    assert run("render", "terraform", "--bucket", pair.originals).count("aws_s3_bucket_lifecycle_configuration") == 1
    assert "AWS::S3::Bucket" in run("render", "cloudformation")
    assert "terraform" in refused(NightlightError, "render", "pulumi")


def test_without_buckets_there_are_no_rules(pair, monkeypatch):
    monkeypatch.setenv("NIGHTLIGHT_STORE_KIND", "local")
    assert "NIGHTLIGHT_STORE_KIND" in refused(SettingsRefused, "plan")
