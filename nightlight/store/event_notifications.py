"""Notifications of S3: what servers say when an object was written or deleted.

Three forms are read: S3's own records (also inside an SNS message), EventBridge's, and those of Ceph and MinIO, which
are S3's with small differences. What a notice says is a reason to look at a key, nothing more: it may come late, twice,
or after a later one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from nightlight.store.key_template import MAX_KEY_BYTES
from nightlight_core.errors import InvalidInput

MAX_BYTES = 262_144  # SQS's largest message
_MOST_DEEP = 2
_CREATED, _REMOVED = "ObjectCreated", "ObjectRemoved"
_BRIDGE = {"Object Created": _CREATED, "Object Deleted": _REMOVED}


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """That something happened to a key; ``event_id`` tells two notices of one key apart."""

    bucket: str
    key: str
    removed: bool
    etag: str
    event_id: str


def read_events(data: bytes | str) -> list[ObjectEvent]:
    """Return what a message says of objects, nothing for other events and for tests; raises InvalidInput."""
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"a notification has at most {MAX_BYTES:,} bytes")
    try:
        return _read(json.loads(data), 0)
    except InvalidInput:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"this is no notification of S3 ({type(error).__name__})") from error


def _read(message: Any, depth: int) -> list[ObjectEvent]:
    if isinstance(message.get("Message"), str) and depth < _MOST_DEEP:  # SNS
        return _read(json.loads(message["Message"]), depth + 1)
    if "detail-type" in message:
        kind, detail = _BRIDGE.get(message["detail-type"]), message["detail"]
        if kind is None or "Lifecycle" in str(detail.get("reason", "")):
            return []
        entity = detail["object"]
        return [_notice(detail["bucket"]["name"], {"when": message.get("time"), **entity}, kind, str(entity["key"]))]
    if message.get("Event") == "s3:TestEvent":
        return []
    events = []
    for record in message["Records"]:
        kind = str(record["eventName"]).removeprefix("s3:").partition(":")[0]
        if kind in {_CREATED, _REMOVED}:
            entity = record["s3"]["object"]
            key = str(entity["key"])
            ceph = str(record.get("eventSource", "")).startswith("ceph")
            entity_and_time = {"when": record.get("eventTime"), **entity}
            events.append(
                _notice(record["s3"]["bucket"]["name"], entity_and_time, kind, key if ceph else unquote_plus(key))
            )
    return events


def _notice(bucket: Any, entity: dict[str, Any], kind: str, key: str) -> ObjectEvent:
    if not isinstance(bucket, str) or not 3 <= len(bucket) <= 63 or not 1 <= len(key.encode()) <= MAX_KEY_BYTES:  # noqa: PLR2004 - S3's limits
        raise InvalidInput("a notification names no bucket or no key")
    etag = str(entity.get("eTag") or entity.get("etag") or "").strip('"')[:100]
    # What tells two events of one key apart; a server that numbers none says at least when it was.
    parts = (kind, entity.get("sequencer") or entity["when"], entity.get("versionId") or entity.get("version-id"))
    return ObjectEvent(bucket, key, kind == _REMOVED, etag, "/".join(str(part or "") for part in parts)[:200])
