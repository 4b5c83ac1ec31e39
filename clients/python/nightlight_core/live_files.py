"""What is read from files again when they change, without a restart.

A look costs a ``stat`` of each file. Whoever has many looks makes them seldom: nothing here is for a hot path. Whoever
writes such a file writes another beside it and renames it: a file that is half written is read as it is.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from nightlight_core.files import read_text
from nightlight_core.keyring import KeyRing

T = TypeVar("T")
# What tells one state of a file from the next: when it was written, which file it is, its length.
Stamp = tuple[int, int, int] | None
LOOK_S = 1.0
_FINGERPRINT = b"nightlight key fingerprint/1"
_FINGERPRINT_HEX = 8


class LiveFile(Generic[T]):
    """A value that is loaded again when one of its files has changed. A failure leaves the last value."""

    __slots__ = ("_load", "_paths", "_stamps", "_then", "failure", "value")

    def __init__(self, paths: Sequence[Path], load: Callable[[], T]) -> None:
        """Load now, raising what ``load`` raises. Without ``paths`` the value never changes."""
        self._paths, self._load = tuple(paths), load
        self._then: list[Callable[[T], None]] = []
        self._stamps = self._stamped()
        self.value = load()
        # Why the files could not be read at the last look, if they could not.
        self.failure: str | None = None

    def then(self, do: Callable[[T], None]) -> None:
        """Call ``do`` with every new value."""
        self._then.append(do)

    def look(self) -> bool:
        """Load again if a file has changed since; say whether there is a new value, or a new failure."""
        stamps = self._stamped()
        if stamps == self._stamps:
            return False
        try:
            self.value = value = self._load()
            for do in self._then:
                do(value)
        except Exception as error:  # noqa: BLE001 - whatever fails is tried again at the next look
            # Whoever replaces two files is in the middle of it; and what is to be done with a value is done in the end.
            failure, self.failure = self.failure, f"{type(error).__name__}: {error}"
            return failure != self.failure
        self._stamps, self.failure = stamps, None
        return True

    def _stamped(self) -> tuple[Stamp, ...]:
        return tuple(_stamp(path) for path in self._paths)


class RingFile(Mapping[str, bytes]):
    """The keys of a ring in a file, by id, looked at again each second at most: for a platform's own processes.

    It stands wherever ``relation_keys`` do. ::

        NightlightClient(url, token=token, relation_keys=RingFile(Path("/run/secrets/relations")))
    """

    def __init__(self, path: Path, *, elapsed: Callable[[], float] = time.monotonic) -> None:
        """Read the file now; raises SettingsRefused or OSError."""
        self._file = LiveFile([path], lambda: KeyRing.parse(read_text(path).strip(), str(path)))
        self._elapsed, self._looked = elapsed, elapsed()

    def __getitem__(self, key_id: str) -> bytes:
        """Return a key."""
        return self._ring().keys[key_id]

    def __iter__(self) -> Iterator[str]:
        """Yield the ids, that of the key that signs first."""
        return iter(self._ring().keys)

    def __len__(self) -> int:
        """Return how many keys there are."""
        return len(self._ring().keys)

    def items(self) -> object:  # type: ignore[override] # of one state of the file
        """Return the ids and keys of one moment."""
        return self._ring().keys.items()

    def _ring(self) -> KeyRing:
        if self._elapsed() - self._looked >= LOOK_S:
            self._looked = self._elapsed()
            self._file.look()
        return self._file.value


def fingerprint(key_id: str, key: bytes) -> str:
    """Return what a key may be told apart by in public: its id, and 32 bits that say nothing of a secret key."""
    return f"{key_id}-{hmac.digest(key, _FINGERPRINT, 'sha256').hex()[:_FINGERPRINT_HEX]}"


def public_fingerprint(key_id: str, public: bytes) -> str:
    """Return the same for a public key, from its raw bytes."""
    return f"{key_id}-{hashlib.sha256(public).hexdigest()[:_FINGERPRINT_HEX]}"


def _stamp(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
