"""Files that an operator names, read with a bound; and what is written for its owner alone.

A file's size says nothing of a device or a pipe, and a sparse file has any: what is no ordinary file is refused before
anything is read, and no more is read than the bound.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# Keys, certificates, approvals, documents of a policy.
SMALL = 1_000_000
FOLDER, FILE = 0o700, 0o600


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Give an ordinary file, open for reading; raise OSError for anything else, a pipe without a writer included."""
    # Opening a pipe would wait for its other end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
        yield file


def read_bytes(path: Path, most: int = SMALL) -> bytes:
    """Return what an ordinary file of at most ``most`` bytes holds; raise OSError for anything else."""
    with opened(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", str(path))
    return data


def read_text(path: Path, encoding: str = "utf-8", most: int = SMALL) -> str:
    """Return the text of an ordinary file of at most ``most`` bytes; raise OSError, or ValueError for other text."""
    return read_bytes(path, most).decode(encoding)


def lines(path: Path, most: int) -> Iterator[str]:
    """Yield the lines, UTF-8, of an ordinary file, stripped; raise OSError for one of more than ``most`` bytes.

    Raises ValueError where it is not UTF-8. A file may have any number of lines: one is in memory at a time.
    """
    with opened(path) as file:
        while line := file.readline(most + 1):
            if len(line) > most:
                raise OSError(errno.EFBIG, f"it has a line of more than {most:,} bytes", str(path))
            yield line.decode("utf-8").strip()


def private_folder(path: Path) -> Path:
    """Make a folder that its owner alone may enter, whatever the umask; one that is there is made so.

    Raises OSError, where it is somebody else's.
    """
    for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        missing.mkdir(mode=FOLDER, exist_ok=True)
        missing.chmod(FOLDER)
    mode = path.stat().st_mode
    if not stat.S_ISDIR(mode):
        raise NotADirectoryError(errno.ENOTDIR, "it is no folder", str(path))
    if stat.S_IMODE(mode) != FOLDER:
        path.chmod(FOLDER)
    return path


def tighten(descriptor: int) -> None:
    """Take an open file from everybody but its owner; raise OSError, where it is somebody else's."""
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no ordinary file")
    if stat.S_IMODE(mode) != FILE:
        os.fchmod(descriptor, FILE)


def private_file(path: Path) -> Path:
    """Make a file that its owner alone may read and write, empty if it is not there, whatever the umask.

    Raises OSError, where it is somebody else's. One that is there is not opened: closing it again would take away the
    locks that this process holds on it, as SQLite does (POSIX).
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        mode = 0
    if mode and not stat.S_ISLNK(mode):
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no ordinary file", str(path))
        if stat.S_IMODE(mode) != FILE:
            path.chmod(FILE)
        return path
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, FILE)
    try:
        tighten(descriptor)
    finally:
        os.close(descriptor)
    return path


def replace_file(path: Path, text: str, mode: int = FILE, *, owner: tuple[int, int] | None = None) -> None:
    """Write a file in one step: whoever reads it sees the old text or the new one. Its owner alone may read it.

    ``mode`` is for what others read too, and ``owner`` (user, group) for what belongs to somebody else. Raises OSError;
    the file is then as it was.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            if owner is not None and owner != (os.geteuid(), os.getegid()):
                os.fchown(stream.fileno(), *owner)
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
