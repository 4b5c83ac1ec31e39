"""What buckets must be like, on the real server; and that nobody can do there what is not theirs to do."""

import json
from fnmatch import fnmatchcase
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from nightlight.retention.bucket_policies import (
    BUCKETS,
    GRANTS,
    IDENTITIES,
    S3ServerKind,
    bucket_policy,
    canonical,
    identity_policy,
)
from nightlight.retention.posture import Posture, PostureRequirements, PostureState
from nightlight.store.interface import STATE_TAG
from nightlight_core.errors import NotFound, StoreDenied, StoreUnavailable
from tests.support.buckets import bucket_pair, infra_buckets
from tests.support.services import S3_KEEPER, S3_SERVICE, S3_WORKER, identity

pytestmark = pytest.mark.integration
NAMES = {bucket: f"b-{bucket}" for bucket in BUCKETS}


@pytest.fixture(scope="module")
def pair():
    with bucket_pair() as opened:
        yield opened


@pytest.fixture(scope="module")
def clients(pair):
    by_identity = {name: infra_buckets.client(pair.endpoint, *identity(who)) for name, who in
             (("service", S3_SERVICE), ("worker", S3_WORKER), ("keeper", S3_KEEPER))}  # fmt: skip
    yield SimpleNamespace(**by_identity)
    for client in by_identity.values():
        client.close()


def names(pair):
    return {bucket: getattr(pair, bucket) for bucket in BUCKETS}


def posture(pair, **changed):
    principals = {who: f"arn:aws:iam:::user/{who}" for who in IDENTITIES}
    return Posture(
        pair.owner,
        PostureRequirements(
            names(pair),
            principals,
            **{"tls_only": False, "block_public": False, "server": S3ServerKind.CEPH, **changed},
        ),
    )


def states(findings):
    return {finding.aspect: finding.state for finding in findings}


def refused(call, **named):
    with pytest.raises(ClientError) as refusal:
        call(**named)
    assert refusal.value.response["Error"]["Code"] == "AccessDenied"


def test_what_is_made_is_found_wanting_mended_and_found_right(pair):
    flow = posture(pair)
    before = states(flow.check("originals"))
    assert before["policy"] is PostureState.OK
    assert before["versioning"] is PostureState.DRIFT
    after = states(flow.fix("originals"))
    assert after["public access"] is PostureState.OK
    assert after["versioning"] is PostureState.OK
    assert after["cors"] is PostureState.OK
    assert after["object lock"] is PostureState.NOT_ASKED
    assert PostureState.OK not in {after["ownership"], after["encryption"]}  # what Ceph has not is not said to be right
    assert states(flow.check("vault"))["object lock"] is PostureState.OK


def test_what_somebody_changes_is_drift_and_is_mended(pair):
    flow = posture(pair)
    flow.fix("renditions")
    pair.owner.put_bucket_cors(
        Bucket=pair.renditions, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
    )
    pair.owner.put_bucket_versioning(Bucket=pair.renditions, VersioningConfiguration={"Status": "Suspended"})
    opened = bucket_policy("renditions", names(pair), {"service": "arn:aws:iam:::user/service"}, tls_only=False)
    pair.owner.put_bucket_policy(Bucket=pair.renditions, Policy=json.dumps(opened))
    drift = {finding.aspect: finding for finding in flow.check("renditions") if finding.state is PostureState.DRIFT}
    assert {"cors", "versioning", "policy"} <= drift.keys()
    assert (drift["cors"].actual, drift["cors"].expected) == ("1 rules", "none")
    after = states(flow.fix("renditions"))
    assert {after[name] for name in ("cors", "versioning", "policy")} == {PostureState.OK}


def test_a_vault_without_object_lock_is_drift_that_cannot_be_mended(pair):
    flow = Posture(
        pair.owner,
        PostureRequirements({**names(pair), "vault": pair.renditions}, {}, tls_only=False, block_public=False),
    )
    assert states(flow.fix("vault"))["object lock"] is PostureState.DRIFT


