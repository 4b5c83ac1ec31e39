"""The forms in which membership programmes exchange hash lists, read and written.

::

    csv             columns hash (PDQ), md5, quality, reference: what Nightlight reads its lists from
    threatexchange  JSON of ThreatExchange's /threat_updates: HASH_PDQ, HASH_MD5
    stopncii        JSON of StopNCII.org's FetchHashes: ImagePDQ
    ncmec           XML of NCMEC's Hash Sharing API, version 2: pdq, md5 of images

Records of the last three are read by the package ``threatexchange`` (extra ``exchange``), which follows what those
programmes answer. Nothing is fetched: a file is what a member has fetched. A file is hostile until it is read: its
bytes and its records are bounded before it is parsed, and a record that cannot be read refuses the whole file, since
what is missing from a list is missed in silence. What is no picture's PDQ or MD5 is left out, and counted.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from nightlight.matching.list_files import MAX_REFERENCE, MD5_BYTES, csv_entries
from nightlight.matching.pdq import BYTES, LEAST_QUALITY
from nightlight_core.errors import InvalidInput, SettingsRefused
from nightlight_core.files import read_bytes

PDQ, MD5 = "pdq", "md5"
# A page of a programme has about 1,000 records of some 500 bytes. A file may be 60 pages; several files are one list.
MAX_BYTES, MAX_RECORDS = 32_000_000, 60_000
# What a parser makes an object of: at most so many marks for each record, which bounds its memory to some 300 MB.
_MARKS = {"json": ("{[", 12), "xml": ("<", 24)}
_MAX_COMMAS = 4_000_000
_MEMBER = 0  # the member's id under which lists that come from nobody else's are written
_NAMESPACE = "https://hashsharing.ncmec.org/hashsharing/v2"


class Entry(NamedTuple):
    """One hash of a list: PDQ or MD5 in lower-case hexadecimal digits, and the list's own number for the picture."""

    kind: str
    value: str
    reference: str = ""
    quality: int | None = None


@dataclass(frozen=True, slots=True)
class ProgrammeFile:
    """A file that was read: its entries, what it withdraws, and how many records of what were left out.

    ``withdrawn`` are hashes, ``withdrawn_references`` the numbers of pictures of which the file says no hash.
    """

    entries: list[Entry] = field(default_factory=list)
    withdrawn: set[tuple[str, str]] = field(default_factory=set)
    withdrawn_references: set[str] = field(default_factory=set)
    left_out: Counter[str] = field(default_factory=Counter)


def read_form(path: Path, form: str) -> ProgrammeFile:
    """Return what a file in a form has; raise InvalidInput where any of it cannot be read, or OSError.

    Raises SettingsRefused where the package that reads the form is not installed.
    """
    reader = _READERS.get(form)
    if reader is None:
        raise InvalidInput(f"a form is one of {', '.join(FORMATS)}")
    if form == "csv":
        return ProgrammeFile([Entry(*entry) for entry in csv_entries(path)])
    if find_spec("threatexchange") is None:
        raise SettingsRefused("this form needs the extra: pip install 'nightlight[exchange]'")
    read = ProgrammeFile()
    try:
        reader(read_bytes(path, MAX_BYTES), read)
    except InvalidInput as error:
        raise InvalidInput(f"{path.name}: {error}") from error
    except (ArithmeticError, AssertionError, AttributeError, LookupError, SyntaxError, TypeError, ValueError) as error:
        # SyntaxError: the XML parser's own. A message of theirs may repeat the file: only its kind is told.
        raise InvalidInput(f"{path.name}: this is no {form} ({type(error).__name__})") from error
    return read


def merged(files: Iterable[ProgrammeFile], onto: Iterable[Entry] = ()) -> list[Entry]:
    """Return the entries of files, the later ones over the earlier, without what they withdraw; each hash once."""
    entries = {(entry.kind, entry.value): entry for entry in onto}
    for file in files:
        references = file.withdrawn_references
        entries = {
            key: entry
            for key, entry in entries.items()
            if key not in file.withdrawn and (not entry.reference or entry.reference not in references)
        }
        entries |= {(entry.kind, entry.value): entry for entry in file.entries}
    return list(entries.values())


def write_form(entries: Iterable[Entry], form: str, at: datetime) -> Iterator[str]:
    """Yield the text of entries in a form; raise InvalidInput for an unknown one. ``at``: when the list was made.

    Only ``csv`` has a quality: from the others what has too little is left out, as whoever matches by it would.
    """
    writer = _WRITERS.get(form)
    if writer is None:
        raise InvalidInput(f"a form is one of {', '.join(FORMATS)}")
    return writer(entries, at)


