"""The settings of a project folder, and what is said where they, the keys or the port are not as they must be."""

import os
import socket

import pytest

from nightlight.cli import key_commands
from nightlight.cli.embedded import EmbeddedStack
from nightlight.cli.main import main
from nightlight.cli.project import load_settings, refuse_lost_keys
from nightlight.wiring.components import CATALOGUE_FILE
from nightlight_core.errors import SettingsRefused


@pytest.fixture
def variables(monkeypatch):
    for name in [name for name in os.environ if name.startswith("NIGHTLIGHT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return os.environ


def env_file(folder, text, mode=0o600):
    path = folder / ".env"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_settings_are_read_and_the_environments_own_come_first(tmp_path, variables):
    variables["NIGHTLIGHT_SERVICE_PORT"] = "1"
    text = "# a\nNIGHTLIGHT_SERVICE_PORT=2\nexport NIGHTLIGHT_DATA_DIR='a b'\nOTHER=x\nNIGHTLIGHT_QUEUE_NAME=$HOME\n"
    env_file(tmp_path, text)
    load_settings(tmp_path)
    assert variables["NIGHTLIGHT_SERVICE_PORT"] == "1"
    assert variables["NIGHTLIGHT_DATA_DIR"] == "a b"
    assert variables["NIGHTLIGHT_QUEUE_NAME"] == "$HOME"
    assert "OTHER" not in variables


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o666])
def test_settings_that_others_may_read_or_write_are_refused(tmp_path, variables, mode):
    env_file(tmp_path, "NIGHTLIGHT_SERVICE_PORT=2\n", mode)
    with pytest.raises(SettingsRefused, match="chmod 0600"):
        load_settings(tmp_path)
    assert "NIGHTLIGHT_SERVICE_PORT" not in variables


def test_settings_of_somebody_else_are_refused(tmp_path, variables, monkeypatch):
    path = env_file(tmp_path, "NIGHTLIGHT_SERVICE_PORT=2\n")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(SettingsRefused, match="belongs to user"):
        load_settings(tmp_path)


def test_the_env_file_of_another_program_is_left_alone(tmp_path, variables):
    before = dict(variables)
    env_file(tmp_path, "SECRET=1\n# NIGHTLIGHT_X=1\n", 0o644)
    load_settings(tmp_path)
    assert variables == before


def test_a_line_without_a_value_is_refused(tmp_path, variables):
    env_file(tmp_path, "NIGHTLIGHT_SERVICE_PORT\n")
    with pytest.raises(SettingsRefused, match="NIGHTLIGHT_SERVICE_PORT has no value"):
        load_settings(tmp_path)


def test_every_command_but_those_that_need_none_refuses_loose_settings(tmp_path, variables, monkeypatch, capsys):
    env_file(tmp_path, "NIGHTLIGHT_SERVICE_PORT=2\n", 0o644)
    monkeypatch.chdir(tmp_path)
    for arguments, status in ((["serve"], 1), (["keys", "token"], 1), (["version"], 0)):
        monkeypatch.setattr("sys.argv", ["nightlight", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == status, capsys.readouterr().err
    assert "chmod 0600 .env" in capsys.readouterr().err


def test_every_file_that_the_keys_are_is_named(tmp_path):
    key_commands.init(tmp_path)
    named = set(key_commands.files_of(tmp_path))
    written = {path for path in (tmp_path / "keys").rglob("*") if path.is_file()}
    # The certificates' own signing keys are not needed once the chain is made.
    assert {path.name for path in written - named} == {"root.key.pem", "issuing.key.pem"}
    assert named <= written


def test_new_keys_are_not_made_where_pictures_were_made_with_others(tmp_path):
    refuse_lost_keys(tmp_path)
    key_commands.init(tmp_path)
    (tmp_path / CATALOGUE_FILE).touch()
    refuse_lost_keys(tmp_path)
    lost = tmp_path / "keys/secrets/nightlight_delivery_name_key"
    lost.unlink()
    with pytest.raises(SettingsRefused, match=r"nightlight_delivery_name_key: missing"):
        refuse_lost_keys(tmp_path)


def test_a_port_that_is_taken_is_named_before_anything_is_started(tmp_path, socket_enabled):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsRefused, match=f"127.0.0.1:{port}: Address already in use"):
            EmbeddedStack(tmp_path / "var", port=port).__enter__()
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:9"), ("0.0.0.0", "http://127.0.0.1:9"), ("::", "http://[::1]:9"),
     ("10.1.2.3", "http://10.1.2.3:9")],
)  # fmt: skip
def test_the_service_listens_where_it_is_told_and_viewers_are_sent_there(
    tmp_path, variables, socket_enabled, host, url
):
    stack = EmbeddedStack(tmp_path, port=9, host=host)
    assert stack.url == url
    assert stack.environment["NIGHTLIGHT_SERVICE_HOST"] == host
    assert stack.environment["NIGHTLIGHT_DELIVERY_BASE_URL"] == url
    variables["NIGHTLIGHT_DELIVERY_BASE_URL"] = "https://pictures.example.com"
    named = EmbeddedStack(tmp_path, port=9, host=host).environment["NIGHTLIGHT_DELIVERY_BASE_URL"]
    assert named == "https://pictures.example.com"