def test_the_services_key_cannot_read_an_original(pair, clients):
    """Not the one that it put, nor one that a worker put; nor list, delete or give itself the right."""
    clients.service.put_object(Bucket=pair.originals, Key="o/mine", Body=b"picture")
    clients.worker.put_object(Bucket=pair.originals, Key="o/other", Body=b"picture")
    for key in ("o/mine", "o/other"):
        refused(clients.service.get_object, Bucket=pair.originals, Key=key)
        refused(clients.service.delete_object, Bucket=pair.originals, Key=key)
        refused(clients.service.put_object_acl, Bucket=pair.originals, Key=key, ACL="public-read")
        with pytest.raises(ClientError):
            clients.service.head_object(Bucket=pair.originals, Key=key)
    refused(clients.service.list_objects_v2, Bucket=pair.originals)
    refused(clients.service.list_object_versions, Bucket=pair.originals)
    refused(clients.service.put_object, Bucket=pair.renditions, Key="a/x", Body=b"forged")
    refused(clients.service.list_objects_v2, Bucket=pair.renditions)
    assert clients.worker.get_object(Bucket=pair.originals, Key="o/mine")["Body"].read() == b"picture"


def test_the_vault_is_out_of_reach_of_service_and_workers(pair, clients):
    put = clients.worker.put_object(
        Bucket=pair.vault, Key="h/1", Body=b"evidence", ObjectLockLegalHoldStatus="ON", ContentMD5=_md5(b"evidence")
    )
    for client in (clients.service, clients.worker):
        refused(client.get_object, Bucket=pair.vault, Key="h/1")
        refused(client.delete_object, Bucket=pair.vault, Key="h/1", VersionId=put["VersionId"])
        refused(client.list_objects_v2, Bucket=pair.vault)
        refused(client.list_object_versions, Bucket=pair.vault)
    refused(clients.service.put_object, Bucket=pair.vault, Key="h/2", Body=b"forged")
    refused(clients.keeper.get_object, Bucket=pair.originals, Key="o/mine")
    assert clients.keeper.get_object(Bucket=pair.vault, Key="h/1")["Body"].read() == b"evidence"
    # While the legal hold is on nobody deletes it, not who keeps the vault nor who owns the bucket.
    for client in (clients.keeper, pair.owner):
        refused(client.delete_object, Bucket=pair.vault, Key="h/1", VersionId=put["VersionId"])
    assert clients.keeper.get_object(Bucket=pair.vault, Key="h/1")["Body"].read() == b"evidence"


def test_who_may_not_look_is_told_so_and_what_is_away_is_an_outage(pair, clients):
    with pytest.raises(StoreDenied):
        Posture(clients.service, PostureRequirements(names(pair), {})).check("originals")
    away = infra_buckets.client("http://127.0.0.1:9", "x", "y")
    away.meta.config.retries = {"total_max_attempts": 1}
    with pytest.raises(StoreUnavailable):
        Posture(away, PostureRequirements(names(pair), {})).check("originals")
    with pytest.raises(NotFound, match="no bucket 'other'"):
        posture(pair).chosen(["other"])
    assert posture(pair).chosen(None) == list(BUCKETS)


def statements(policy, effect):
    return [statement for statement in policy["Statement"] if statement["Effect"] == effect]


def test_each_is_allowed_only_its_own_and_everything_else_is_denied_by_name_and_by_what_is_not_named():
    allowed = {(grant.identity, grant.bucket): set(grant.actions) for grant in GRANTS}
    assert len(allowed) == len(GRANTS) == len(IDENTITIES) * len(BUCKETS)  # nothing is left to a default
    assert allowed["service", "originals"] == {"PutObject"}
    assert allowed["service", "renditions"] == {"GetObject"}
    assert allowed["service", "exports"] == {"GetObject"}
    assert allowed["service", "vault"] == allowed["keeper", "renditions"] == allowed["keeper", "exports"] == set()
    assert allowed["worker", "vault"] == {"PutObject", "PutObjectLegalHold"}
    assert not any("*" in action for grant in GRANTS for action in grant.actions)
    for who in IDENTITIES:
        policy = identity_policy(who, NAMES)
        assert who not in json.dumps(policy)
        assert any(
            statement["Action"] == ["s3:CreateBucket"]
            for statement in statements(policy, "Deny")
            if "Action" in statement
        )
        for grant in (granted for granted in GRANTS if granted.identity == who):
            arn = f"arn:aws:s3:::{NAMES[grant.bucket]}"
            denials = [
                statement
                for statement in statements(policy, "Deny")
                if arn in statement["Resource"] and "Condition" not in statement
            ]
            named = [action for statement in denials for action in statement.get("Action", [])]
            assert [statement["NotAction"] for statement in denials if "NotAction" in statement] == (
                [[f"s3:{action}" for action in grant.actions]] if grant.actions else []
            )
            for action in ACTIONS.split():
                if action in {"GetObjectAcl", "PutObjectAcl"}:  # NotAction denies them; MinIO refuses their names
                    assert action not in grant.actions
                    continue
                assert any(fnmatchcase(f"s3:{action}", pattern) for pattern in named) == (action not in grant.actions)


