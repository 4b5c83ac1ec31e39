"""The Terraform module is formatted, parses, names nothing that is not there, and allows what the description allows.

HashiCorp's own formatter and parser come as WebAssembly in npm packages. No provider can be had without its registry, so
nothing here is planned against one.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

from nightlight.policy.compile import compile_folder
from nightlight.retention.bucket_policies import BUCKETS, GRANTS, IDENTITIES
from nightlight.retention.exports import as_cloudformation, as_terraform
from nightlight.retention.lifecycle_rule import Transition
from nightlight.retention.wanted_rules import PrefixRules, wanted_rules
from tests.conftest import ROOT
from tests.support.services import node_in

pytestmark = pytest.mark.integration
HERE, MODULE = Path(__file__).parent, ROOT / "infra" / "terraform"


@pytest.fixture(scope="module")
def rendered():
    table = compile_folder(ROOT / "policies").retention
    named, moves = (("found/", "copies", 31),), (Transition(30, None, "STANDARD_IA"),)
    return {
        "nightlight-originals": wanted_rules(table, PrefixRules(named, moves)),
        "nightlight-renditions": wanted_rules(table, PrefixRules()),
    }


@pytest.fixture(scope="module")
def files(rendered):
    """{name: {text, formatted, parsed}} of the module's files, and of what the command renders."""
    node = node_in(HERE)
    texts = {path.name: path.read_text("utf-8") for path in sorted(MODULE.glob("*.tf"))}
    texts |= {"rendered.tf": as_terraform(rendered), "wrong": "a={\nb =1\n}\n"}
    ran = subprocess.run(
        [node, "read.mjs"], cwd=HERE, input=json.dumps(texts), capture_output=True, text=True, check=True
    )
    formatted = json.loads(ran.stdout)
    return {name: {"text": text, **formatted[name]} for name, text in texts.items()}


def module(files):
    return {name: file for name, file in files.items() if name not in {"rendered.tf", "wrong"}}


def test_every_file_is_as_terraform_fmt_would_write_it(files):
    assert files.pop("wrong")["formatted"] == "a = {\n  b = 1\n}\n"
    for name, file in files.items():
        assert file["formatted"] == file["text"], name


def test_nothing_is_named_that_is_not_there(files):
    whole = "\n".join(re.sub(r"^\s*#.*$", "", file["text"], flags=re.MULTILINE) for file in module(files).values())
    declared = {"var": set(), "local": set(), "resource": set(), "data": set()}
    for file in module(files).values():
        parsed = file["parsed"]
        declared["var"] |= set(parsed.get("variable", {}))
        declared["local"] |= {name for block in parsed.get("locals", []) for name in block}
        declared["resource"] |= {
            f"{kind}.{name}" for kind, named in parsed.get("resource", {}).items() for name in named
        }
        declared["data"] |= {f"{kind}.{name}" for kind, named in parsed.get("data", {}).items() for name in named}
    used = {
        "var": set(re.findall(r"\bvar\.(\w+)", whole)),
        "local": set(re.findall(r"\blocal\.(\w+)", whole)),
        "data": set(re.findall(r"\bdata\.(\w+\.\w+)", whole)),
        "resource": set(re.findall(r"(?<![.\w])(aws_\w+\.\w+)", re.sub(r"data\.aws_\w+\.\w+", "", whole))),
    }
    for kind, names in used.items():
        assert names <= declared[kind], kind
    assert declared["var"] == used["var"]
    assert declared["local"] == used["local"]


def local(files, name):
    return next(
        block[name] for file in module(files).values() for block in file["parsed"].get("locals", []) if name in block
    )


def test_the_policies_leave_open_what_the_module_fills_in(files):
    blanks = set(local(files, "blanks"))
    assert blanks == {name.upper() for name in (*BUCKETS, *IDENTITIES)}
    for name in (
        *(f"{identity_name}-policy" for identity_name in IDENTITIES),
        *(f"{bucket_name}-bucket-policy" for bucket_name in BUCKETS),
    ):
        text = (ROOT / "infra" / "s3" / f"{name}.json").read_text("utf-8")
        assert set(re.findall(r"\$\{(\w+)\}", text)) <= blanks
        assert json.loads(text)["Statement"]


def test_a_key_is_used_by_who_may_put_or_read_there_and_by_nobody_else(files):
    for action, name in (("PutObject", "key_writers"), ("GetObject", "key_readers")):
        wanted = {
            bucket: sorted(grant.identity for grant in GRANTS if grant.bucket == bucket and action in grant.actions)
            for bucket in BUCKETS
        }
        assert {bucket: sorted(names) for bucket, names in local(files, name).items()} == wanted


