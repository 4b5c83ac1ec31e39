"""The helper inside the cage. ``python -m nightlight.imaging.decoder_process SOCKET UPLOAD ANSWER BELL`` (descriptors).

It loads the decoders, makes each of them work once so that nothing is left to load, shuts itself in, and
then forks a child for every picture. The child maps the upload, shuts itself in further, makes the frame,
writes it where the parent can see it, rings the bell and ends: no picture ever meets another one's memory.
The parent trusts nothing that the child says but numbers that it checks, and pixels.
"""

from __future__ import annotations

import gc
import json
import logging
import mmap
import os
import resource
import signal
import socket
import struct
import sys
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import Image, ImageCms

from nightlight.imaging import decode, seccomp
from nightlight.imaging.crop import Region
from nightlight.imaging.decoded_frame import Stages, make_frame
from nightlight.imaging.header_readers import Format, Header
from nightlight_core.errors import CorruptImage, ImageRefused, ImageTooLarge

# What stands before the pixels in the answer: a JSON object, padded with spaces.
ANSWER_HEAD = 4096
MAX_DETAIL = 500
# The stages that a child may report the time of.
INSIDE = ("decode", "shrink", "normalise", "hand over")
STRIP_BYTES = 96_000
# Memory that a waiting child has in hand: the pixels of a 1080-pixel picture, and what shrinking it takes.
REHEARSED_BYTES = 8_000_000
# Exit codes of a child: it failed in a way that nobody foresaw; no request will come.
FAILED, NO_MORE = 1, 3
# What a child writes to say that its answer is there.
BELL = b"\a"
_LENGTH = struct.Struct("<I")

# Shared, and (Linux) mapped whole at once: a page fault each would cost more than the copying.
_SHARED = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)

_REHEARSAL = b""

# What a child does with a request: reads the mapped upload, fills the mapped answer.
Work = Callable[[dict[str, Any], mmap.mmap, mmap.mmap], None]


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send one message."""
    data = json.dumps(message).encode()
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive(connection: socket.socket) -> dict[str, Any] | None:
    """Return the next message, or None at the end; raises TimeoutError where the socket has a timeout."""
    head = _exactly(connection, _LENGTH.size)
    data = _exactly(connection, min(_LENGTH.unpack(head)[0], ANSWER_HEAD)) if head else None
    return json.loads(data) if data else None


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            return None
        data += piece
    return data


def answer(area: mmap.mmap, head: dict[str, Any]) -> None:
    """Write the JSON head of an answer."""
    text = json.dumps(head).encode()
    area[:ANSWER_HEAD] = text.ljust(ANSWER_HEAD)


def frame_work(request: dict[str, Any], upload: mmap.mmap, area: mmap.mmap) -> None:
    """Make the frame that is asked for, or say why there is none."""
    header = Header(**{**request["header"], "format": Format(request["header"]["format"])})
    region = Region(*request["region"]) if request["region"] else None
    stages = Stages()
    try:
        image = make_frame(upload, header, edge=request["edge"], region=region, stages=stages)
        with stages.stage("hand over"):
            _write(image, area)
    except ImageRefused as error:
        answer(area, {"refused": error.code, "detail": str(error)[:MAX_DETAIL]})
        return
    except MemoryError:
        answer(area, {"refused": ImageTooLarge.code, "detail": f"{header.format}: more memory than is allowed"})
        return
    answer(area, {"width": image.width, "height": image.height, "stages": stages.ms})


def _write(image: Image.Image, area: mmap.mmap) -> None:
    """Copy the pixels behind the head, in strips that stay in the processor's cache."""
    rows = max(1, STRIP_BYTES // (image.width * 3))
    at = ANSWER_HEAD
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height))).tobytes()
        area[at : at + len(strip)] = strip
        at += len(strip)


