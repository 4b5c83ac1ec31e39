"""What each identity can do on the real server, tried with its own key: by the probe, and beside it."""

import json

import pytest
from typer.testing import CliRunner

from nightlight.cli.main import app
from nightlight.retention.access_attempts import ATTEMPTS, PROBES
from nightlight.retention.access_probe import AccessProbe, ProbeOutcome
from nightlight.retention.bucket_policies import BUCKETS, GRANTS, IDENTITIES, S3ServerKind, bucket_policy
from nightlight.store.sealing import generate_seal_keys
from nightlight_core.errors import InvalidInput, StoreUnavailable
from tests.support.buckets import bucket_pair, infra_buckets
from tests.support.services import S3_KEEPER, S3_OWNER, S3_SERVICE, S3_WORKER, identity, token
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration
VARIABLES = {"service": S3_SERVICE, "worker": S3_WORKER, "keeper": S3_KEEPER}
OPEN = (ProbeOutcome.DONE, ProbeOutcome.MISSING, ProbeOutcome.UNCLEAR)


@pytest.fixture(scope="module")
def pair():
    with bucket_pair() as opened:
        yield opened


def names(pair):
    return {bucket: getattr(pair, bucket) for bucket in BUCKETS}


def probe(pair, who, **more):
    client = infra_buckets.client(pair.endpoint, *identity(VARIABLES[who]))
    return AccessProbe(client, who, names(pair), S3ServerKind.CEPH, **more).run()


def outcomes_of(report, *outcomes):
    return sorted((attempt.bucket, attempt.what) for attempt in report.in_bucket(*outcomes))


def keys(pair, bucket):
    who = S3_KEEPER if bucket == "vault" else S3_OWNER
    client = infra_buckets.client(pair.endpoint, *identity(who))
    return [entry["Key"] for entry in client.list_objects_v2(Bucket=names(pair)[bucket]).get("Contents", [])]


def test_every_identity_can_do_what_it_must_and_nothing_else(pair):
    """One after the other: the service's probe stays until the workers' clears it, theirs until the keeper's does."""
    for bucket in ("originals", "renditions"):
        pair.owner.put_object(Bucket=names(pair)[bucket], Key="o/real", Body=b"picture")
    for who, overwritten in (("service", ["originals"]), ("worker", ["vault"]), ("keeper", [])):
        report = probe(pair, who)
        assert outcomes_of(report, *OPEN) == []
        assert outcomes_of(report, ProbeOutcome.LIMIT) == [(bucket, "overwrite it") for bucket in overwritten]
        assert len(report.in_bucket(ProbeOutcome.REFUSED)) > 40
        assert (who == "service") <= any(key.startswith(PROBES) for key in keys(pair, "originals"))
        assert (who == "worker") == any(key.startswith(PROBES) for key in keys(pair, "vault"))
        if who == "worker":
            assert keys(pair, "originals") == keys(pair, "renditions") == ["o/real"]
    for bucket in ("originals", "renditions"):
        assert pair.owner.get_object(Bucket=names(pair)[bucket], Key="o/real")["Body"].read() == b"picture"


def test_every_action_that_is_denied_and_about_objects_is_tried():
    tried = {attempt.action for attempt in ATTEMPTS} | {"PutObject", "GetObjectLegalHold", "GetObjectRetention"}
    assert {action for grant in GRANTS for action in grant.actions} - tried == {"AbortMultipartUpload"}


