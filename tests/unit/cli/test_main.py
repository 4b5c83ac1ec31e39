import json
import shutil
import stat

import pytest
from typer.testing import CliRunner

from nightlight.cli import key_commands
from nightlight.cli.main import app
from nightlight.delivery.access_tokens import AccessVerifier
from nightlight_core.errors import SettingsRefused
from tests.conftest import ROOT

run = CliRunner().invoke


def test_every_command_has_help_with_an_example():
    for command in (
        ["serve"],
        ["demo"],
        ["policy", "check"],
        ["keys", "init"],
        ["keys", "token"],
        ["catalogue", "upgrade"],
    ):
        result = run(app, [*command, "--help"])
        assert result.exit_code == 0
        assert "Example" in result.output, command


def test_a_good_pack_passes_and_says_its_digest():
    result = run(app, ["policy", "check", str(ROOT / "policies"), "--json"])
    assert result.exit_code == 0
    answer = json.loads(result.output)
    assert answer["ok"]
    assert answer["combinations"] == 345_600
    assert len(answer["digest"]) == 64


def test_a_bad_pack_fails_with_every_problem(tmp_path):
    shutil.copytree(ROOT / "policies", tmp_path / "p")
    path = tmp_path / "p/rules.yaml"
    path.write_text(path.read_text().replace("{relation: blocked}", "{relation: blokced}"))
    result = run(app, ["policy", "check", str(tmp_path / "p")])
    assert result.exit_code == 1
    assert "rules.yaml:" in result.output
    assert "did you mean 'blocked'?" in result.output
    answer = json.loads(run(app, ["policy", "check", str(tmp_path / "p"), "--json"]).output)
    assert [problem["code"] for problem in answer["problems"]] == ["unknown-word"]


def test_keys_are_made_once_for_their_owner_alone_and_tokens_verify(tmp_path):
    assert run(app, ["keys", "init", "--data-dir", str(tmp_path)]).exit_code == 0

    def run_twice():
        return [path for path in (tmp_path / "keys").rglob("*") if path.is_file()]

    files = {path: path.read_bytes() for path in run_twice()}
    run(app, ["keys", "init", "--data-dir", str(tmp_path)])
    assert files == {path: path.read_bytes() for path in run_twice()}
    public = {path.name for path in run_twice() if stat.S_IMODE(path.stat().st_mode) != 0o600}
    assert public == {"chain.pem", "root.pem"}
    result = run(app, ["keys", "token", "--data-dir", str(tmp_path), "--scope", "decide", "--subject", "me"])
    verifier = AccessVerifier(
        str(tmp_path / "keys" / key_commands.JWKS), issuer="nightlight-dev", audience="nightlight", leeway_s=0
    )
    caller = verifier.verify(result.output.strip())
    assert (caller.subject, caller.scopes) == ("me", {"decide"})


def test_a_token_for_a_scope_that_is_not_known_is_refused(tmp_path):
    key_commands.init(tmp_path)
    with pytest.raises(SettingsRefused, match="known: ingest"):
        key_commands.token(tmp_path, scopes=["everything"], subject="me", hours=1)


def test_the_clients_base_install_needs_little():
    import tomllib

    project = tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text())["project"]
    assert [name.split(">")[0] for name in project["dependencies"]] == ["certifi", "httpx", "urllib3"]


def test_requirements_are_pinned_by_hash_and_name_no_index():
    for path in (ROOT / "infra/requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text
        assert "--index" not in text
        pinned = [line for line in text.splitlines() if "==" in line]
        assert pinned
        assert all(line.endswith("\\") for line in pinned)


def test_codeowners_gives_every_policy_file_to_a_team():
    owners = (ROOT / ".github/CODEOWNERS").read_text()
    for path in (ROOT / "policies").glob("*.yaml"):
        assert f"/policies/{path.name} " in owners
