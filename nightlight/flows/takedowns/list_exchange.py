"""Hash lists from membership programmes, and lists for them: each direction is off until it is set.

::

    take   files of a programme become a list in the folder, whole or added to what is there, in one rename
    give   a list, or the hashes of standing notices, as a file of a programme, with a signed receipt

Who took or gave what is in the audit log, before the list is there or the file is. Of a notice one hash leaves: that of
its picture as a whole. Nothing says whose picture it is; the notice's own reference stays here.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nightlight.flows.pictures.hash_lists import MOST_LOST
from nightlight.flows.takedowns.requests import KINDS
from nightlight.matching.programme_files import PDQ, Entry, merged, read_form, writable, write_form
from nightlight.retention.erasure_receipt import sign_payload
from nightlight_core.errors import InvalidInput, NotFound, SettingsRefused
from nightlight_core.files import FILE

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Catalogue
    from nightlight.policy.signing import SigningKey
    from nightlight_core.clock import Clock

# What export settings call the notices of a kind; no list can have such a name.
NOTICES = "notices:"
RECEIPT_FORMAT = "nightlight-hash-list-export/1"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PAGE, _HASH_BYTES = 1_000, 32


class Taken(NamedTuple):
    """An import: the list's entries now and before, how many records were left out and why, and whether it waits."""

    list: str
    entries: int
    before: int
    withdrawn: int
    left_out: dict[str, int]
    waits: bool


class Given(NamedTuple):
    """An export: how many hashes are in the file, how many the form has no word for, and the signed receipt."""

    what: str
    entries: int
    left_out: int
    sha256: str
    receipt: dict[str, str]


@dataclass(frozen=True, slots=True)
class ExchangeLists:
    """Takes lists into ``folder``, None where there is none, and gives what ``exports`` names.

    ``formats`` are those that may be taken.
    """

    catalogue: Catalogue
    folder: Path | None
    formats: frozenset[str]
    exports: frozenset[str]
    clock: Clock

    def take(self, name: str, paths: Sequence[Path], form: str, *, add: bool, actor: str) -> Taken:
        """Write the list ``name`` from files, with ``add`` onto what it has; return what became of it.

        Raises SettingsRefused where this is off, InvalidInput where a file cannot be read or has no hash, or OSError.
        """
        if form not in self.formats:
            raise SettingsRefused(f"NIGHTLIGHT_MATCHING_IMPORT_FORMATS does not name {form!r}: it is not imported")
        target = self._path(name)
        before = read_form(target, "csv").entries if target.exists() else []
        files = [read_form(path, form) for path in paths]
        entries = merged(files, before if add else ())
        if not entries:
            raise InvalidInput("no hash of a picture is left: nothing is written")
        now = self.clock()
        left_out = sum((file.left_out for file in files), Counter())
        temporary = target.with_name(f".{target.name}.new")
        mode = target.stat().st_mode & 0o777 if target.exists() else FILE
        digest = _written(temporary, write_form(entries, "csv", now), mode)
        detail: dict[str, str | int] = {
            "list": name, "form": form, "known": len(before), "hashes": len(entries), "sha256": digest,
        }  # fmt: skip
        self._audit("list.imported", detail, actor, now)
        temporary.rename(target)
        lost = {entry[:2] for entry in before} - {entry[:2] for entry in entries}
        withdrawn = sum(len(file.withdrawn) + len(file.withdrawn_references) for file in files)
        return Taken(name, len(entries), len(before), withdrawn, dict(left_out), len(lost) > MOST_LOST * len(before))

    def give(self, what: str, form: str, out: Path, key: SigningKey, *, actor: str) -> Given:
        """Write ``what``, a list's name or ``notices:KIND``, into the file ``out``; return its signed receipt.

        Raises SettingsRefused where it may not be given, NotFound where there is no such list, InvalidInput or OSError.
        """
        if what not in self.exports:
            raise SettingsRefused(f"NIGHTLIGHT_MATCHING_EXPORT_LISTS does not name {what!r}: it is not exported")
        now = self.clock()
        entries, left_out = writable(self._entries(what), form)
        temporary = out.with_name(f".{out.name}.new")
        digest = _written(temporary, write_form(entries, form, now), FILE)
        statement = {
            "format": RECEIPT_FORMAT, "what": what, "form": form, "entries": len(entries), "sha256": digest,
            "at": now.isoformat(),
        }  # fmt: skip
        payload = json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()
        receipt = sign_payload(key, payload, RECEIPT_FORMAT)
        detail: dict[str, str | int] = {"list": what, "form": form, "hashes": len(entries), "sha256": digest}
        self._audit("list.exported", detail, actor, now)
        temporary.rename(out)
        return Given(what, len(entries), left_out, digest, receipt)

    def _entries(self, what: str) -> list[Entry]:
        if what.startswith(NOTICES):
            return list(self._notices(what.removeprefix(NOTICES)))
        path = self._path(what)
        if not path.exists():
            raise NotFound(f"there is no list {what!r}")
        return merged([read_form(path, "csv")])

    def _notices(self, kind: str) -> Iterator[Entry]:
        """Yield the whole picture's hash of each standing notice of a kind, unless it was set aside."""
        if kind not in KINDS:
            raise InvalidInput(f"a notice's kind is {', '.join(KINDS)}")
        last = 0
        while True:
            with self.catalogue.reading() as tx:
                page = tx.takedowns.in_force(kind, last, limit=_PAGE)
            for notice in page:
                last = notice.sequence
                if notice.hashes and 0 not in notice.aside:
                    yield Entry(PDQ, notice.hashes[:_HASH_BYTES].hex(), notice.takedown_id)
            if len(page) < _PAGE:
                return

    def _path(self, name: str) -> Path:
        if self.folder is None:
            raise SettingsRefused("NIGHTLIGHT_MATCHING_LISTS_DIR is not set: there are no hash lists")
        if not _NAME.fullmatch(name):
            raise InvalidInput("a list's name is at most 64 lower-case letters, digits or ._-")
        return self.folder / f"{name}.csv"

    def _audit(self, kind: str, detail: dict[str, str | int], actor: str, now: datetime) -> None:
        with self.catalogue.transaction() as tx:
            tx.audit.append(kind, now=now, actor=actor, detail=detail)


def _written(path: Path, text: Iterable[str], mode: int) -> str:
    """Write a file anew, with a mode and down to the disk; return its SHA-256 in hexadecimal. Raises OSError."""
    path.unlink(missing_ok=True)
    digest = hashlib.sha256()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        for part in text:
            data = part.encode()
            digest.update(data)
            file.write(data)
        file.flush()
        os.fsync(descriptor)
    return digest.hexdigest()
