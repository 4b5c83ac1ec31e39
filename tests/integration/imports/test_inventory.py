"""S3 Inventories in each of their forms, from the real server."""

import csv
import gzip
import hashlib
import io
import json
from urllib.parse import quote_plus

import pyarrow as pa
import pytest
from pyarrow import orc, parquet

from nightlight.store.inventory import Inventory, read_inventory_manifest
from nightlight_core.errors import InvalidInput, ObjectMissing, PayloadTooLarge, StoreUnavailable

pytestmark = pytest.mark.integration
SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag"
ODD = ["plain/u-1.jpg", "plus+and space/u-2.jpg", "ünï/u-3.jpg", 'quote",/u-4.jpg']


def rows(count):
    """(key, is latest, is a delete marker, etag); every fifth is no current object."""
    keys = [*ODD, *(f"many/u-{number}.jpg" for number in range(count - len(ODD)))]
    return [(key, number % 5 != 4, number % 10 == 9, f"e{number}") for number, key in enumerate(keys)]


def as_csv(rows):
    text = io.StringIO()
    for key, latest, marker, etag in rows:
        csv.writer(text, quoting=csv.QUOTE_ALL).writerow(
            ["src", quote_plus(key), "v", str(latest).lower(), str(marker).lower(), "7", etag]
        )
    return gzip.compress(text.getvalue().encode())


def as_table(rows):
    keys, latest, marker, etags = zip(*rows, strict=True)
    return pa.table(
        {
            "bucket": ["src"] * len(rows),
            "key": keys,
            "is_latest": latest,
            "is_delete_marker": marker,
            "size": [7] * len(rows),
            "e_tag": etags,
        }
    )


def as_parquet(rows):
    file = io.BytesIO()
    parquet.write_table(as_table(rows), file)
    return file.getvalue()


def as_orc(rows):
    file = io.BytesIO()
    orc.write_table(as_table(rows), file)
    return file.getvalue()


EXPORT_FORMATS = {"CSV": as_csv, "Parquet": as_parquet, "ORC": as_orc}


def put(avatars, form, parts, **changed):
    bucket, s3 = avatars
    files = []
    for number, part in enumerate(parts):
        key, data = f"inv/data/{number}", EXPORT_FORMATS[form](part)
        s3.put_object(Bucket=bucket, Key=key, Body=data)
        files.append({"key": key, "size": len(data), "MD5checksum": hashlib.md5(data).hexdigest()})
    manifest = {
        "sourceBucket": "src",
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "fileFormat": form,
        "fileSchema": SCHEMA,
        "files": files,
    }
    s3.put_object(Bucket=bucket, Key="inv/manifest.json", Body=json.dumps({**manifest, **changed}))
    return bucket, "inv/manifest.json"


def listed_objects(pages):
    return [(entry.key, entry.etag) for page, _ in pages for entry in page]


@pytest.mark.parametrize("form", EXPORT_FORMATS)
def test_current_objects_are_found_and_a_walk_goes_on_where_it_was(avatars, foreign, form):
    listed_rows = rows(2_550)
    inventory = Inventory(foreign, *put(avatars, form, [listed_rows[:1_250], listed_rows[1_250:]]))
    assert inventory.manifest.source_bucket == "src"
    wanted = [(key, etag) for key, latest, marker, etag in listed_rows if latest and not marker]
    pages = list(inventory.pages({}))
    assert listed_objects(pages) == wanted
    assert len(pages) == 4
    for number in range(4):
        assert listed_objects(pages[: number + 1]) + listed_objects(inventory.pages(pages[number][1])) == wanted


def test_a_file_that_is_not_what_the_manifest_says_is_refused(avatars, foreign):
    bucket, s3 = avatars
    inventory = Inventory(foreign, *put(avatars, "CSV", [rows(10)]))
    s3.put_object(Bucket=bucket, Key="inv/data/0", Body=as_csv(rows(9)))
    with pytest.raises(StoreUnavailable, match="MD5"):
        list(inventory.pages({}))
    s3.delete_object(Bucket=bucket, Key="inv/data/0")
    with pytest.raises(ObjectMissing):
        list(inventory.pages({}))


@pytest.mark.parametrize("form", EXPORT_FORMATS)
def test_damaged_files_are_refused(avatars, foreign, form, monkeypatch):
    monkeypatch.setitem(EXPORT_FORMATS, form, lambda _: b"not what it should be" * 100)
    inventory = Inventory(foreign, *put(avatars, form, [[]]))
    with pytest.raises(InvalidInput, match="cannot be read"):
        list(inventory.pages({}))


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"\xff", b'{"files": [{}]}', b"[" * 100_000,
     json.dumps({"sourceBucket": "s", "destinationBucket": "d", "fileFormat": "XML", "fileSchema": "Key", "files": []}).encode(),
     json.dumps({"sourceBucket": "s", "destinationBucket": "d", "fileFormat": "CSV", "fileSchema": "Size", "files": []}).encode()],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(data):
    with pytest.raises(InvalidInput):
        read_inventory_manifest(data)


def test_an_object_that_is_too_large_is_not_read(avatars, foreign):
    bucket, s3 = avatars
    s3.put_object(Bucket=bucket, Key="big", Body=bytes(1_000))
    with pytest.raises(PayloadTooLarge):
        foreign.fetch(bucket, "big", max_bytes=999)
    assert len(foreign.fetch(bucket, "big", max_bytes=1_000).data) == 1_000
