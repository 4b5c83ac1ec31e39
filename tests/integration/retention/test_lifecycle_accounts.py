"""Several buckets, accounts and regions in one run: profiles, assumed roles, and who did it. On moto's server.

moto speaks STS and keeps accounts apart, which Ceph RGW 16.2 does not; it deletes nothing by a rule.
"""

import json

import boto3
import pytest

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.schema import audit
from tests.conftest import ROOT
from tests.support.command import run_command

pytestmark = pytest.mark.integration
THEIR_ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{THEIR_ACCOUNT}:role/lifecycle"


def client(url, service="s3", region="us-east-1", **keys):
    keys = keys or {"aws_access_key_id": "AKIAHERE", "aws_secret_access_key": "secret"}
    return boto3.client(service, endpoint_url=url, region_name=region, **keys)


@pytest.fixture
def world(sqs_url, tmp_path, monkeypatch):
    aws = sqs_url  # one server for every service
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "aws.ini").write_text("[eu]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "aws.ini"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none.ini"))
    answer = client(aws, "sts").assume_role(RoleArn=ROLE, RoleSessionName="tests")["Credentials"]
    theirs = client(
        aws, region="eu-west-1", aws_access_key_id=answer["AccessKeyId"],
        aws_secret_access_key=answer["SecretAccessKey"], aws_session_token=answer["SessionToken"],
    )  # fmt: skip
    mark = tmp_path.name.replace("_", "-")[-20:]
    ours, other, vault = (f"{name}-{mark}".strip("-") for name in ("ours", "other", "vault"))
    client(aws).create_bucket(Bucket=ours)
    client(aws).create_bucket(Bucket=vault)
    theirs.create_bucket(Bucket=other, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    targets = [
        {"use": "originals", "bucket": ours, "profile": "eu"},
        {"use": "renditions", "bucket": other, "region": "eu-west-1", "profile": "eu", "role_arn": ROLE},
        {"use": "vault", "bucket": vault},
    ]
    environment = {
        "NIGHTLIGHT_CATALOGUE_URL": f"sqlite:///{tmp_path / 'c.sqlite3'}", "NIGHTLIGHT_STORE_KIND": "s3",
        "NIGHTLIGHT_STORE_ENDPOINT_URL": aws, "NIGHTLIGHT_STORE_ACCESS_KEY_ID": "AKIASTORE",
        "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": "secret", "NIGHTLIGHT_POLICY_DIR": str(ROOT / "policies"),
        "NIGHTLIGHT_RETENTION_LIFECYCLE_TARGETS": json.dumps(targets), "COLUMNS": "200",
    }  # fmt: skip
    catalogue = Catalogue(environment["NIGHTLIGHT_CATALOGUE_URL"])
    migrate.upgrade(catalogue.engine)
    yield environment, (ours, other, vault), theirs, catalogue
    catalogue.close()


def run(environment, *arguments, code=0):
    done = run_command(["lifecycle", *arguments], environment)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout


def test_one_run_is_about_every_target_as_its_own_identity(world):
    environment, names, theirs, catalogue = world
    planned = json.loads(run(environment, "plan", "--json", "--no-count", code=2))
    assert [plan["bucket"] for plan in planned] == list(names)
    run(environment, "apply", "--yes", "--no-count")
    run(environment, "plan", "--no-count")
    rules = theirs.get_bucket_lifecycle_configuration(Bucket=names[1])["Rules"]
    assert "nightlight-live" in {rule["ID"] for rule in rules}
    with catalogue.reading() as tx:
        lines = tx.connection.execute(audit.select().where(audit.c.event == "lifecycle.applied")).all()
    by = {line.detail["bucket"]: line.detail["by"] for line in lines}
    assert by[names[1]].startswith(f"arn:aws:sts::{THEIR_ACCOUNT}:assumed-role/lifecycle/")
    assert by[names[0]].startswith("s3:")
    for name in names:
        run(environment, "undo", name, "--yes")


def test_a_profile_that_is_not_there_and_a_bucket_named_twice_are_errors(world):
    environment, names, _, _ = world
    nobody = [{"use": "originals", "bucket": names[0], "profile": "nobody"}]
    twice = [{"use": "originals", "bucket": names[0]}] * 2
    for targets, message in ((nobody, "nobody"), (twice, "twice")):
        more = {**environment, "NIGHTLIGHT_RETENTION_LIFECYCLE_TARGETS": json.dumps(targets)}
        failure = json.loads(run(more, "plan", "--json", code=1))["error"]
        assert failure["code"] == "settings_refused"
        assert message in failure["message"]
