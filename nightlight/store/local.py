"""A folder as an object store: one file an object, a JSON line of its properties before its bytes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from nightlight.store.interface import (
    CACHE_CONTROL,
    DeletedVersion,
    ObjectInfo,
    PutResult,
    StoredObject,
    check_key,
    checked,
)
from nightlight_core.errors import ObjectMissing, StoreDenied, StoreUnavailable
from nightlight_core.files import private_folder

_BLOCK = 1 << 20
_MAX_HEADER = 4_096


class LocalStore:
    """One bucket in a folder. Writes are atomic and durable: a temporary file, fsync, then a hard link."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, which is made (for the owner alone) when the first object is put."""
        self._folder = folder

    def put(self, key: str, body: BinaryIO, *, sha256: str, content_type: str) -> PutResult:
        """See ObjectStore.put."""
        path = self._path(key)
        with _disk_errors():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            size = body.seek(0, os.SEEK_END)
            body.seek(0)
            header = json.dumps(asdict(ObjectInfo(size, sha256, content_type, CACHE_CONTROL))).encode() + b"\n"
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".part") as part:
                part.write(header)
                while block := body.read(_BLOCK):
                    part.write(block)
                part.flush()
                os.fsync(part.fileno())
                try:
                    os.link(part.name, path)
                except FileExistsError:
                    return PutResult.EXISTS
            self._sync(path.parent)
        return PutResult.STORED

    def replace(self, key: str, body: BinaryIO, *, sha256: str, content_type: str) -> None:
        """See ReplacingStore.replace."""
        self.delete(key)
        if self.put(key, body, sha256=sha256, content_type=content_type) is PutResult.EXISTS:
            raise StoreUnavailable(f"{key}: another process put an object there while it was being replaced")

    def ready(self) -> None:
        """See ObjectStore.ready."""
        with _disk_errors():
            private_folder(self._folder)

    def get(self, key: str, *, max_bytes: int) -> StoredObject:
        """See ObjectStore.get."""
        with self._reading(key) as stream:
            info = _header(stream)
            data = stream.read(max_bytes + 1)  # one more tells that there is more
        return checked(key, data, info, max_bytes)

    def head(self, key: str) -> ObjectInfo:
        """See ObjectStore.head."""
        with self._reading(key) as stream:
            return _header(stream)

    def delete(self, key: str) -> None:
        """See ObjectStore.delete."""
        path = self._path(key)
        with _disk_errors():
            path.unlink(missing_ok=True)
            if path.parent.exists():
                self._sync(path.parent)

    def retag(self, key: str, state: str) -> None:
        """See ObjectStore.retag: a folder has no rules, so there is nothing to do."""

    def erase(self, key: str) -> list[DeletedVersion]:
        """See ObjectStore.erase."""
        versions = self.remains(key)
        self.delete(key)
        return versions

    def locked_until(self, key: str) -> str | None:
        """See ObjectStore.locked_until: a folder has no locks."""
        check_key(key)
        return None

    def remains(self, key: str) -> list[DeletedVersion]:
        """See ObjectStore.remains."""
        with _disk_errors():
            return [DeletedVersion("", marker=False, request_id="")] if self._path(key).exists() else []

    def keys(self, prefix: str = "") -> Iterator[str]:
        """See ObjectStore.keys."""
        names = (path.relative_to(self._folder).as_posix() for path in self._folder.rglob("*") if path.is_file())
        yield from sorted(key for key in names if key.startswith(prefix) and "/." not in f"/{key}")

    def _path(self, key: str) -> Path:
        return self._folder / check_key(key)

    @contextmanager
    def _reading(self, key: str) -> Iterator[BinaryIO]:
        with _disk_errors():
            try:
                stream = self._path(key).open("rb")
            except FileNotFoundError as error:
                raise ObjectMissing(key) from error
            with stream:
                yield stream

    @staticmethod
    def _sync(folder: Path) -> None:
        """Make a directory's entries durable."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _header(stream: BinaryIO) -> ObjectInfo:
    line = stream.readline(_MAX_HEADER)
    try:
        return ObjectInfo(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise StoreUnavailable("an object's file has no header") from error


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Raise what is ours for every error of the disk's in the block."""
    try:
        yield
    except PermissionError as error:
        raise StoreDenied(str(error)) from error
    except OSError as error:
        raise StoreUnavailable(str(error)) from error