# What Ceph RGW 16.2 and AWS know of objects and buckets.
ACTIONS = """GetObject GetObjectVersion PutObject GetObjectAcl GetObjectVersionAcl PutObjectAcl PutObjectVersionAcl
DeleteObject DeleteObjectVersion ListMultipartUploadParts AbortMultipartUpload GetObjectVersionTorrent
RestoreObject CreateBucket DeleteBucket ListBucket ListBucketVersions ListBucketMultipartUploads GetBucketAcl PutBucketAcl
GetBucketCORS PutBucketCORS GetBucketVersioning PutBucketVersioning GetBucketPolicy PutBucketPolicy DeleteBucketPolicy
GetBucketTagging PutBucketTagging GetLifecycleConfiguration PutLifecycleConfiguration PutReplicationConfiguration
GetReplicationConfiguration GetObjectTagging PutObjectTagging DeleteObjectTagging GetObjectVersionTagging
PutObjectVersionTagging DeleteObjectVersionTagging PutObjectRetention GetObjectRetention PutObjectLegalHold
GetObjectLegalHold BypassGovernanceRetention PutBucketPublicAccessBlock GetBucketPublicAccessBlock"""


def conditions(bucket, server, who):
    policy = bucket_policy(bucket, NAMES, {who: "arn:w"}, tls_only=False, server=server)
    return [statement["Condition"] for statement in policy["Statement"] if "Condition" in statement]


def test_a_server_is_told_only_what_it_knows():
    demanded = {"Null": {"s3:if-none-match": "true"}}
    for bucket, who in (("originals", "service"), ("vault", "worker")):
        assert demanded in conditions(bucket, S3ServerKind.AWS, who)
        assert demanded not in conditions(bucket, S3ServerKind.CEPH, who) + conditions(bucket, S3ServerKind.OTHER, who)
    assert demanded not in conditions("originals", S3ServerKind.AWS, "worker")  # it tags by writing anew
    assert demanded not in conditions("originals", S3ServerKind.AWS, "keeper")  # it puts back what may be there
    tagged = {"StringLike": {f"s3:RequestObjectTag/{STATE_TAG}": "*"}}
    assert tagged in conditions("originals", S3ServerKind.CEPH, "service")
    assert tagged not in conditions("originals", S3ServerKind.CEPH, "worker")
    for server in S3ServerKind:
        assert {"StringNotEquals": {"s3:object-lock-legal-hold": "ON"}} in conditions("vault", server, "worker")
        assert not any("legal-hold" in json.dumps(condition) for condition in conditions("vault", server, "keeper"))


def test_without_tls_nothing():
    (deny, *rest) = bucket_policy("originals", NAMES, {"worker": "arn:w"}, tls_only=True)["Statement"]
    assert (deny["Effect"], deny["Action"], deny["Principal"]) == ("Deny", "s3:*", "*")
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert rest
    assert all(statement["Principal"] == {"AWS": ["arn:w"]} for statement in rest)


def test_policies_that_mean_the_same_are_the_same():
    policy = {"Version": "2012-10-17", "Statement": [{"Action": ["a", "b"], "Resource": ["r"]}, {"Action": "c"}]}
    two = {"Statement": [{"Action": ["c"]}, {"Resource": "r", "Action": ["b", "a"]}]}
    assert canonical(policy) == canonical(two)
    assert canonical(policy) != canonical({"Statement": [{"Action": ["a"], "Resource": ["r"]}, {"Action": "c"}]})


def _md5(data):
    import base64
    import hashlib

    return base64.b64encode(hashlib.md5(data).digest()).decode()


def test_the_command_shows_drift_and_mends_it(pair, capsys, monkeypatch):
    from nightlight.cli import bucket_commands as command

    wanted = posture(pair)
    monkeypatch.setattr("nightlight.wiring.retention.posture", lambda _: wanted)
    pair.owner.put_bucket_versioning(Bucket=pair.originals, VersioningConfiguration={"Status": "Suspended"})
    with pytest.raises(Exception) as ended:
        command.check(bucket=["originals"], as_json=True)
    assert ended.value.exit_code == 2
    findings = json.loads(capsys.readouterr().out)
    assert [finding["state"] for finding in findings if finding["aspect"] == "versioning"] == ["drift"]
    with pytest.raises(Exception) as ended:
        command.fix(bucket=["originals"], yes=True, as_json=True)
    findings = json.loads(capsys.readouterr().out)
    assert [finding["state"] for finding in findings if finding["aspect"] == "versioning"] == ["ok"]
