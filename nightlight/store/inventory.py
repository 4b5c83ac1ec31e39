"""S3 Inventory: lists of a bucket's objects that S3 writes daily or weekly, in CSV, Parquet or ORC.

A manifest names the data files, with their MD5, and what their columns are. One file at a time is on the disk, and a
batch of its rows in memory. Format: Amazon S3 User Guide, "Inventory lists".
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from nightlight.store.key_template import MAX_KEY_BYTES
from nightlight.store.source_buckets import Page, SourceKey, source_error
from nightlight_core.errors import InvalidInput, SettingsRefused, StoreUnavailable

if TYPE_CHECKING:
    from nightlight.store.source_buckets import SourceBuckets

MAX_MANIFEST_BYTES = 50_000_000
MAX_FILE_BYTES = 5_000_000_000
_BATCH = 1000
_BLOCK = 1 << 20
# What the columns that are needed are called in CSV's schema and in the other two.
_NAMES = {"key": "key", "etag": "etag", "e_tag": "etag", "islatest": "latest", "is_latest": "latest"}
_NAMES |= {"isdeletemarker": "marker", "is_delete_marker": "marker"}
_FORMATS = ("CSV", "Parquet", "ORC")


@dataclass(frozen=True, slots=True)
class InventoryManifest:
    """What a manifest says: whose objects are listed, where the files are, and how to read them."""

    source_bucket: str
    bucket: str
    files: tuple[tuple[str, str], ...]
    format: str
    columns: tuple[str, ...]


def read_inventory_manifest(data: bytes) -> InventoryManifest:
    """Read a manifest; raises InvalidInput."""
    try:
        document = json.loads(data)
        files = tuple((str(file["key"]), str(file["MD5checksum"])) for file in document["files"])
        form = str(document["fileFormat"])
        columns = tuple(file.strip() for file in str(document["fileSchema"]).split(",")) if form == "CSV" else ()
        bucket = str(document["destinationBucket"]).removeprefix("arn:aws:s3:::")
        manifest = InventoryManifest(str(document["sourceBucket"]), bucket, files, form, columns)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput(f"this is no manifest of an S3 Inventory ({type(error).__name__})") from error
    if form not in _FORMATS or (form == "CSV" and "key" not in {_NAMES.get(file.lower()) for file in columns}):
        raise InvalidInput(f"an inventory is in {', '.join(_FORMATS)}, with a column of keys; this one is in {form!r}")
    return manifest


class Inventory:
    """One inventory, by the address of its manifest."""

    def __init__(self, buckets: SourceBuckets, bucket: str, key: str) -> None:
        """Read the manifest; raises InvalidInput, ObjectMissing, StoreDenied or StoreUnavailable."""
        self._buckets = buckets
        self.manifest = read_inventory_manifest(buckets.fetch(bucket, key, max_bytes=MAX_MANIFEST_BYTES).data)

    def pages(self, cursor: dict[str, Any]) -> Iterator[Page]:
        """Yield current objects, a thousand rows at a time, from where ``cursor`` says."""
        first, done = int(cursor.get("file", 0)), int(cursor.get("rows", 0))
        for number in range(first, len(self.manifest.files)):
            with tempfile.TemporaryFile() as file:
                self._fetch(*self.manifest.files[number], file)
                rows = 0
                for batch in _batches(file, self.manifest):
                    rows += len(batch)
                    if rows <= done:
                        continue
                    fresh = batch[max(0, len(batch) - (rows - done)) :]
                    yield [key for key in fresh if key is not None], {"file": number, "rows": rows}
            done = 0

    def _fetch(self, key: str, md5: str, file: IO[bytes]) -> None:
        digest, size = hashlib.md5(usedforsecurity=False), 0
        try:
            answer = self._buckets.client.get_object(Bucket=self.manifest.bucket, Key=key)
            with answer["Body"] as stream:
                while block := stream.read(_BLOCK):
                    size += len(block)
                    if size > MAX_FILE_BYTES:
                        raise InvalidInput(f"a file of the inventory has more than {MAX_FILE_BYTES:,} bytes")
                    digest.update(block)
                    file.write(block)
        except (ClientError, BotoCoreError, OSError) as error:
            raise source_error(error, f"s3://{self.manifest.bucket}/{key}") from error
        if digest.hexdigest() != md5:
            raise StoreUnavailable(f"s3://{self.manifest.bucket}/{key} is not what the manifest says (MD5)")
        file.seek(0)


def _batches(file: IO[bytes], manifest: InventoryManifest) -> Iterator[list[SourceKey | None]]:
    """Yield batches of rows; None stands for a row that is no current object."""
    if manifest.format == "CSV":
        yield from _csv(file, manifest.columns)
        return
    try:
        from pyarrow import orc, parquet
        from pyarrow.lib import ArrowException
    except ImportError as error:
        message = "inventories in Parquet or ORC need the extra: pip install 'nightlight[inventory]'"
        raise SettingsRefused(message) from error
    try:
        if manifest.format == "Parquet":
            parquet_file = parquet.ParquetFile(file)
            names = {name: _NAMES[name] for name in parquet_file.schema_arrow.names if name in _NAMES}
            tables: Any = parquet_file.iter_batches(batch_size=_BATCH, columns=list(names))
        else:
            orc_file = orc.ORCFile(file)
            names = {name: _NAMES[name] for name in orc_file.schema.names if name in _NAMES}
            tables = (
                part
                for number in range(orc_file.nstripes)
                for part in _slices(orc_file.read_stripe(number, columns=list(names)))
            )
        if "key" not in names.values():
            raise InvalidInput("the inventory has no column of keys")
        for table in tables:
            yield [_key({names[name]: value for name, value in row.items()}) for row in table.to_pylist()]
    except (ArrowException, OSError) as error:
        raise InvalidInput(f"a file of the inventory cannot be read ({type(error).__name__})") from error


def _slices(stripe: Any) -> Iterator[Any]:
    for begin in range(0, stripe.num_rows, _BATCH):
        yield stripe.slice(begin, _BATCH)


def _csv(file: IO[bytes], columns: tuple[str, ...]) -> Iterator[list[SourceKey | None]]:
    where = {_NAMES[name.lower()]: number for number, name in enumerate(columns) if name.lower() in _NAMES}
    batch: list[SourceKey | None] = []
    try:
        with gzip.open(file) as packed, io.TextIOWrapper(packed, "utf-8", newline="") as text:
            csv.field_size_limit(16 * MAX_KEY_BYTES)
            for row in csv.reader(text):
                values = {name: row[number] for name, number in where.items()}
                batch.append(_key({**values, "key": unquote_plus(values["key"])}))
                if len(batch) == _BATCH:
                    yield batch
                    batch = []
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, IndexError) as error:
        raise InvalidInput(f"a file of the inventory cannot be read ({type(error).__name__})") from error
    if batch:
        yield batch


def _key(row: Mapping[str, object]) -> SourceKey | None:
    """Return a row's key, None if it is no current object."""
    current = str(row.get("latest")).lower() != "false" and str(row.get("marker")).lower() != "true"
    key = row["key"]
    return SourceKey(key, str(row.get("etag") or "").strip('"')) if current and isinstance(key, str) else None
