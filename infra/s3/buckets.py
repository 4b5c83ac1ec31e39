"""Make the buckets on an S3 server and let the service, the workers and the vault's keeper do what they need.

For development and for tests: on AWS use infra/terraform, or attach the files beside this one to the identities and run
`nightlight buckets fix`. The vault is made with object lock, which a bucket has from the beginning or never.

    python infra/s3/buckets.py --endpoint URL --owner KEY:SECRET --originals NAME --renditions NAME --vault NAME
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

import boto3
from botocore.client import Config

from nightlight.retention.bucket_policies import BUCKETS, IDENTITIES, S3ServerKind, bucket_policy

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import PublicAccessBlockConfigurationTypeDef

VAULT = BUCKETS[-1]
_NO_PUBLIC_ACLS: PublicAccessBlockConfigurationTypeDef = {
    "BlockPublicAcls": False,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": False,
    "RestrictPublicBuckets": False,
}


def client(endpoint: str, key: str, secret: str) -> S3Client:
    """Return an S3 client for one identity."""
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")
    return session.client("s3", endpoint_url=endpoint, config=config)


def make_buckets(owner: S3Client, names: dict[str, str], server: str = S3ServerKind.CEPH) -> None:
    """Make every bucket, write its policy and let it ignore public ACLs; ``names`` are by what they are for."""
    principals = {identity: f"arn:aws:iam:::user/{identity}" for identity in IDENTITIES}
    for what, name in names.items():
        owner.create_bucket(Bucket=name, ObjectLockEnabledForBucket=what == VAULT)
        policy = bucket_policy(what, names, principals, tls_only=False, server=S3ServerKind(server))
        owner.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
        if server == S3ServerKind.CEPH:  # which takes the policies of other identities for public ones
            owner.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=_NO_PUBLIC_ACLS)


def main() -> None:
    """Read the command line and make the buckets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True, help="URL of the S3 server")
    parser.add_argument("--owner", required=True, help="KEY:SECRET of the identity that will own the buckets")
    for what in BUCKETS:
        parser.add_argument(f"--{what}", default=f"nightlight-{what}")
    parser.add_argument("--server", default=S3ServerKind.CEPH.value, choices=[kind.value for kind in S3ServerKind])
    options = parser.parse_args()
    names = {what: getattr(options, what) for what in BUCKETS}
    make_buckets(client(options.endpoint, *options.owner.split(":", 1)), names, options.server)


if __name__ == "__main__":
    main()
