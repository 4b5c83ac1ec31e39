"""Reads the response of a sandboxed decoder, which is untrusted: every number in it is checked."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from nightlight import logs
from nightlight.imaging.decode_notes import MAX_NOTES, DecodeNote
from nightlight.imaging.decoder_process import MAX_DETAIL_CHARACTERS, RESPONSE_HEAD_BYTES, SANDBOXED_STAGES
from nightlight.imaging.decoders.shrink import unshrunk_size
from nightlight.imaging.interpolate import interpolated
from nightlight_core.errors import CorruptImage, DecoderDied, ImageTooLarge, TruncatedImage

if TYPE_CHECKING:
    from nightlight.imaging.decoded_frame import StageTimes
    from nightlight.imaging.header import Header
    from nightlight_core.errors import ImageRefused

_REFUSALS = {error.code: error for error in (CorruptImage, ImageTooLarge, TruncatedImage)}
# What a decoder may tell the owner of a picture.
_PUBLIC_DETAIL = re.compile(r"[a-z]{1,8}: (more memory than is allowed|\d{1,3} % of the rows arrived)", re.ASCII)
_MAX_STAGE_MS = 1e6


def read_frame(response: memoryview, header: Header, edge: int, stages: StageTimes) -> Image.Image:
    """Return the frame (RGB) that a response holds, and add its stages' times to ``stages``; log its notes.

    Raises CorruptImage, ImageTooLarge or TruncatedImage as the decoder did, and DecoderDied for a response that makes
    no sense.
    """
    try:
        head = json.loads(bytes(response[:RESPONSE_HEAD_BYTES]))
        if refused := head.get("refused"):
            raise _refusal(_REFUSALS[refused], str(head.get("detail", ""))[:MAX_DETAIL_CHARACTERS])
        width, height = head["width"], head["height"]
        if not (type(width) is int and type(height) is int and width >= 1 and height >= 1):
            raise ValueError(head)
        unshrunk = unshrunk_size(header, edge) or (edge,)
        if min(width, height) > min(unshrunk) or RESPONSE_HEAD_BYTES + width * height * 3 > len(response):
            raise ValueError(head)
        notes = [DecodeNote.parse(note) for note in head.get("notes", [])[:MAX_NOTES]]
        for stage in SANDBOXED_STAGES:
            ms = head["stages"].get(stage, 0.0)
            if isinstance(ms, float) and 0 <= ms < _MAX_STAGE_MS:
                stages.ms[stage] = stages.ms.get(stage, 0.0) + ms
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DecoderDied(f"{header.format}: the decoder's response makes no sense", how="nonsense") from error
    for note in notes:
        logs.get("imaging").info("image.noted", code=note.kind.value, format=header.format, detail=note.text)
    pixels = response[RESPONSE_HEAD_BYTES : RESPONSE_HEAD_BYTES + width * height * 3]
    if min(width, height) > edge:
        return interpolated(np.frombuffer(pixels, np.uint8).reshape(height, width, 3), edge)
    return Image.frombytes("RGB", (width, height), pixels)


def _refusal(kind: type[ImageRefused], detail: str) -> ImageRefused:
    """Return a decoder's refusal. Of what is told to the picture's owner, no word is the decoder's own."""
    if kind.tells and not _PUBLIC_DETAIL.fullmatch(detail):
        return kind()
    return kind(detail)


def failure_text(response: memoryview) -> str:
    """Return the message of a decoder that failed, with a colon before it; nothing if it cannot be printed."""
    try:
        text = json.loads(bytes(response[:RESPONSE_HEAD_BYTES])).get("failed", "")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return f": {text[:MAX_DETAIL_CHARACTERS]}" if isinstance(text, str) and text.isprintable() and text else ""


def exit_cause(report: dict[str, Any]) -> str:
    """Return why a child exited by the helper's report: the name of a signal, or an exit code."""
    number = report.get("signal")
    try:
        return signal.Signals(number).name if isinstance(number, int) else f"exit {report.get('code')}"
    except ValueError:
        return f"signal {number}"