def writable(entries: Iterable[Entry], form: str) -> tuple[list[Entry], int]:
    """Return the entries that a form has words for, and how many it has none for."""
    entries = list(entries)
    kept = [entry for entry in entries if form == "csv" or (_good(entry) and (form != "stopncii" or entry.kind == PDQ))]
    return kept, len(entries) - len(kept)


def _good(entry: Entry) -> bool:
    return entry.quality is None or entry.quality >= LEAST_QUALITY


def _bounded(data: bytes, kind: str) -> None:
    """Raise InvalidInput for a file that a parser would make more of than MAX_RECORDS records can be."""
    marks, each = _MARKS[kind]
    if sum(data.count(mark.encode()) for mark in marks) > MAX_RECORDS * each or data.count(b",") > _MAX_COMMAS:
        raise InvalidInput(f"it has more than {MAX_RECORDS:,} records: give it in several files")


def _json(data: bytes) -> Any:
    import orjson

    _bounded(data, "json")
    return orjson.loads(data)  # its nesting is bounded, too


def _entry(kind: str, value: object, reference: object) -> Entry:
    """Return an entry; raise InvalidInput where it is none."""
    length = 2 * (BYTES if kind == PDQ else MD5_BYTES)
    text, number = str(value).strip().lower(), str(reference).strip()
    if len(text) != length or not set(text) <= set("0123456789abcdef"):
        raise InvalidInput(f"a {kind} has {length} hexadecimal digits")
    if len(number) > MAX_REFERENCE or not number.isprintable():
        raise InvalidInput(f"a reference is at most {MAX_REFERENCE} printable characters")
    return Entry(kind, text, number)


def _read_threatexchange(data: bytes, read: ProgrammeFile) -> None:
    from threatexchange.exchanges.clients.fb_threatexchange.threat_updates import ThreatUpdateJSON

    kinds = {"HASH_PDQ": PDQ, "HASH_MD5": MD5}
    for record in _json(data)["data"]:
        update = ThreatUpdateJSON(record)
        kind = kinds.get(update.threat_type)
        if kind is None:
            read.left_out[str(update.threat_type)[:40]] += 1
            continue
        rows = (record.get("descriptors") or {}).get("data", ())
        descriptors = [row for row in rows if isinstance(row, dict)]
        if "media_type_video" in {tag for row in descriptors for tag in row.get("tags", ()) if isinstance(tag, str)}:
            read.left_out["video"] += 1
            continue
        text = descriptors[0].get("description") if descriptors else None
        fits = isinstance(text, str) and len(text) <= MAX_REFERENCE and text.isprintable()
        entry = _entry(kind, update.indicator, text if fits else update.id)
        if update.should_delete:
            read.withdrawn.add((kind, entry.value))
        else:
            read.entries.append(entry)


def _read_stopncii(data: bytes, read: ProgrammeFile) -> None:
    from dataclasses import fields
    from enum import Enum

    import dacite
    from threatexchange.exchanges.clients.stopncii import api

    gone = {api.StopNCIICaseStatus.Withdrawn, api.StopNCIICaseStatus.Deleted}
    known = {column.name for column in fields(api.StopNCIIHashRecord)}
    for record in _json(data)["hashRecords"]:
        values = {name: value for name, value in record.items() if name in known}
        values["caseNumbers"] = values.get("caseNumbers") or {}  # an empty one is written as a list
        try:
            parsed = dacite.from_dict(api.StopNCIIHashRecord, values, dacite.Config(cast=[Enum, set]))
        except dacite.DaciteError as error:
            raise InvalidInput(f"a record is none of StopNCII's ({type(error).__name__})") from error
        if parsed.signalType is not api.StopNCIISignalType.ImagePDQ:
            read.left_out[parsed.signalType.value] += 1
            continue
        entry = _entry(PDQ, parsed.hashValue, min(parsed.caseNumbers, default=""))
        if parsed.hashStatus in gone:
            read.withdrawn.add((PDQ, entry.value))
        else:
            read.entries.append(entry)


