"""How far the catalogue was when it was last looked at, as a small object beside the renditions.

A backup of the database does not hold it. So a catalogue that is behind it was restored, or lost what was written last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from nightlight.store.interface import replace_bytes
from nightlight_core.errors import ObjectMissing, StoreUnavailable

if TYPE_CHECKING:
    from nightlight.store.interface import ObjectStore

MARKER_KEY = "c/position.json"
_MEDIA_TYPE = "application/json"
_MAX_BYTES = 4096


_Number = Annotated[int, Field(strict=True, ge=0, lt=2**62)]


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="ignore"))
class PositionMarker:
    """``number`` is the catalogue's (catalogue.position); ``at`` is in Unix seconds.

    ``audit`` is the number of the audit log's last line, ``policy`` and ``candidate`` the versions of the active bundle
    and of the candidate, 0 for none, ``receipt`` the hash of the last receipt, empty before the first. Fields that a
    later release adds are left out.
    """

    number: _Number
    at: _Number
    audit: _Number
    policy: _Number
    candidate: _Number
    receipt: Annotated[str, Field(strict=True, pattern="^([0-9a-f]{64})?$")]


_MARKER = TypeAdapter(PositionMarker)


def read_marker(store: ObjectStore) -> PositionMarker | None:
    """Return the marker; None if there is none.

    Raises StoreDenied, or StoreUnavailable where it cannot be read or is malformed.
    """
    try:
        data = store.get(MARKER_KEY, max_bytes=_MAX_BYTES).data
    except ObjectMissing:
        return None
    try:
        return _MARKER.validate_json(data)
    except ValidationError as error:
        raise StoreUnavailable(f"{MARKER_KEY}: malformed: {error.error_count()} of its fields") from error


def write_marker(store: ObjectStore, marker: PositionMarker) -> None:
    """Put the marker in the place of the one that is there; raises StoreUnavailable or StoreDenied."""
    replace_bytes(store, MARKER_KEY, _MARKER.dump_json(marker), _MEDIA_TYPE)
