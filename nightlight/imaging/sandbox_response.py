"""What a caged decoder answered: taken for nothing until it has been checked."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

from PIL import Image

from nightlight.imaging.decoder_process import ANSWER_HEAD, INSIDE, MAX_DETAIL
from nightlight_core.errors import CorruptImage, DecoderDied, ImageTooLarge

if TYPE_CHECKING:
    from nightlight.imaging.decoded_frame import Stages
    from nightlight.imaging.header_readers import Header

_REFUSALS = {error.code: error for error in (CorruptImage, ImageTooLarge)}
_ODDEST_MS = 1e6


def pixels_of(answer: memoryview, header: Header, edge: int, stages: Stages) -> Image.Image:
    """Return the frame of an answer, after checking every number in it."""
    try:
        head = json.loads(bytes(answer[:ANSWER_HEAD]))
        if refused := head.get("refused"):
            raise _REFUSALS[refused](str(head.get("detail", ""))[:MAX_DETAIL])
        width, height = head["width"], head["height"]
        if not (type(width) is int and type(height) is int and width >= 1 and height >= 1):
            raise ValueError(head)
        if min(width, height) > edge or ANSWER_HEAD + width * height * 3 > len(answer):
            raise ValueError(head)
        for stage in INSIDE:
            ms = head["stages"].get(stage, 0.0)
            if isinstance(ms, float) and 0 <= ms < _ODDEST_MS:
                stages.ms[stage] = stages.ms.get(stage, 0.0) + ms
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"{header.format}: the decoder's answer makes no sense"
        raise DecoderDied(message, how="nonsense") from error
    return Image.frombytes("RGB", (width, height), answer[ANSWER_HEAD : ANSWER_HEAD + width * height * 3])


def failure_in(answer: memoryview) -> str:
    """Return what a decoder that failed had to say, as far as it can be printed."""
    try:
        said = json.loads(bytes(answer[:ANSWER_HEAD])).get("failed", "")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return f": {said[:MAX_DETAIL]}" if isinstance(said, str) and said.isprintable() and said else ""


def how_it_ended(ended: dict[str, Any]) -> str:
    """Return, in a word or two, how a child ended by the helper's account: a signal's name, or an exit code."""
    number = ended.get("signal")
    try:
        return signal.Signals(number).name if isinstance(number, int) else f"exit {ended.get('code')}"
    except ValueError:
        return f"signal {number}"