def _read_ncmec(data: bytes, read: ProgrammeFile) -> None:
    from xml.etree import ElementTree as ET

    from threatexchange.exchanges.clients.ncmec import hash_api

    _bounded(data, "xml")
    text = data.decode("utf-8-sig")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # entities of entities grow without bound
        raise InvalidInput("a document type is not read")
    root = ET.fromstring(text)  # noqa: S314 - bounded, and without a document type there are no entities
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag != "queryResult":
        raise InvalidInput("it is no answer of the API: its root is no queryResult")
    updates = hash_api.GetEntriesResponse.from_xml(hash_api._XMLWrapper(root), 0).updates  # noqa: SLF001 - no public way
    for update in updates:
        number = str(update.id).strip()
        reference = number if update.member_id == _MEMBER else f"{update.member_id}/{number}"
        if update.entry_type is not hash_api.NCMECEntryType.image:
            read.left_out[update.entry_type.value] += 1
        elif update.deleted:
            read.withdrawn_references.add(reference)
        else:
            hashes = [
                _entry(kind, value, "" if number == f"{kind}:{value}" else reference)
                for kind, value in update.fingerprints.items()
                if kind in {PDQ, MD5}
            ]
            read.entries.extend(hashes)
            read.left_out.update({"image without pdq or md5": not hashes})


def _write_csv(entries: Iterable[Entry], _at: datetime) -> Iterator[str]:
    rows = (
        (e.value if e.kind == PDQ else "", e.value if e.kind == MD5 else "", e.quality, e.reference) for e in entries
    )
    for row in chain([("hash", "md5", "quality", "reference")], rows):
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(row)
        yield line.getvalue()


def _write_threatexchange(entries: Iterable[Entry], at: datetime) -> Iterator[str]:
    kinds = {PDQ: "HASH_PDQ", MD5: "HASH_MD5"}
    records = (
        {
            # A number that the hash alone gives, so that a later list names the same hash by the same number.
            "id": str(int(entry.value[:15], 16)),
            "indicator": entry.value,
            "type": kinds[entry.kind],
            "last_updated": int(at.timestamp()),
            "should_delete": False,
            "descriptors": {"data": [{"description": entry.reference, "tags": ["media_type_photo"]}]},
        }
        for entry in entries
    )
    yield from _listed('{"data": [', records, "]}\n")


def _write_stopncii(entries: Iterable[Entry], at: datetime) -> Iterator[str]:
    moment = int(at.timestamp())
    records = [
        {
            "lastModtimestamp": moment,
            "signalType": "ImagePDQ",
            "hashValue": entry.value,
            "hashStatus": "Active",
            "caseNumbers": {entry.reference: "Active"} if entry.reference else {},
            "CSPFeedbacks": [],
        }
        for entry in entries
    ]
    head = {"count": len(records), "nextPageToken": None, "nextSetTimestamp": moment, "hasMoreRecords": False}
    yield from _listed(f'{json.dumps(head)[:-1]}, "hashRecords": [', records, "]}\n")


def _write_ncmec(entries: Iterable[Entry], at: datetime) -> Iterator[str]:
    moment = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    yield f'<?xml version="1.0" encoding="UTF-8"?>\n<queryResult xmlns="{_NAMESPACE}">\n'
    yield f'<images maxTimestamp="{moment}">\n'
    for entry in entries:
        member, slash, number = entry.reference.partition("/")
        if not (slash and number and member.isascii() and member.isdigit() and member[0] != "0"):
            member, number = str(_MEMBER), entry.reference or f"{entry.kind}:{entry.value}"
        yield (
            f'<image><member id="{member}"/><timestamp>{moment}</timestamp><id>{escape(number)}</id>'
            f"<fingerprints><{entry.kind}>{entry.value}</{entry.kind}></fingerprints></image>\n"
        )
    yield "</images>\n</queryResult>\n"


def _listed(head: str, records: Iterable[dict[str, Any]], foot: str) -> Iterator[str]:
    yield head
    for place, record in enumerate(records):
        yield f"{',' if place else ''}\n{json.dumps(record)}"
    yield foot


_READERS: dict[str, Callable[[bytes, ProgrammeFile], None]] = {
    "csv": lambda _data, _read: None,
    "threatexchange": _read_threatexchange,
    "stopncii": _read_stopncii,
    "ncmec": _read_ncmec,
}
_WRITERS: dict[str, Callable[[Iterable[Entry], datetime], Iterator[str]]] = {
    "csv": _write_csv,
    "threatexchange": _write_threatexchange,
    "stopncii": _write_stopncii,
    "ncmec": _write_ncmec,
}
FORMATS = tuple(_READERS)