def warm_up() -> None:
    """Make every decoder and conversion work once: what they load lazily cannot be loaded later."""
    global _REHEARSAL  # noqa: PLW0603 - one constant that Pillow has to make
    small = Image.new("RGB", (16, 16), (90, 120, 60))
    buffer = BytesIO()
    small.save(buffer, "JPEG")
    _REHEARSAL = buffer.getvalue()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    saves: list[tuple[Format, Image.Image, dict[str, Any]]] = [
        (Format.JPEG, small, {"icc_profile": profile}),
        (Format.JPEG, small.convert("CMYK"), {"exif": Image.Exif()}),
        (Format.PNG, small.convert("P"), {"exif": Image.Exif()}),
        (Format.PNG, Image.new("I;16", (16, 16)), {}),
        (Format.WEBP, small.convert("RGBA"), {"xmp": b"<x:xmpmeta/>"}),
        (Format.GIF, small, {}),
        (Format.AVIF, small, {}),
        (Format.HEIC, small, {}),
    ]
    for format_, image, options in saves:
        if format_ not in decode.available():
            continue
        buffer = BytesIO()
        try:
            image.save(buffer, decode.PILLOW_FORMATS[format_][0], **options)
        except OSError:  # a build that can decode a format and not encode it
            continue
        make_frame(buffer, Header(format_, 16, 16), edge=8)
    for broken in (b"\xff\xd8\xff\xe0\0\x10JFIF\0", b"\x89PNG\r\n\x1a\n"):
        try:
            make_frame(BytesIO(broken), Header(Format.JPEG, 16, 16), edge=8)
        except CorruptImage:
            continue


def serve(work: Work, connection_fd: int, upload_fd: int, answer_fd: int, bell_fd: int) -> None:
    """Shut this process in and serve requests until the other end closes."""
    seccomp.die_with_parent()
    connection = socket.socket(fileno=connection_fd)
    try:
        filters = seccomp.Filters(bell_fd)
        why = ""
    except (ImportError, OSError, RuntimeError) as error:
        filters, why = None, f"{type(error).__name__}: {error}"
    seccomp.no_new_privileges()
    gc.collect()
    gc.freeze()
    gc.disable()
    seccomp.settle_memory()
    seccomp.measure_address_space()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if filters:
        filters.helper.close()
    send(connection, {"ready": True, "seccomp": filters is not None, "why": why[:MAX_DETAIL]})
    while True:
        # The child for the next picture is made, and shut in, while there is time; it waits for the request.
        child = os.fork()
        if child == 0:
            try:
                _child(work, connection, upload_fd, answer_fd, bell_fd, filters)
            finally:
                os._exit(FAILED)
        _, status, usage = os.wait4(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == NO_MORE:
            os._exit(0)  # an orderly end of the interpreter would ask for more than the filter allows
        ended = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"code": os.WEXITSTATUS(status)}
        cpu_ms = (usage.ru_utime + usage.ru_stime) * 1000
        try:
            send(connection, {**ended, "cpu_ms": cpu_ms, "peak_kb": usage.ru_maxrss})
        except OSError:  # the parent is gone
            os._exit(0)


def _child(
    work: Work,
    connection: socket.socket,
    upload_fd: int,
    answer_fd: int,
    bell_fd: int,
    filters: seccomp.Filters | None,
) -> None:
    """Wait for one request, and do it with nothing left in hand but the two mapped areas and the bell."""
    seccomp.die_with_parent()
    _rehearse()
    request = _next(connection)
    if request is None:
        os._exit(NO_MORE)
    upload = mmap.mmap(upload_fd, request["upload_bytes"], prot=mmap.PROT_READ, flags=_SHARED)
    area = mmap.mmap(answer_fd, request["answer_bytes"], flags=_SHARED)
    connection.close()
    os.close(upload_fd)
    os.close(answer_fd)
    if request.get("slow"):
        seccomp.stand_back()
    seccomp.limit(memory_bytes=request["memory_bytes"] + len(upload) + len(area), cpu_s=request["cpu_s"])
    if filters:
        (filters.threaded if request.get("threads") else filters.decoder).close()
    try:
        work(request, upload, area)
    except Exception as error:  # noqa: BLE001 - whatever it is, the operator is to read of it
        answer(area, {"failed": f"{type(error).__name__}: {error}"[:MAX_DETAIL]})
        os._exit(FAILED)
    os.write(bell_fd, BELL)  # the parent need not wait for the end of this process to read the answer
    os._exit(0)


def _next(connection: socket.socket) -> dict[str, Any] | None:
    try:
        return receive(connection)
    except OSError:  # the parent is gone
        return None


def _rehearse() -> None:
    """Touch what the work will touch, so that a picture does not wait for the pages that a fresh child lacks."""
    b"\1" * REHEARSED_BYTES
    make_frame(BytesIO(_REHEARSAL), Header(Format.JPEG, 16, 16), edge=8)


def main() -> None:
    """Serve frames over the descriptors that the command line names."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which then closes the cage
    # A warning would be printed with its line of source, and neither reading nor printing is allowed.
    warnings.simplefilter("ignore")
    logging.disable()
    warm_up()
    serve(frame_work, *(int(argument) for argument in sys.argv[1:5]))


if __name__ == "__main__":
    main()
