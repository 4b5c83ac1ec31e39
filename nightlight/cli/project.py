"""A project folder: the settings in its ``.env``, for every command that runs there.

``nightlight init`` makes one. A ``.env`` without a variable of Nightlight's is another program's, and is left alone.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from nightlight.cli import key_commands
from nightlight.wiring.components import CATALOGUE_FILE
from nightlight_core.errors import SettingsRefused
from nightlight_core.files import FILE, opened

ENV_FILE = ".env"
PREFIX = "NIGHTLIGHT_"
# They make a folder of their own, or need no settings.
WITHOUT = frozenset({"init", "demo", "version"})


def load_settings(folder: Path | None = None) -> None:
    """Take the variables of ``folder``'s ``.env`` into this process's environment, where they are not set already.

    Without a folder: the one in which the command runs. Raises SettingsRefused for a file that others may read or
    write, that belongs to somebody else, or that has a line which is no setting.
    """
    path = (folder or Path()) / ENV_FILE
    if not path.is_file():
        return
    values = _settings(path)
    if not values:
        return
    _refuse_loose(path)
    for name, value in values.items():
        os.environ.setdefault(name, value)


def refuse_lost_keys(data_dir: Path) -> None:
    """Raise SettingsRefused where there are pictures and a key that they were made with is missing.

    New keys would open no sealed original, read no watermark, and give every picture another name.
    """
    if not (data_dir / CATALOGUE_FILE).exists():
        return
    missing = [str(path) for path in key_commands.files_of(data_dir) if not path.exists()]
    if missing:
        raise SettingsRefused(
            f"{', '.join(missing)}: missing, and {data_dir} has a catalogue that was made with these keys; put your "
            f"copy back (`nightlight keys init --data-dir {data_dir}` makes new ones, which open nothing that is there)"
        )


def _settings(path: Path) -> dict[str, str]:
    import dotenv

    try:
        with opened(path) as file:
            text = file.read().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"{path}: it cannot be read ({error})") from error
    lines = [line.strip().removeprefix("export ") for line in text.splitlines()]
    if not any(line.startswith(PREFIX) for line in lines):
        return {}
    import io

    values = dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)
    ours = {name: value for name, value in values.items() if name.upper().startswith(PREFIX)}
    unset = sorted(name for name, value in ours.items() if value is None)
    if unset:
        raise SettingsRefused(f"{path}: {', '.join(unset)} has no value; write NAME=value")
    return {name: value for name, value in ours.items() if value is not None}


def _refuse_loose(path: Path) -> None:
    """Refuse settings that somebody else may have written, or may read: they name keys, and can hold some."""
    state = path.stat()
    if state.st_uid != os.geteuid():
        raise SettingsRefused(
            f"{path} belongs to user {state.st_uid}, and this is user {os.geteuid()}: nothing was read"
        )
    mode = stat.S_IMODE(state.st_mode)
    if mode & 0o077:
        raise SettingsRefused(f"{path} has mode {mode:04o}: others may read it or write to it; chmod {FILE:04o} {path}")
