"""Make the two buckets on an S3 server and let the service and the workers do what their policies say.

The policies are ``service-policy.json`` and ``worker-policy.json`` beside this file, in the form that AWS
IAM and MinIO attach to an identity. Ceph has no such policies, so this script puts the same statements on
the buckets, each with its principal. On AWS attach the files themselves instead.

Where a bucket does not enforce its owner's ownership, as on Ceph, whoever puts an object owns it and may
read it whatever is not allowed; that is why the service's policy denies what it does not need.

    python infra/s3/buckets.py --endpoint URL --owner KEY:SECRET --originals NAME --renditions NAME
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import boto3
from botocore.client import Config

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

HERE = Path(__file__).parent
IDENTITIES = ("service", "worker")


def statements(identity: str, originals: str, renditions: str) -> list[dict[str, Any]]:
    """Return the statements of one identity's policy, with the buckets' names filled in."""
    text = (HERE / f"{identity}-policy.json").read_text("utf-8")
    filled = Template(text).substitute(ORIGINALS=originals, RENDITIONS=renditions)
    found: list[dict[str, Any]] = json.loads(filled)["Statement"]
    return found


def bucket_policy(bucket: str, originals: str, renditions: str) -> dict[str, Any]:
    """Return the bucket policy that gives both identities their statements about ``bucket``."""
    chosen = []
    for identity in IDENTITIES:
        for statement in statements(identity, originals, renditions):
            arns = [arn for arn in statement["Resource"] if arn.split(":::")[1].split("/")[0] == bucket]
            if arns:
                principal = {"AWS": [f"arn:aws:iam:::user/{identity}"]}
                chosen.append(
                    {**statement, "Sid": f"{identity}{statement['Sid']}", "Principal": principal, "Resource": arns}
                )
    return {"Version": "2012-10-17", "Statement": chosen}


def client(endpoint: str, key: str, secret: str) -> S3Client:
    """Return an S3 client for one identity."""
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session(aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")
    return session.client("s3", endpoint_url=endpoint, config=config)


def make_buckets(owner: S3Client, originals: str, renditions: str) -> None:
    """Make both buckets, unless they are there, and write their policies."""
    for bucket in (originals, renditions):
        owner.create_bucket(Bucket=bucket)
        owner.put_bucket_policy(Bucket=bucket, Policy=json.dumps(bucket_policy(bucket, originals, renditions)))


def main() -> None:
    """Read the command line and make the buckets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True, help="URL of the S3 server")
    parser.add_argument("--owner", required=True, help="KEY:SECRET of the identity that will own the buckets")
    parser.add_argument("--originals", default="nightlight-originals")
    parser.add_argument("--renditions", default="nightlight-renditions")
    options = parser.parse_args()
    make_buckets(client(options.endpoint, *options.owner.split(":", 1)), options.originals, options.renditions)


if __name__ == "__main__":
    main()
