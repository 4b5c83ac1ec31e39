"""When each step of a rotation was taken: ``rotations.json`` beside the keys. It holds ids and moments, no key."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nightlight_core.errors import InvalidInput
from nightlight_core.files import read_text, replace_file

FILE = "rotations.json"
# What is known of a key: when it was added and promoted; since when every process has signed with it; when another took
# its place; when it was retired, where it is kept for reading.
ADDED, PROMOTED, IN_USE, FORMER, RETIRED = "added_at", "promoted_at", "in_use_at", "former_at", "retired_at"


@dataclass(slots=True)
class RotationRecord:
    """The moments of one kind of key, by key."""

    path: Path
    name: str
    moments: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, name: str) -> RotationRecord:
        """Read the record of a kind; an empty one where there is none. Raises InvalidInput."""
        path = folder / FILE
        try:
            every = json.loads(read_text(path))
            moments = {key: dict(values) for key, values in every.get(name, {}).items()}
            for values in moments.values():
                for moment in values.values():
                    if datetime.fromisoformat(moment).tzinfo is None:
                        raise ValueError("a moment without a zone")
        except FileNotFoundError:
            moments = {}
        except (ValueError, TypeError, AttributeError) as error:
            raise InvalidInput(f"{path} is not a record of rotations ({type(error).__name__}: {error})") from error
        return cls(path, name, moments)

    def at(self, key: str, what: str) -> datetime | None:
        """Return when something was done with a key, None where that is not known."""
        text = self.moments.get(key, {}).get(what)
        return datetime.fromisoformat(text) if text is not None else None

    def set(self, key: str, what: str, now: datetime) -> None:
        """Note that something was done with a key now."""
        self.moments.setdefault(key, {})[what] = now.isoformat()

    def clear(self, key: str, *what: str) -> None:
        """Take back that something was done with a key."""
        for name in what:
            self.moments.get(key, {}).pop(name, None)

    def forget(self, key: str) -> None:
        """Forget a key that is gone."""
        self.moments.pop(key, None)

    def write(self) -> None:
        """Write the record, with those of other kinds as they are."""
        every = json.loads(read_text(self.path)) if self.path.exists() else {}
        replace_file(self.path, json.dumps({**every, self.name: self.moments}, indent=2))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep others from rotating keys of a folder meanwhile; raise InvalidInput where somebody does."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InvalidInput(f"{folder}: somebody rotates keys there at this moment") from error
    try:
        yield
    finally:
        os.close(descriptor)
