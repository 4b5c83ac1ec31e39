"""A third S3 server, from npm, that knows no lifecycle rules and no versions: every command says so, and changes nothing."""

import json
import subprocess
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from tests.conftest import ROOT
from tests.support.command import run_command
from tests.support.services import node_in

pytestmark = pytest.mark.integration
HERE = Path(__file__).parent
BUCKETS = ("ORIGINALS", "RENDITIONS", "VAULT", "EXPORTS")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The settings of an operator of this server."""
    folder = tmp_path_factory.mktemp("s3rver")
    names = {f"NIGHTLIGHT_STORE_{use}_BUCKET": f"nightlight-{use.lower()}" for use in BUCKETS}
    command = [node_in(HERE), "serve.mjs", str(folder / "objects"), *names.values()]
    with subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline())
        environment = {
            "NIGHTLIGHT_CATALOGUE_URL": f"sqlite:///{folder / 'c.sqlite3'}", "NIGHTLIGHT_STORE_KIND": "s3",
            "NIGHTLIGHT_STORE_ENDPOINT_URL": f"http://127.0.0.1:{port}", "NIGHTLIGHT_STORE_ACCESS_KEY_ID": "S3RVER",
            "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": "S3RVER", "NIGHTLIGHT_POLICY_DIR": str(ROOT / "policies"),
            "COLUMNS": "200", **names,
        }  # fmt: skip
        catalogue = Catalogue(environment["NIGHTLIGHT_CATALOGUE_URL"])
        migrate.upgrade(catalogue.engine)
        catalogue.close()
        yield environment
        server.terminate()


@pytest.mark.parametrize("arguments", [("plan",), ("apply", "--yes"), ("drift",)])
def test_commands_say_that_there_are_no_rules_here_and_that_asking_again_is_in_vain(environment, arguments):
    done = run_command(["lifecycle", *arguments, "--json"], environment)
    assert done.returncode == 1
    answers = json.loads(done.stdout)
    errors = [answer["error"] for answer in answers] if isinstance(answers, list) else [answers["error"]]
    for error in errors:
        assert (error["code"], error["retryable"]) == ("lifecycle_refused", False)
        assert "this server has no lifecycle rules" in error["message"]


def test_what_is_due_is_looked_for_without_rules(environment):
    done = run_command(["lifecycle", "verify", "--json"], environment)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"late": 0, "objects": []})


def test_an_object_is_put_and_read_back_and_its_condition_is_not_kept(environment):
    """Whoever would trust it with originals is answers by this: a second writer wins, and nothing says so."""
    client = boto3.client(
        "s3", endpoint_url=environment["NIGHTLIGHT_STORE_ENDPOINT_URL"], region_name="us-east-1",
        aws_access_key_id="S3RVER", aws_secret_access_key="S3RVER", config=Config(s3={"addressing_style": "path"}),
    )  # fmt: skip
    where = {"Bucket": "nightlight-originals", "Key": "o/one"}
    client.put_object(**where, Body=b"first")
    client.put_object(**where, Body=b"second", IfNoneMatch="*")
    assert client.get_object(**where)["Body"].read() == b"second"
    assert "Status" not in client.get_bucket_versioning(Bucket=where["Bucket"])
