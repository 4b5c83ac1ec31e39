"""``nightlight init``: what it writes, for whom, what it asks, and that it writes over nothing."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nightlight.cli import init_command, project_files
from nightlight.cli.exit_codes import run
from nightlight.cli.main import app
from nightlight.cli.project import Services
from nightlight.delivery.access_tokens import AccessVerifier, TokenScope
from nightlight.policy.compile import compile_folder
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """A folder of each kind, made under a umask that would keep the files of containers from their users."""
    folder = tmp_path_factory.mktemp("projects")
    before = os.umask(0o077)
    try:
        for kind in ("embedded", "real"):
            assert run(app, ["init", str(folder / kind), "--services", kind, "--port", "8123"]) == 0
    finally:
        os.umask(before)
    return folder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def settings(folder):
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["embedded", "real"])
def test_the_pack_is_the_default_one_and_a_first_token_verifies(projects, kind):
    folder = projects / kind
    assert compile_folder(folder / "policies").digest == compile_folder(ROOT / "policies").digest
    data_dir = folder / Services(kind).data_dir
    jwks = str(data_dir / "keys/callers.jwks.json")
    verifier = AccessVerifier(jwks, issuer="nightlight-dev", audience="nightlight", leeway_s=0)
    assert verifier.verify((data_dir / "token").read_text().strip()).scopes == {scope.value for scope in TokenScope}


@pytest.mark.parametrize("kind", ["embedded", "real"])
def test_what_is_secret_is_for_its_owner_and_out_of_a_repository(projects, kind):
    folder = projects / kind
    data_dir = folder / Services(kind).data_dir
    assert mode(folder / ".env") == mode(data_dir / "token") == 0o600
    assert mode(data_dir) == mode(data_dir / "keys") == 0o700
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    listed = ["git", "ls-files", "--others", "--exclude-standard"]
    seen = subprocess.run(listed, cwd=folder, check=True, capture_output=True, text=True).stdout.split()
    secrets = re.compile(r"^(\.env|var/|secrets/)")
    assert seen
    assert not [name for name in seen if secrets.match(name)]
    assert [name for name in files(folder) if secrets.match(name)]


def test_settings_name_files_of_the_folder_so_that_it_may_be_moved(projects):
    folder = projects / "embedded"
    named = settings(folder)
    assert named["NIGHTLIGHT_DEPLOYMENT"] == "embedded"
    assert (named["NIGHTLIGHT_SERVICE_HOST"], named["NIGHTLIGHT_SERVICE_PORT"]) == ("127.0.0.1", "8123")
    paths = {value for value in named.values() if "/" in value} | {named["NIGHTLIGHT_POLICY_DIR"]}
    assert len(paths) > 6
    for path in paths:
        assert not Path(path).is_absolute()
        assert (folder / path).exists(), path


def test_the_compose_folder_has_every_file_that_is_mounted_readable_for_containers(projects):
    folder = projects / "real"
    text = (folder / "compose.yaml").read_text()
    assert "build:" not in text
    assert ".." not in text.replace("...", "")
    mounts = set(re.findall(r'"\./([\w./-]+):(/[\w./-]+):ro"', text))
    assert ("policies", "/etc/nightlight/policies") in mounts
    assert text.count("./policies:") == 5  # migrate, service, worker, schedule, keeper
    for name, _ in mounts:
        assert (folder / name).exists(), name
        for path in (folder / name, *(folder / name).rglob("*")):
            assert mode(path) & 0o004, path
    variables = set(re.findall(r"\$\{(\w+):\?\}", text))
    assert variables
    assert variables <= settings(folder).keys()


def test_the_compose_file_is_one_by_its_schema(projects):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(projects / "real/compose.yaml")], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_json_says_what_was_made_and_what_comes_next(tmp_path, capsys):
    assert run(app, ["init", str(tmp_path / "shop"), "--yes", "--json", "--region", "us_ca"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["next"] == [f"cd {tmp_path / 'shop'}", "nightlight serve"]
    assert answer["region_shows"] == {"stranger": "none", "connection": "medium"}
    for name in ("folder", "policies", "keys", "token", "settings"):
        assert Path(answer[name]).exists()


def test_a_terminal_is_asked_and_its_answers_count(tmp_path, monkeypatch):
    monkeypatch.setattr(init_command, "_is_terminal", lambda: True)
    result = CliRunner().invoke(app, ["init", str(tmp_path / "shop")], input="mars\nuk\nreal\n")
    assert result.exit_code == 0, result.output
    assert "mars is none of them" in result.output
    assert "In uk a stranger" in result.output
    assert (tmp_path / "shop/compose.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [([], "say --yes"), (["--yes", "--region", "mars"], "the policy's regions are unknown, uk, eu")],
)
def test_what_cannot_be_known_is_refused_and_nothing_is_written(tmp_path, capsys, arguments, says):
    assert run(app, ["init", str(tmp_path / "shop"), *arguments]) == 1
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path, capsys):
    (tmp_path / "mine").write_text("x")
    assert run(app, ["init", str(tmp_path), "--yes"]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert files(tmp_path) == {"mine"}


def test_what_could_not_be_finished_is_taken_away_again(tmp_path, monkeypatch, capsys):
    def fails(*_, **__):
        raise OSError(28, "No space left on device", "shop/var")

    monkeypatch.setattr(project_files.key_commands, "token", fails)
    assert run(app, ["init", str(tmp_path / "shop"), "--yes"]) == 1
    assert "No space left" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_written_again_the_secrets_keep_passwords_and_follow_a_changed_key(tmp_path):
    assert run(app, ["init", str(tmp_path / "shop"), "--services", "real"]) == 0
    folder, ring = tmp_path / "shop", "nightlight_delivery_signing_keys"
    before = (folder / ".env").read_text()
    changed = "d2:" + "B" * 43 + "="
    (folder / "secrets/keys/secrets" / ring).write_text(changed)
    subprocess.run([sys.executable, "-m", "nightlight.cli.compose_secrets"], cwd=folder, check=True)
    assert (folder / ".env").read_text() == before
    assert {path.read_text() for path in (folder / "secrets/run").rglob(ring)} == {changed}
