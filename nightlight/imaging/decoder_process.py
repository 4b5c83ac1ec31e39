"""The helper process of the sandbox: ``python -m nightlight.imaging.decoder_process SOCKET UPLOAD RESPONSE READY``.

The arguments are descriptors. The helper loads the decoders and uses each of them once, so nothing is left to load.
It confines itself, and then forks a child for every picture. The child maps the upload, confines itself further, makes
the frame, writes it into the response, writes to the ready pipe and exits. No picture ever meets another one's memory.
The parent takes pixels and checked numbers from the child, and nothing else.
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

from nightlight.imaging import seccomp
from nightlight.imaging.crop import Region
from nightlight.imaging.decode_notes import MAX_NOTES, DecodeNote
from nightlight.imaging.decoded_frame import StageTimes, decode_frame
from nightlight.imaging.decoders import available_formats
from nightlight.imaging.formats import FORMATS, Format
from nightlight.imaging.header import Header
from nightlight.imaging.normalise import prepare_colours
from nightlight.imaging.probe import UploadCaps, probe
from nightlight_core.errors import CorruptImage, ImageRefused, ImageTooLarge

# The response begins with a JSON object, padded with spaces; the pixels follow.
RESPONSE_HEAD_BYTES = 4096
MAX_DETAIL_CHARACTERS = 500
# The stages whose times a child reports.
SANDBOXED_STAGES = ("decode", "shrink", "normalise", "transfer")
STRIP_BYTES = 96_000
# Memory that a waiting child touches beforehand: the pixels of a 1080-pixel picture, and the resize.
PREPARED_BYTES = 8_000_000
# Exit codes of a child: it failed unexpectedly; no request will come.
EXIT_FAILED, EXIT_NO_REQUEST = 1, 3
# What a child writes to the ready pipe when its response is complete.
READY = b"\a"
_LENGTH = struct.Struct("<I")

# Shared, and (Linux) mapped whole at once: page faults would cost more than the copying.
_SHARED = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)

_SMALL_JPEG = b""

# Handles one request: the request, the mapped upload, and the mapped response that it fills.
RequestHandler = Callable[[dict[str, Any], mmap.mmap, mmap.mmap], None]


def send_message(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send one message."""
    data = json.dumps(message).encode()
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive_message(connection: socket.socket) -> dict[str, Any] | None:
    """Return the next message, or None at the end; raises TimeoutError where the socket has a timeout."""
    head = _receive_exactly(connection, _LENGTH.size)
    data = _receive_exactly(connection, min(_LENGTH.unpack(head)[0], RESPONSE_HEAD_BYTES)) if head else None
    return json.loads(data) if data else None


def _receive_exactly(connection: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            return None
        data += piece
    return data


def write_response_head(response: mmap.mmap, head: dict[str, Any]) -> None:
    """Write the JSON head of a response."""
    text = json.dumps(head).encode()
    response[:RESPONSE_HEAD_BYTES] = text.ljust(RESPONSE_HEAD_BYTES)


def handle_request(request: dict[str, Any], upload: mmap.mmap, response: mmap.mmap) -> None:
    """Write the requested frame into the response, or the reason why there is none."""
    header = _header(request["header"])
    region = Region(*request["region"]) if request["region"] else None
    stages = StageTimes()
    notes: list[DecodeNote] = []
    try:
        how = {"edge": request["edge"], "region": region, "whole": request["whole"]}
        image = decode_frame(upload, header, **how, stages=stages, notes=notes)
        with stages.stage("transfer"):
            _write_pixels(image, response)
    except ImageRefused as error:
        write_response_head(response, {"refused": error.code, "detail": str(error)[:MAX_DETAIL_CHARACTERS]})
        return
    except MemoryError:
        detail = f"{header.format}: more memory than is allowed"
        write_response_head(response, {"refused": ImageTooLarge.code, "detail": detail})
        return
    head = {"width": image.width, "height": image.height, "stages": stages.ms}
    write_response_head(response, {**head, "notes": [note.as_list() for note in notes[:MAX_NOTES]]})


def _header(fields: dict[str, Any]) -> Header:
    """Return the header of a request; JSON has made lists of its tuples."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return Header(**{**values, "format": Format(fields["format"])})


def _write_pixels(image: Image.Image, response: mmap.mmap) -> None:
    """Copy the pixels behind the head, in strips that stay in the processor's cache."""
    rows = max(1, STRIP_BYTES // (image.width * 3))
    at = RESPONSE_HEAD_BYTES
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height))).tobytes()
        response[at : at + len(strip)] = strip
        at += len(strip)


