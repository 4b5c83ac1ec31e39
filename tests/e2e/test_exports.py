"""A person's own data over HTTP and by the command, on both deployments: the service reads no original for it."""

import hashlib
import io
import json
import os
import stat
import zipfile

import httpx
import jsonschema
import pyrage
import pytest

from nightlight.cli import key_commands
from nightlight_client import Problem
from tests.conftest import ROOT
from tests.support import pictures
from tests.support.command import run_command
from tests.support.hostile_ids import IDS
from tests.support.waiting import HANG_S

pytestmark = [pytest.mark.e2e, pytest.mark.integration]


@pytest.fixture(scope="module")
def owner(client):
    """A profile with a picture, and the picture."""
    picture = pictures.photograph("chelsea.png")
    client.declare("exporter", band="age_13_15", assurance="verified", region="eu")
    client.wait(client.upload("exporter", picture).image_id)
    return "exporter", picture


def files_of(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def bearer(stack, *scopes):
    return {
        "Authorization": f"Bearer {key_commands.token(stack.folder, scopes=list(scopes) or None, subject='t', hours=1)}"
    }


def test_from_the_question_to_the_archive(stack, client, owner):
    profile_id, picture = owner
    assert client.export_profile(profile_id).state == "pending"
    ready = client.wait_export(profile_id, timeout_s=HANG_S)
    assert (ready.state, ready.reason) == ("ready", None)
    answer = httpx.get(f"{stack.url}/v1/profiles/{profile_id}/export/file", headers=bearer(stack, "export"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] == 'attachment; filename="export.zip"'
    assert hashlib.sha256(answer.content).hexdigest() == ready.sha256
    assert answer.content == client.export_file(profile_id)
    files = files_of(answer.content)
    content = json.loads(files["export.json"])
    jsonschema.validate(content, json.loads((ROOT / "docs/reference/export.schema.json").read_text()))
    assert files[content["pictures"][0]["original"]["file"]] == picture
    client.delete_export(profile_id)
    for ask in (client.export_status, client.export_file, client.delete_export):
        with pytest.raises(Problem) as gone:
            ask(profile_id)
        assert gone.value.status == 404


def test_the_command_writes_it_for_its_owner_alone(stack, owner, tmp_path):
    profile_id, picture = owner
    identity = pyrage.x25519.Identity.generate()
    environment = {
        **os.environ,
        "NIGHTLIGHT_URL": stack.url,
        "NIGHTLIGHT_TOKEN": bearer(stack, "export")["Authorization"].removeprefix("Bearer "),
    }
    out = tmp_path / "own.zip.age"
    asked = [
        "export",
        profile_id,
        "--out",
        out,
        "--seal-to",
        str(identity.to_public()),
        "--json",
        "--wait",
        str(HANG_S),
    ]
    done = run_command(asked, environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bytes"] == out.stat().st_size
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    files = files_of(pyrage.decrypt(out.read_bytes(), [identity]))
    assert picture in files.values()
    refused = run_command(["export", "nobody", "--out", tmp_path / "x"], environment)
    assert refused.returncode == 2
    assert "404" in refused.stderr
    assert not (tmp_path / "x").exists()


def test_it_needs_its_own_scope(stack, owner):
    others = bearer(
        stack, "ingest", "decide", "local", "explain", "policy", "relate", "report", "hold", "trace", "import"
    )
    for method, path in (("POST", ""), ("GET", ""), ("GET", "/file"), ("DELETE", "")):
        answer = httpx.request(method, f"{stack.url}/v1/profiles/{owner[0]}/export{path}", headers=others)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert httpx.request(method, answer.url).status_code == 401


def test_a_profile_that_is_none_and_one_that_is_deleted_are_answered_alike(stack, client):
    client.declare("gone-exporter", band="adult", assurance="verified")
    client.export_profile("gone-exporter")
    client.delete_profile("gone-exporter")
    for method, path in (("POST", ""), ("GET", ""), ("GET", "/file"), ("DELETE", "")):
        answers = [
            httpx.request(method, f"{stack.url}/v1/profiles/{name}/export{path}", headers=bearer(stack, "export"))
            for name in ("gone-exporter", "never-there")
        ]
        assert {answer.status_code for answer in answers} == {404}
        assert answers[0].json()["detail"] == answers[1].json()["detail"]


@pytest.mark.parametrize("bad", [name for name in IDS if isinstance(name, str)][:20])
def test_hostile_ids_lead_nowhere(stack, bad):
    from urllib.parse import quote

    for method in ("POST", "GET", "DELETE"):
        address = f"{stack.url}/v1/profiles/{quote(bad.encode('utf-8', 'surrogatepass'), safe='')}/export"
        assert httpx.request(method, address, headers=bearer(stack, "export")).status_code in {403, 404, 405, 422}


@pytest.mark.parametrize(
    "body", [{"seal_to": "age1"}, {"seal_to": 7}, {"seal_to": "x" * 10_000}, {"other": 1}, [], "x"]
)
def test_a_key_that_is_none_is_refused(stack, owner, body):
    address = f"{stack.url}/v1/profiles/{owner[0]}/export"
    assert httpx.post(address, json=body, headers=bearer(stack, "export")).status_code == 422
