"""Gives every file option of every command a file that never ends; prints a JSON line for each. Run by test_files.py.

In a process of its own: with a bound on memory, and an alarm for each call.
"""

import inspect
import json
import os
import resource
import signal
import sys
import typing
from pathlib import Path
from typing import NamedTuple

from typer.models import ArgumentInfo, OptionInfo
from typer.testing import CliRunner

from nightlight.cli.main import app
from nightlight.delivery.access_tokens import generate_key
from nightlight_core.errors import NightlightError
from tests.support import pictures

MEMORY, SECONDS = 3_000_000_000, 30
# These are written, or begin to serve: nothing is read from what they name.
WRITTEN = {"out", "csv_file", "junit", "data_dir"}
LEFT_OUT = {"dev", "demo"}
# What a command needs to come as far as the file.
MORE = {
    "receipt verify": {"receipts": "{json}", "keys": "{jwks}"},
    "provenance check": {"file": "{picture}"},
    "policy stage": {"bundle": "{json}", "permille": "5"},
    "policy activate": {"bundle": "{json}"},
    "policy diff": {"old": "policies", "new": "policies"},
    "policy approve": {"old": "policies", "new": "policies"},
    "policy build": {"folder": "policies", "version": "1"},
    "policy rollback": {"key": "{key}"},
    "trace": {"files": "{picture}"},
}


class TooLong(BaseException):
    pass


class Param(NamedTuple):
    name: str
    word: str  # the option's, empty for an argument
    path: bool
    required: bool


def commands(group, above=()):
    """Yield (name, its parameters) of every command, by what their functions say."""
    for command in group.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        if not above and name in LEFT_OUT:
            continue
        hints = typing.get_type_hints(command.callback, include_extras=True)
        signature = inspect.signature(command.callback)
        yield " ".join((*above, name)), [param(*item, hints) for item in signature.parameters.items()]
    for inner in group.registered_groups:
        yield from commands(inner.typer_instance, (*above, inner.name))


def param(name, parameter, hints):
    hint, *more = typing.get_args(hints[name]) if typing.get_origin(hints[name]) is typing.Annotated else [hints[name]]
    info = next((option_info for option_info in more if isinstance(option_info, ArgumentInfo | OptionInfo)), None)
    words = [word for word in getattr(info, "param_decls", None) or () if word.startswith("--")]
    word = "" if isinstance(info, ArgumentInfo) else [*words, f"--{name.replace('_', '-')}"][0]
    return Param(name, word, "Path" in str(hint), parameter.default is inspect.Parameter.empty)


def filled(name, params, tried, bad, good):
    """The words of a call in which ``tried`` is the bad file."""
    words = name.split()
    for parameter in params:
        more = MORE.get(name, {}).get(parameter.name)
        if parameter is tried:
            value = bad
        elif more is not None:
            value = more.format(**good)
        elif parameter.required:
            value = good["json"] if parameter.path else "x"
        else:
            continue
        words += [parameter.word, value] if parameter.word else [value]
    return words


def outcome(words):
    def too_long(*_):
        raise TooLong

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        result = CliRunner().invoke(app, words)
    except TooLong:
        return "too long"
    finally:
        signal.alarm(0)
    error = result.exception
    if isinstance(error, NightlightError):
        return f"refused: {error}"[:300]
    if error is None or isinstance(error, SystemExit):
        return f"exit {result.exit_code}"
    return f"{type(error).__name__}: {error}"[:300]


def main(folder):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.environ["NIGHTLIGHT_TOKEN"] = "x"
    os.environ["NIGHTLIGHT_DATA_DIR"] = str(folder / "data")
    bad = json.loads((folder / "bad.json").read_text())
    good = {
        "json": str(folder / "good.json"),
        "jwks": str(folder / "jwks.json"),
        "picture": str(folder / "a.jpg"),
        "key": str(folder / "key.json"),
    }
    (folder / "good.json").write_text("{}")
    (folder / "jwks.json").write_text(json.dumps(generate_key()[1]))
    (folder / "key.json").write_text(json.dumps(generate_key()[0]))
    (folder / "a.jpg").write_bytes(pictures.jpeg(32, 32))
    for name, params in commands(app):
        for tried in params:
            if not tried.path or tried.name in WRITTEN:
                continue
            for kind, path in bad.items():
                result = outcome(filled(name, params, tried, path, good))
                row = {"command": name, "param": tried.name, "kind": kind, "outcome": result}
                sys.stdout.write(json.dumps(row) + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
