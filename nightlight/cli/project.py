"""A project folder: the settings in its ``.env``, for every command that runs there.

``nightlight init`` makes one. A ``.env`` without a variable of Nightlight's is another program's, and is left alone.
"""

from __future__ import annotations

import io
import os
import stat
from enum import StrEnum
from pathlib import Path

from nightlight_core.errors import SettingsRefused
from nightlight_core.files import FILE, SMALL, opened

ENV_FILE, POLICIES, TOKEN, COMPOSE = ".env", "policies", "token", "compose.yaml"
# As long as a token may live where NIGHTLIGHT_AUTH_MAX_LIFE_S is unset.
TOKEN_HOURS = 24
PREFIX = "NIGHTLIGHT_"
# They make a folder of their own, or need no settings.
WITHOUT = frozenset({"init", "demo", "version"})


class Services(StrEnum):
    """What a project runs on."""

    EMBEDDED = "embedded"
    REAL = "real"

    @property
    def data_dir(self) -> str:
        """Return the name of the folder with the keys and, of the embedded services, everything else that is kept."""
        return "var" if self is Services.EMBEDDED else "secrets"


def load_settings(folder: Path | None = None) -> None:
    """Take the variables of ``folder``'s ``.env`` into this process's environment, where they are not set already.

    Without a folder: the one in which the command runs. Raises SettingsRefused for a file that others may read or
    write, that belongs to somebody else, or that has a line which is no setting.
    """
    path = (folder or Path()) / ENV_FILE
    if not path.is_file():
        return
    for name, value in _settings(path).items():
        os.environ.setdefault(name, value)


def refuse_lost_keys(data_dir: Path) -> None:
    """Raise SettingsRefused where there are pictures and a key that they were made with is missing.

    New keys would open no sealed original, read no watermark, and give every picture another name.
    """
    from nightlight.cli import key_commands
    from nightlight.wiring.components import CATALOGUE_FILE

    if not (data_dir / CATALOGUE_FILE).exists():
        return
    missing = [str(path) for path in key_commands.files_of(data_dir) if not path.exists()]
    if missing:
        raise SettingsRefused(
            f"{', '.join(missing)}: missing, and {data_dir} has pictures that were made with these keys; put your copy "
            f"back. If there never was one, after an upgrade, `nightlight keys init --data-dir {data_dir}` makes it; a "
            "new key opens nothing that was made with a lost one"
        )


def _settings(path: Path) -> dict[str, str]:
    try:
        with opened(path) as file:
            state, text = os.fstat(file.fileno()), file.read(SMALL + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"{path}: it cannot be read ({error})") from error
    if not any(line.strip().removeprefix("export ").startswith(PREFIX) for line in text.splitlines()):
        return {}
    _refuse_loose(path, state)
    if len(text) > SMALL:
        raise SettingsRefused(f"{path} has more than {SMALL:,} characters")
    import dotenv

    values = dotenv.dotenv_values(stream=io.StringIO(text), interpolate=False)
    ours = {name: value for name, value in values.items() if name.startswith(PREFIX)}
    unset = sorted(name for name, value in ours.items() if value is None)
    if unset:
        raise SettingsRefused(f"{path}: {', '.join(unset)} has no value; write NAME=value")
    return {name: value for name, value in ours.items() if value is not None}


def _refuse_loose(path: Path, state: os.stat_result) -> None:
    """Refuse settings that somebody else may have written, or may read: they name keys, and can hold some."""
    if state.st_uid != os.geteuid():
        raise SettingsRefused(f"{path} belongs to user {state.st_uid}, and this is user {os.geteuid()}: not used")
    mode = stat.S_IMODE(state.st_mode)
    if mode & 0o077:
        raise SettingsRefused(f"{path} has mode {mode:04o}: others may read it or write to it; chmod {FILE:04o} {path}")