def warm_up() -> None:
    """Use every decoder and conversion once: what they load lazily cannot be loaded later."""
    global _SMALL_JPEG  # noqa: PLW0603 - one constant that Pillow has to make
    small = Image.new("RGB", (16, 16), (90, 120, 60))
    buffer = BytesIO()
    small.save(buffer, "JPEG")
    _SMALL_JPEG = buffer.getvalue()
    metadata: dict[str, Any] = {
        "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "exif": Image.Exif(),
        "xmp": b"<x:xmpmeta/>",
    }
    everything = UploadCaps(formats=frozenset(Format))
    for name in available_formats():
        for sample in FORMATS[name].warm_up:
            if isinstance(sample, bytes):
                decode_frame(BytesIO(sample), probe(sample, everything, edge=8), edge=8)
                continue
            image = Image.new("I;16", small.size) if sample.mode == "I;16" else small.convert(sample.mode)
            buffer = BytesIO()
            try:
                image.save(buffer, FORMATS[name].pillow[0], **{key: metadata[key] for key in sample.metadata})
            except OSError:  # a build that can decode a format and not encode it
                continue
            decode_frame(buffer, probe(buffer.getvalue(), everything, edge=8), edge=8)
    prepare_colours()
    for broken in (b"\xff\xd8\xff\xe0\0\x10JFIF\0", b"\x89PNG\r\n\x1a\n"):
        try:
            decode_frame(BytesIO(broken), Header(Format.JPEG, 16, 16), edge=8)
        except CorruptImage:
            continue


def serve(handle: RequestHandler, connection_fd: int, upload_fd: int, response_fd: int, ready_fd: int) -> None:
    """Confine this process, and serve requests until the other end closes."""
    seccomp.exit_with_parent()
    connection = socket.socket(fileno=connection_fd)
    try:
        filters = seccomp.SeccompFilters(ready_fd)
        reason = ""
    except (ImportError, OSError, RuntimeError) as error:
        filters, reason = None, f"{type(error).__name__}: {error}"
    seccomp.set_no_new_privileges()
    gc.collect()
    gc.freeze()
    gc.disable()
    seccomp.trim_heap()
    seccomp.record_address_space()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if filters:
        filters.helper.install()
    send_message(connection, {"ready": True, "seccomp": filters is not None, "reason": reason[:MAX_DETAIL_CHARACTERS]})
    while True:
        # The child for the next picture is forked and prepared beforehand; it waits for the request.
        child = os.fork()
        if child == 0:
            try:
                _child(handle, connection, upload_fd, response_fd, ready_fd, filters)
            finally:
                os._exit(EXIT_FAILED)
        _, status, usage = os.wait4(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == EXIT_NO_REQUEST:
            os._exit(0)  # an orderly exit of the interpreter needs more than the filter allows
        report = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"code": os.WEXITSTATUS(status)}
        cpu_ms = (usage.ru_utime + usage.ru_stime) * 1000
        try:
            send_message(connection, {**report, "cpu_ms": cpu_ms, "peak_kb": usage.ru_maxrss})
        except OSError:  # the parent is gone
            os._exit(0)


def _child(
    handle: RequestHandler,
    connection: socket.socket,
    upload_fd: int,
    response_fd: int,
    ready_fd: int,
    filters: seccomp.SeccompFilters | None,
) -> None:
    """Wait for one request, and handle it with nothing open but the two mapped areas and the ready pipe."""
    seccomp.exit_with_parent()
    _prepare_memory()
    request = _next_request(connection)
    if request is None:
        os._exit(EXIT_NO_REQUEST)
    upload = mmap.mmap(upload_fd, request["upload_bytes"], prot=mmap.PROT_READ, flags=_SHARED)
    response = mmap.mmap(response_fd, request["response_bytes"], flags=_SHARED)
    connection.close()
    os.close(upload_fd)
    os.close(response_fd)
    if request.get("slow"):
        seccomp.lower_priority()
    seccomp.set_resource_limits(
        memory_bytes=request["memory_bytes"] + len(upload) + len(response), cpu_s=request["cpu_s"]
    )
    if filters:
        (filters.threaded if request.get("threads") else filters.decoder).install()
    try:
        handle(request, upload, response)
    except Exception as error:  # noqa: BLE001 - whatever it is, the operator reads of it
        write_response_head(response, {"failed": f"{type(error).__name__}: {error}"[:MAX_DETAIL_CHARACTERS]})
        os._exit(EXIT_FAILED)
    os.write(ready_fd, READY)  # the parent reads the response while this process exits
    os._exit(0)


def _next_request(connection: socket.socket) -> dict[str, Any] | None:
    try:
        return receive_message(connection)
    except OSError:  # the parent is gone
        return None


def _prepare_memory() -> None:
    """Touch the memory that decoding will touch, so that a picture does not wait for a new child's page faults."""
    b"\1" * PREPARED_BYTES
    decode_frame(BytesIO(_SMALL_JPEG), Header(Format.JPEG, 16, 16), edge=8)


def main() -> None:
    """Serve frames over the descriptors that the command line names."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the worker, which then closes the sandbox
    # A warning would be printed with its line of source, and neither reading nor printing is allowed.
    warnings.simplefilter("ignore")
    logging.disable()
    warm_up()
    serve(handle_request, *(int(argument) for argument in sys.argv[1:5]))


if __name__ == "__main__":
    main()