def test_workers_alone_sign_manifests(files):
    parsed = files["manifests.tf"]["parsed"]
    (key,) = parsed["resource"]["aws_kms_key"]["manifests"]
    assert (key["customer_master_key_spec"], key["key_usage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")
    (policy,) = parsed["data"]["aws_iam_policy_document"]["manifests"]
    statements = {statement["sid"]: statement for statement in policy["statement"]}
    assert statements["WorkersSign"]["actions"] == ["kms:Sign", "kms:GetPublicKey"]
    assert statements["WorkersSign"]["principals"][0]["identifiers"] == ['${aws_iam_role.this["worker"].arn}']
    assert set(statements) == {"TheAccountKeepsTheKey", "WorkersSign"}


def test_cloudfront_says_what_nginx_says_and_takes_away_what_a_bucket_tells(files):
    from service.routes.rendition_files import HEADERS

    pattern = re.search(r'regexall\("(.+?)", file', files["cloudfront.tf"]["text"])[1].replace('\\"', '"')
    lines = (ROOT / "infra/edge/nginx/headers.conf").read_text("utf-8")
    headers = dict(re.findall(pattern.replace("\\\\", "\\"), lines))
    assert headers == {name: value for name, value in HEADERS.items() if name != "Accept-Ranges"}
    (policy,) = files["cloudfront.tf"]["parsed"]["resource"]["aws_cloudfront_response_headers_policy"]["pictures"]
    (secured,) = policy["security_headers_config"]
    assert secured["content_security_policy"][0]["content_security_policy"] == HEADERS["Content-Security-Policy"]
    assert secured["referrer_policy"][0]["referrer_policy"] == HEADERS["Referrer-Policy"]
    assert set(local(files, "edge_secured")) <= set(HEADERS)
    removed = {name.lower() for name in local(files, "edge_removed")}
    assert {"last-modified", "x-amz-expiration", "x-amz-tagging-count", "x-amz-version-id"} <= removed
    assert len(removed) <= 10  # CloudFront takes no more


def test_the_roles_are_the_identities_and_the_buckets_the_buckets(files):
    assert set(local(files, "trusted")) == set(IDENTITIES)
    assert set(local(files, "names")) == set(BUCKETS)
    (bucket,) = files["buckets.tf"]["parsed"]["resource"]["aws_s3_bucket"]["this"]
    assert bucket["object_lock_enabled"] == '${each.key == "vault"}'
    assert bucket["lifecycle"] == [{"prevent_destroy": True}]


def test_what_the_command_renders_holds_every_rule(files, rendered):
    resources = files["rendered.tf"]["parsed"]["resource"]["aws_s3_bucket_lifecycle_configuration"]
    rule_ids = {body["bucket"]: [rule["id"] for rule in body["rule"]] for (body,) in resources.values()}
    assert rule_ids == {name: [rule.rule_id for rule in rules] for name, rules in rendered.items()}


def test_cfn_lint_finds_nothing_wrong_with_the_cloudformation(rendered, tmp_path):
    import sys

    path = tmp_path / "template.json"
    path.write_text(as_cloudformation(rendered), "utf-8")
    lint = Path(sys.executable).parent / "cfn-lint"
    ran = subprocess.run([lint, "--non-zero-exit-code", "error", path], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stdout
    path.write_text(as_cloudformation(rendered).replace("ExpirationInDays", "ExpirationInWeeks", 1), "utf-8")
    ran = subprocess.run([lint, path], capture_output=True, text=True, check=False)
    assert "ExpirationInWeeks" in ran.stdout


def test_alerts_name_metrics_that_there_are():
    from ruamel.yaml import YAML

    from nightlight import metrics

    known = {
        name
        for metric in vars(metrics).values()
        if hasattr(metric, "_name")
        for name in (metric._name, f"{metric._name}_total")
    }
    known |= {
        "nightlight_lifecycle_drift",
        "nightlight_lifecycle_drift_looked_seconds",
    }  # of an operator's command, in a file
    groups = YAML(typ="safe").load((ROOT / "infra" / "alerts.yaml").read_text("utf-8"))["groups"]
    used = {name for group in groups for rule in group["rules"] for name in re.findall(r"nightlight_\w+", rule["expr"])}
    assert used
    assert used <= known
