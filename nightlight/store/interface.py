"""What Nightlight asks of an object store. Objects are written once and never changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from io import BytesIO
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, cast

from nightlight_core.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import NoReturn

# The tag that lifecycle rules go by.
STATE_TAG = "nightlight-state"
# No cache may keep an object. A browser or CDN may keep a rendition as long as its signed URL lives: the service and
# the edge say how long that is.
CACHE_CONTROL = "no-store"
# Nothing is served from the originals.
ORIGINAL_TYPE = "application/octet-stream"
# What sealing adds to an original (store.sealing), in bytes.
SEAL_BYTES = 16
# What is stored of an original, and its sealed key, to the original.
Open = Callable[[bytes, str | None], bytes]
# An original, to what is stored of it and its sealed key.
Seal = Callable[[bytes], tuple[bytes, str]]
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*")
MAX_KEY = 200


class PutResult(Enum):
    """Whether a put stored its bytes. It has no truth value: say which of the two is meant.

    To mypy it is something to be awaited, so that a call whose answer nobody looks at is an error (unused-awaitable):
    what is acknowledged on such an answer would be lost.
    """

    STORED = "stored"
    EXISTS = "exists"

    def __bool__(self) -> NoReturn:
        """Refuse: ``if store.put(...)`` would hold for either."""
        raise TypeError(f"compare with PutResult.STORED or PutResult.EXISTS; this is {self}")

    if TYPE_CHECKING:

        def __await__(self) -> Generator[NoReturn, NoReturn, NoReturn]: ...  # noqa: D105 - it is not there


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object without its bytes; ``sha256`` is of the bytes, in hexadecimal."""

    size: int
    sha256: str
    content_type: str
    cache_control: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object's bytes, and what the store knows of it."""

    data: bytes
    info: ObjectInfo


@dataclass(frozen=True, slots=True)
class DeletedVersion:
    """One thing that was deleted of a key: a version, a delete marker (``marker``) or an unfinished upload.

    ``version_id`` and ``request_id`` are the server's; a folder has none.
    """

    version_id: str
    marker: bool
    request_id: str


class WriteOnlyStore(Protocol):
    """The half of a store that a process without the right to read is given."""

    def put(self, key: str, body: BinaryIO, *, sha256: str, content_type: str) -> PutResult:
        """Write ``body`` under ``key`` unless an object is there already.

        Returns STORED if these bytes are there now, durable, by this call; EXISTS if another object was there before,
        which stays as it was. Raises StoreUnavailable, after which they may be there, or StoreDenied.
        """
        ...

    def ready(self) -> None:
        """Return if the store answers; raise StoreUnavailable if not."""
        ...


class ReplacingStore(Protocol):
    """The part of a store by which an original is put back that somebody may have begun to put back before."""

    def replace(self, key: str, body: BinaryIO, *, sha256: str, content_type: str) -> None:
        """Write ``body`` under ``key`` whatever is there; raises StoreUnavailable or StoreDenied."""
        ...


class ObjectStore(WriteOnlyStore, ReplacingStore, Protocol):
    """A whole store, for one bucket."""

    def get(self, key: str, *, max_bytes: int) -> StoredObject:
        """Return the object under ``key``, its bytes checked against their hash.

        Raises ObjectMissing; StoreUnavailable where the store does not answer, or the object is larger
        than ``max_bytes`` or does not match its hash; StoreDenied.
        """
        ...

    def head(self, key: str) -> ObjectInfo:
        """Return what is known of the object under ``key``; raises like ``get``."""
        ...

    def delete(self, key: str) -> None:
        """Delete the object under ``key``; it is no error if there is none."""
        ...

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that begin with ``prefix``, in order."""
        ...

    def retag(self, key: str, state: str) -> None:
        """Write the object under ``key`` anew in place, tagged with a retention state, so that its days begin now.

        Raises ObjectMissing, StoreUnavailable or StoreDenied. Where nothing goes by tags nothing is done.
        """
        ...

    def erase(self, key: str) -> list[DeletedVersion]:
        """Delete everything that there is under ``key``: every version, delete marker and unfinished upload.

        It is no error if there is nothing. Returns what was deleted; raises StoreUnavailable or StoreDenied, and then
        some of it may be deleted: calling again deletes the rest. A version that is refused keeps no other.
        """
        ...

    def locked_until(self, key: str) -> str | None:
        """Return until when an object lock keeps any version under ``key``: the last date, as text.

        Empty for a lock without a date, None where there is none. Raises StoreUnavailable or StoreDenied.
        """
        ...

    def remains(self, key: str) -> list[DeletedVersion]:
        """Return what there still is under ``key``, as ``erase`` would delete it; raises likewise."""
        ...


def require_stored(put: PutResult, key: str) -> None:
    """Take the answer of a put under a random key: that somebody else's object was there stored nothing of ours.

    Raises StoreUnavailable then: nothing may be acknowledged.
    """
    if put is not PutResult.STORED:
        raise StoreUnavailable(f"{key}: another object was there already, under a key that was just drawn")


def put_bytes(store: WriteOnlyStore, key: str, data: bytes, content_type: str) -> PutResult:
    """Write ``data`` under ``key``; see WriteOnlyStore.put."""
    return store.put(key, BytesIO(data), sha256=hashlib.sha256(data).hexdigest(), content_type=content_type)


def replace_bytes(store: ReplacingStore, key: str, data: bytes, content_type: str) -> None:
    """Write ``data`` under ``key`` whatever is there; see ReplacingStore.replace."""
    store.replace(key, BytesIO(data), sha256=hashlib.sha256(data).hexdigest(), content_type=content_type)


def sealed(file: IO[bytes], sha256: str, seal: Seal | None) -> tuple[BinaryIO, str, str | None]:
    """Return what to store of a file, its SHA-256 and the sealed key to keep.

    Without ``seal`` that is the file itself, whose hash is ``sha256``, and None.
    """
    if seal is None:
        return cast("BinaryIO", file), sha256, None
    file.seek(0)
    data, sealed_key = seal(file.read())
    return BytesIO(data), hashlib.sha256(data).hexdigest(), sealed_key


def unsealed(data: bytes, _sealed_key: str | None) -> bytes:
    """Return an original that was not sealed."""
    return data


class PutOnly:
    """Holds a store so that only ``put`` can be reached: the web tier's view of the originals."""

    __slots__ = ("put", "ready")

    def __init__(self, store: WriteOnlyStore) -> None:
        """Take over the two methods and let go of the store."""
        self.put = store.put
        self.ready = store.ready


def checked(key: str, data: bytes, info: ObjectInfo, max_bytes: int) -> StoredObject:
    """Return the object if it is whole, no larger than asked for, and matches its hash; else StoreUnavailable."""
    if len(data) > max_bytes or len(data) != info.size or hashlib.sha256(data).hexdigest() != info.sha256:
        raise StoreUnavailable(f"{key}: too large, or its bytes do not match their hash")
    return StoredObject(data, info)


def check_key(key: str) -> str:
    """Return ``key`` if it is one that Nightlight makes; raise ValueError for anything else.

    A second defence: keys come from random or keyed names, never from outside.
    """
    if len(key) > MAX_KEY or not _KEY.fullmatch(key):
        raise ValueError(f"not an object key: {key!r}")
    return key