@pytest.fixture
def elsewhere(pair):
    """A bucket of somebody else's on the same server, which lets everybody do everything."""
    name = f"open-{token()}"
    pair.owner.create_bucket(Bucket=name)
    anybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": [f"arn:aws:s3:::{name}/*"]}
    pair.owner.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [anybody]}))
    yield name
    anyones = infra_buckets.client(pair.endpoint, *identity(S3_SERVICE))
    for entry in pair.owner.list_objects_v2(Bucket=name).get("Contents", []):
        anyones.delete_object(Bucket=name, Key=entry["Key"])
    pair.owner.delete_bucket(Bucket=name)
    anyones.close()


@pytest.mark.parametrize(
    ("who", "bucket_name"), [("service", "originals"), ("worker", "vault"), ("keeper", "originals")]
)
def test_the_way_that_no_policy_closes_is_found(pair, elsewhere, who, bucket_name):
    report = probe(pair, who, elsewhere=elsewhere)
    assert (bucket_name, "copy it by parts into another's bucket") in outcomes_of(report, ProbeOutcome.LIMIT)
    assert (bucket_name, "copy it into another's bucket") in outcomes_of(report, ProbeOutcome.REFUSED)
    assert all(attempt.remedy for attempt in report.in_bucket(ProbeOutcome.LIMIT))
    assert pair.owner.list_objects_v2(Bucket=elsewhere).get("KeyCount") == 0  # cleared away


@pytest.fixture
def loose(pair):
    """Buckets whose policies allow what is needed and deny nothing, as before; what each is to be like comes back."""
    principals = {who: f"arn:aws:iam:::user/{who}" for who in IDENTITIES}
    for bucket, name in names(pair).items():
        policy = bucket_policy(bucket, names(pair), principals, tls_only=False)
        allowed = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
        pair.owner.put_bucket_policy(Bucket=name, Policy=json.dumps({**policy, "Statement": allowed}))
        pair.owner.delete_public_access_block(Bucket=name)
    yield
    for bucket, name in names(pair).items():
        policy = bucket_policy(bucket, names(pair), principals, tls_only=False, server=S3ServerKind.CEPH)
        pair.owner.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    # What a worker could lock there is locked for seconds.
    eventually(lambda: probe(pair, "keeper") and not keys(pair, "vault"))


def test_what_is_open_is_said_to_be(pair, loose):
    done = outcomes_of(probe(pair, "service"), ProbeOutcome.DONE)
    for what in ("read it", "tag it", "make it public", "put a public one", "put one with a tag", "read its ACL",
                 "put a public one by a form", "copy it by parts into the bucket of originals"):  # fmt: skip
        assert ("originals", what) in done
    done = outcomes_of(probe(pair, "worker"), ProbeOutcome.DONE)
    for what in ("read it", "lift its legal hold", "copy it by parts into the bucket of renditions"):
        assert ("vault", what) in done


def test_a_bucket_that_an_identity_could_make_is_found_and_taken_away_again(pair):
    client = infra_buckets.client(pair.endpoint, *identity(S3_OWNER))
    report = AccessProbe(client, "service", names(pair), S3ServerKind.CEPH).run()
    (attempt,) = [attempt for attempt in report.results if attempt.what == "make one"]
    assert attempt.outcome is ProbeOutcome.DONE
    assert "originals" in attempt.answer
    assert not [bucket for bucket in client.list_buckets()["Buckets"] if bucket["Name"].startswith("nightlight-probe-")]


def test_a_server_that_is_away_and_an_identity_that_there_is_not(pair):
    away = infra_buckets.client("http://127.0.0.1:9", "x", "y")
    away.meta.config.retries = {"total_max_attempts": 1}
    with pytest.raises(StoreUnavailable):
        AccessProbe(away, "service", names(pair), S3ServerKind.CEPH).run()
    with pytest.raises(InvalidInput, match="service, worker, keeper"):
        AccessProbe(away, "owner", names(pair), S3ServerKind.CEPH).run()


@pytest.fixture
def settings(pair, monkeypatch):
    def kept_settings(who, **more):
        key, secret = identity(VARIABLES[who])
        variables = {
            "KIND": "s3", "SERVER": "ceph", "ENDPOINT_URL": pair.endpoint, "ACCESS_KEY_ID": key,
            "SECRET_ACCESS_KEY": secret, **{f"{what.upper()}_BUCKET": names(pair)[what] for what in BUCKETS}, **more,
        }  # fmt: skip
        for name, value in variables.items():
            monkeypatch.setenv(f"NIGHTLIGHT_STORE_{name}", value)

    return kept_settings


def command(*more):
    return CliRunner().invoke(app, ["buckets", "check", *more])


def test_the_command_says_what_came_back_and_ends_by_it(pair, settings, elsewhere):
    settings("service")
    asked = command("--identity", "service", "--json")
    assert asked.exit_code == 3  # overwriting alone, which sealing covers
    report = json.loads(asked.output)
    assert (report["identity"], report["sealed"], report["left"]) == ("service", True, [f"originals: {PROBES}"])
    assert {"bucket": "originals", "what": "read it", "outcome": "refused", "answer": "AccessDenied", "remedy": ""} in (
        report["tried"]
    )
    assert command("--identity", "service", "--elsewhere", elsewhere).exit_code == 3
    settings("service", SEAL="off")
    asked = command("--identity", "service", "--elsewhere", elsewhere)
    assert asked.exit_code == 2  # nothing covers what no policy closes
    assert "not sealed" in asked.output
    settings("worker", SEAL="auto")
    assert command("--identity", "worker").exit_code == 2  # the vault is not sealed
    settings("worker", VAULT_SEAL_PUBLIC_KEY=f"v1:{generate_seal_keys()[1]}")
    assert command("--identity", "worker").exit_code == 3
    settings("keeper")
    assert command("--identity", "keeper").exit_code == 0


def test_the_command_finds_what_is_open(pair, settings, loose):
    settings("service")
    assert command("--identity", "service").exit_code == 2
