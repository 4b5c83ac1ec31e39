"""Every verb that takes a file: one that is missing, a folder, or something else is one line and the exit code 2."""

import logging
import sys
from pathlib import Path

import pytest
import typer.main

from nightlight.cli.files import read_bytes, read_json
from nightlight.cli.main import app
from nightlight.cli.main import main as run
from nightlight_core.errors import InvalidInput

pytestmark = pytest.mark.integration

# They start servers and go on until they are stopped.
STAY = {("serve",), ("demo",)}


def commands(command=None, path=()):
    command = command or typer.main.get_command(app)
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))
    if not hasattr(command, "commands") and path not in STAY:
        yield path, command


def is_file(parameter):
    return parameter.type_descriptor.annotation is Path or parameter.name in {"old", "new"}


def cases():
    """(command, parameter) for every file or folder that a verb takes."""
    options = [(path, option) for path, command in commands() for option in command.params if is_file(option)]
    return [pytest.param(path, option, id="-".join((*path, option.name))) for path, option in options]


def test_there_are_verbs_that_take_files():
    assert {("policy", "activate"), ("policy", "approve"), ("policy", "diff")} <= {path for path, _ in commands()}
    assert len(cases()) > 20


def arguments(path, wanted, value, junk):
    """A command line in which one file is ``value`` and every other argument that is needed is some junk."""
    command = dict(commands())[path]
    options, given = [], []
    for option in command.params:
        argument = value if option.name == wanted.name else None
        if argument is None and option.required:
            argument = junk if is_file(option) or option.type_descriptor.annotation is str else "1"
        if argument is None:
            continue
        if option.param_type_name == "argument":
            given.append(str(argument))
        else:
            options += [option.opts[0], str(argument)]
    return ["nightlight", *path, *options, "--", *given] if given else ["nightlight", *path, *options]


@pytest.mark.parametrize("value", ["no/such/file", ".", "junk.bin"])
@pytest.mark.parametrize(("path", "parameter"), cases())
def test_a_file_that_is_not_what_it_should_be_is_one_line(tmp_path, monkeypatch, capsys, path, parameter, value):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIGHTLIGHT_TOKEN", "t")
    monkeypatch.setenv("NIGHTLIGHT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("NIGHTLIGHT_DATA_DIR", str(tmp_path / "var"))
    (tmp_path / "junk.bin").write_bytes(b"\xff\x00 this is none of what is read here")
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(sys, "argv", arguments(path, parameter, value, tmp_path / "junk.bin"))
    try:
        run()
        code = 0
    except SystemExit as end:
        code = end.code
    output = capsys.readouterr()
    assert "Traceback" not in output.err + output.out
    if code not in {0, None}:  # a folder to write into may be one that is not there yet
        assert code in {1, 2, 3}
        assert output.err or output.out


@pytest.mark.parametrize(
    "line", [["activate", "missing"], ["shadow", "missing"], ["stage", "missing", "--permille", "5"], ["activate", "."]]
)
def test_policy_activate_of_a_missing_file_says_which(tmp_path, monkeypatch, capsys, line):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIGHTLIGHT_TOKEN", "t")
    monkeypatch.setattr(sys, "argv", ["nightlight", "policy", *line])
    with pytest.raises(SystemExit) as end:
        run()
    assert end.value.code == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message in {"nightlight: missing: No such file or directory", "nightlight: .: Is a directory"}


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"\xff", b"7", b"x" * 20_000])
def test_an_approval_that_is_none_says_so(tmp_path, monkeypatch, capsys, content):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIGHTLIGHT_TOKEN", "t")
    Path("p.bundle").write_bytes(b"x")
    if content is not None:
        Path("approval.json").write_bytes(content)
    line = ["nightlight", "policy", "activate", "p.bundle", "--approval", "approval.json"]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit) as end:
        run()
    assert end.value.code == 1
    assert "approval.json" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["no-such-file", ".", "/dev/zero", "a\0b"])
def test_a_file_is_read_with_a_bound_or_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput):
        read_bytes(Path(name), 1000)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 5000])
def test_what_is_no_json_is_refused(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InvalidInput, match="no JSON"):
        read_json(tmp_path / "x", 10_000)
