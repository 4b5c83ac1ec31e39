"""What other tools are given means what `apply` puts."""

import json

import hcl2
import pytest

from nightlight.policy.compile import compile_folder
from nightlight.retention.exports import as_cloudformation, as_json, as_terraform
from nightlight.retention.lifecycle_rule import LifecycleRule, Transition, read_rule
from nightlight.retention.wanted_rules import PrefixRules, wanted_rules
from tests.conftest import ROOT

EXTRA = [
    LifecycleRule("two-tags", tags=(("a", "1"), ("b", 'quo"te')), expire_days=3),
    LifecycleRule(
        "moved", expire_days=400, moves=(Transition(30, None, "STANDARD_IA"), Transition(90, None, "GLACIER_IR"))
    ),
    LifecycleRule("both", prefix="x/", tags=(("a", "1"),), noncurrent_days=4, enabled=False),
]


@pytest.fixture(scope="module")
def buckets():
    table = compile_folder(ROOT / "policies").retention
    return {
        "nightlight-originals": [*wanted_rules(table, PrefixRules((("found/", "copies", 31),))), *EXTRA],
        "nightlight-renditions": wanted_rules(table, PrefixRules()),
    }


def test_json_is_what_the_command_line_of_aws_takes(buckets):
    documents = json.loads(as_json(buckets))
    assert {name: [read_rule(raw) for raw in document["Rules"]] for name, document in documents.items()} == buckets


def of_cloudformation(raw):
    """A rule as CloudFormation's documentation names its parts."""
    known = {
        "Id", "Status", "Prefix", "TagFilters", "ExpirationInDays", "ExpiredObjectDeleteMarker",
        "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload", "Transitions",
    }  # fmt: skip
    assert raw.keys() <= known
    return LifecycleRule(
        raw["Id"], enabled=raw["Status"] == "Enabled", prefix=raw.get("Prefix", ""),
        tags=tuple((tag["Key"], tag["Value"]) for tag in raw.get("TagFilters", [])),
        expire_days=raw.get("ExpirationInDays"), drop_delete_markers=raw.get("ExpiredObjectDeleteMarker", False),
        noncurrent_days=raw.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"),
        abort_upload_days=raw.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"),
        moves=tuple(Transition(move["TransitionInDays"], None, move["StorageClass"]) for move in raw.get("Transitions", [])),
    )  # fmt: skip


def test_cloudformation_says_the_same(buckets):
    template = json.loads(as_cloudformation(buckets))
    rules = {}
    for resource in template["Resources"].values():
        assert resource["Type"] == "AWS::S3::Bucket"
        assert resource["DeletionPolicy"] == "Retain"
        properties = resource["Properties"]
        rules[properties["BucketName"]] = [
            of_cloudformation(raw) for raw in properties["LifecycleConfiguration"]["Rules"]
        ]
    assert rules == buckets


def text(value):
    return json.loads(value) if isinstance(value, str) and value.startswith('"') else value


def of_terraform(block):
    """A rule block of aws_s3_bucket_lifecycle_configuration."""
    (where,) = block["filter"]
    both = where.get("and", [{}])[0]
    tag = where.get("tag", [None])[0]
    tags = {tag["key"]: tag["value"]} if tag else both.get("tags", {})
    expiration = block.get("expiration", [{}])[0]
    noncurrent = block.get("noncurrent_version_expiration", [{}])[0]
    upload = block.get("abort_incomplete_multipart_upload", [{}])[0]
    return LifecycleRule(
        text(block["id"]), enabled=text(block["status"]) == "Enabled",
        prefix=text(where.get("prefix", both.get("prefix", ""))),
        tags=tuple(sorted((text(name), text(value)) for name, value in tags.items() if not name.startswith("__"))),
        expire_days=expiration.get("days"),
        drop_delete_markers=bool(expiration.get("expired_object_delete_marker", False)),
        noncurrent_days=noncurrent.get("noncurrent_days"), abort_upload_days=upload.get("days_after_initiation"),
        moves=tuple(Transition(move["days"], None, text(move["storage_class"])) for move in block.get("transition", [])),
    )  # fmt: skip


# What the provider itself says of its arguments; the file names where that was read.
ARGUMENTS = json.loads((ROOT / "tests/unit/retention/aws_lifecycle_arguments.json").read_text())["arguments"]


def misnamed(block, path=""):
    """The arguments and blocks of a block that the provider does not know, and those that it asks for and are missing."""
    names = {name for name in block if not name.startswith("__")}
    known = ARGUMENTS[path]
    wrong = {f"{path}: {name}" for name in names - {*known["required"], *known["optional"]}}
    wrong |= {f"{path}: no {name}" for name in {*known["required"]} - names}
    for name in names:
        inner = f"{path}.{name}".strip(".")
        if inner in ARGUMENTS:
            wrong |= {fault for each in block[name] for fault in misnamed(each, inner)}
    return wrong


def resources(text_):
    for resource in hcl2.loads(text_)["resource"]:
        for named in resource.values():
            for body in named.values():
                yield from body if isinstance(body, list) else [body]


def test_terraform_has_the_arguments_of_the_provider_and_no_others(buckets):
    written = list(resources(as_terraform(buckets)))
    assert len(written) == len(buckets)
    assert [misnamed(body) for body in written] == [set()] * len(written)
    wrong = as_terraform(buckets).replace("noncurrent_days", "days", 1).replace("    filter {", "    filters {", 1)
    assert set().union(*map(misnamed, resources(wrong))) == {
        "rule: filters", "rule.noncurrent_version_expiration: days",
        "rule.noncurrent_version_expiration: no noncurrent_days",
    }  # fmt: skip


def test_terraform_says_the_same(buckets):
    rules = {}
    for resource in hcl2.loads(as_terraform(buckets))["resource"]:
        ((kind, named),) = resource.items()
        assert text(kind) == "aws_s3_bucket_lifecycle_configuration"
        (body,) = named.values()
        body = body[0] if isinstance(body, list) else body
        rules[text(body["bucket"])] = [of_terraform(block) for block in body["rule"]]
    assert rules == buckets
