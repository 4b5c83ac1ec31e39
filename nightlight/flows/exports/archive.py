"""The ZIP archive of an export: the document, its schema, the page, and the originals."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

from nightlight.flows.exports import document
from nightlight.flows.exports.contents import file_name
from nightlight.flows.exports.page import page
from nightlight_core.errors import ObjectMissing

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.images import ImageRow
    from nightlight.flows.exports.contents import Contents

# Gives the bytes of an image's original, as they were uploaded; raises ObjectMissing where there are none.
Fetch = Callable[["ImageRow"], bytes]
# What the document, the page and the archive's own lists take at most, beside the originals.
_BESIDE = 5_000_000
_OWNER_ONLY = 0o600 << 16


def write_archive(
    file: IO[bytes], contents: Contents, fetch: Fetch, *, export_id: str, now: datetime, max_bytes: int
) -> None:
    """Write the archive of an export; raises what ``fetch`` raises but ObjectMissing.

    Originals are put in as long as all of it stays under ``max_bytes``, the newest first; what is left out is said.
    """
    pictures = list(contents.pictures)
    with zipfile.ZipFile(file, "w") as archive:
        left = max_bytes - _BESIDE
        for place, image in contents.originals.items():
            if image.original_bytes > left:
                pictures[place] = pictures[place].model_copy(update={"original_left_out": "too_large"})
                continue
            try:
                data = fetch(image)
            except ObjectMissing:
                continue
            left -= len(data)
            name = file_name(place, image)
            _add(archive, name, data, now, compress=False)
            original = document.Original(
                file=name,
                format=image.format,
                width=image.width,
                height=image.height,
                bytes=len(data),
                sha256=hashlib.sha256(data).hexdigest(),
            )
            pictures[place] = pictures[place].model_copy(update={"original": original, "original_left_out": None})
        whole = document.ExportDocument(
            format=document.FORMAT,
            export_id=export_id,
            made_at=now.isoformat(),
            account=contents.account,
            pictures=pictures,
            shown=contents.shown,
            tiers=contents.tiers,
            erased=contents.erased,
        )
        _add(archive, document.DOCUMENT, whole.model_dump_json(indent=1).encode(), now)
        _add(archive, document.SCHEMA, json.dumps(document.schema(), indent=1).encode(), now)
        _add(archive, document.PAGE, page(whole).encode(), now)


def _add(archive: zipfile.ZipFile, name: str, data: bytes, now: datetime, *, compress: bool = True) -> None:
    info = zipfile.ZipInfo(name, date_time=now.timetuple()[:6])
    info.external_attr = _OWNER_ONLY
    info.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    archive.writestr(info, data)
