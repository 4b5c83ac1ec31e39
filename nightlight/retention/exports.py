"""The rules of a bucket as Terraform, CloudFormation or plain JSON, for those who put them by other means."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nightlight.retention.lifecycle_rule import LifecycleRule, write_rule


def as_json(buckets: Mapping[str, Sequence[LifecycleRule]]) -> str:
    """Return what `aws s3api put-bucket-lifecycle-configuration` takes, by bucket."""
    return json.dumps(
        {name: {"Rules": [write_rule(rule) for rule in rules]} for name, rules in buckets.items()}, indent=2
    )


def as_cloudformation(buckets: Mapping[str, Sequence[LifecycleRule]]) -> str:
    """Return a template of the buckets with their rules and versioning; add what else they have."""
    resources = {
        _camel(name): {
            "Type": "AWS::S3::Bucket",
            "DeletionPolicy": "Retain",
            "UpdateReplacePolicy": "Retain",
            "Properties": {
                "BucketName": name,
                "VersioningConfiguration": {"Status": "Enabled"},
                "LifecycleConfiguration": {"Rules": [_cloudformation(rule) for rule in rules]},
            },
        }
        for name, rules in buckets.items()
    }
    template = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
    return json.dumps(template, indent=2)


def as_terraform(buckets: Mapping[str, Sequence[LifecycleRule]]) -> str:
    """Return a Terraform resource for each bucket (provider hashicorp/aws); the buckets themselves are elsewhere."""
    return "\n".join(_terraform(name, rules) for name, rules in buckets.items())


EXPORT_FORMATS: dict[str, Callable[[Mapping[str, Sequence[LifecycleRule]]], str]] = {
    "json": as_json,
    "cloudformation": as_cloudformation,
    "terraform": as_terraform,
}


def warnings(form: str, server: str) -> list[str]:
    """Return what does not converge when a form is put on a kind of server (``aws``, ``ceph``, ``other``, ``auto``).

    Source: hashicorp/terraform-provider-aws, issues 25939, 46021 and pull request 49902: the provider waits until it
    reads the value of a header back that other servers do not send.
    """
    sentences = ["what is written here replaces every rule of the bucket, those of somebody else too"]
    if form == "terraform" and server != "aws":
        sentences.append(
            "servers other than AWS leave transition_default_minimum_object_size out, for which the provider waits: "
            "each apply times out and each plan shows a change; use `nightlight lifecycle apply` there"
        )
    if form == "cloudformation" and server != "aws":
        sentences.append("CloudFormation knows no server but AWS")
    return sentences


def _cloudformation(rule: LifecycleRule) -> dict[str, Any]:
    raw: dict[str, Any] = {"Id": rule.rule_id, "Status": "Enabled" if rule.enabled else "Disabled"}
    if rule.prefix:
        raw["Prefix"] = rule.prefix
    if rule.tags:
        raw["TagFilters"] = [{"Key": name, "Value": value} for name, value in rule.tags]
    if rule.expire_days is not None:
        raw["ExpirationInDays"] = rule.expire_days
    if rule.moves:
        raw["Transitions"] = [
            {"TransitionInDays": move.days, "StorageClass": move.storage_class} for move in rule.moves
        ]
    if rule.drop_delete_markers:
        raw["ExpiredObjectDeleteMarker"] = True
    if rule.noncurrent_days is not None:
        raw["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule.noncurrent_days}
    if rule.abort_upload_days is not None:
        raw["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": rule.abort_upload_days}
    return raw


def _terraform(bucket: str, rules: Sequence[LifecycleRule]) -> str:
    lines = [
        f'resource "aws_s3_bucket_lifecycle_configuration" "{bucket.replace("-", "_").replace(".", "_")}" {{',
        f"  bucket = {json.dumps(bucket)}",
    ]
    for rule in rules:
        lines += ["", "  rule {", f"    id     = {json.dumps(rule.rule_id)}"]
        lines += [f'    status = "{"Enabled" if rule.enabled else "Disabled"}"', "", *_filter(rule)]
        if rule.expire_days is not None:
            lines += ["", "    expiration {", f"      days = {rule.expire_days}", "    }"]
        for move in rule.moves:
            days, kind = f"      days          = {move.days}", f"      storage_class = {json.dumps(move.storage_class)}"
            lines += ["", "    transition {", days, kind, "    }"]
        if rule.drop_delete_markers:
            lines += ["", "    expiration {", "      expired_object_delete_marker = true", "    }"]
        if rule.noncurrent_days is not None:
            versions = f"      noncurrent_days = {rule.noncurrent_days}"
            lines += ["", "    noncurrent_version_expiration {", versions, "    }"]
        if rule.abort_upload_days is not None:
            upload = f"      days_after_initiation = {rule.abort_upload_days}"
            lines += ["", "    abort_incomplete_multipart_upload {", upload, "    }"]
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def _filter(rule: LifecycleRule) -> list[str]:
    if not rule.tags:
        return ["    filter {", f"      prefix = {json.dumps(rule.prefix)}", "    }"]
    if len(rule.tags) == 1 and not rule.prefix:
        ((name, value),) = rule.tags
        tag = [f"        key   = {json.dumps(name)}", f"        value = {json.dumps(value)}"]
        return ["    filter {", "      tag {", *tag, "      }", "    }"]
    prefix = [f"        prefix = {json.dumps(rule.prefix)}"] if rule.prefix else []
    wide = max(len(json.dumps(name)) for name, _ in rule.tags)
    tags = [f"          {json.dumps(name):<{wide}} = {json.dumps(value)}" for name, value in rule.tags]
    return ["    filter {", "      and {", *prefix, "        tags = {", *tags, "        }", "      }", "    }"]


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.replace(".", "-").split("-"))
