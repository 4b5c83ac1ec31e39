"""Typed identifiers, and the one place that makes new ones.

Only ``ProfileId`` comes from outside: it is the platform's own name for an account, opaque here.
The others are 128 random bits in lower-case hexadecimal, so that nothing can be read from them or
counted with them.
"""

from __future__ import annotations

import re
import secrets
from typing import NewType

from nightlight_core.errors import InvalidInput

ProfileId = NewType("ProfileId", str)
ImageId = NewType("ImageId", str)
JobId = NewType("JobId", str)
TraceId = NewType("TraceId", str)

# A platform's ids are taken as they are: 1 to 256 characters, compared by code point. Nothing is trimmed, folded or
# brought to a normal form, for that would make one profile of two accounts. Not allowed are characters that no line of
# text can carry or that cannot be seen: control and format characters (a joiner may stand in a name or an emoji), the
# ends of lines and paragraphs, marks of direction, private use, noncharacters, half a surrogate pair, and U+FFFD, which
# stands for bytes that somebody failed to read. ``.`` and ``..`` are not allowed either: they mean another path in a
# URL (RFC 3986, section 5.2.4). 256 characters are at most 1,024 bytes of UTF-8, the most that a key of S3 has.
MAX_PROFILE_ID_CHARS = 256
_UNSEEN = (
    r"\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    r"\ue000-\uf8ff\ufdd0-\ufdef\ufeff\ufff9-\uffff"
)
# Python, Rust (pydantic) and ECMAScript with the flag "u" read it alike. The length is checked beside it: a pattern
# that counts to 256 is slow to build. JSON and UTF-8 carry no half of a surrogate pair.
PROFILE_ID_PATTERN = rf"^(?:\.{{0,2}}[^.{_UNSEEN}][^{_UNSEEN}]*|\.{{3}}[^{_UNSEEN}]*)$"
IMAGE_ID_PATTERN = r"^[0-9a-f]{32}$"
TRACE_ID_PATTERN = IMAGE_ID_PATTERN
_PROFILE_ID = re.compile(PROFILE_ID_PATTERN)
_REFUSED = re.compile(rf"[{_UNSEEN}\ud800-\udfff]")
_IMAGE_ID = re.compile(IMAGE_ID_PATTERN)


def parse_profile_id(text: str) -> ProfileId:
    """Return ``text`` as a profile id, or raise InvalidInput."""
    why = profile_id_fault(text)
    if why is not None:
        raise InvalidInput(f"a profile id is 1 to {MAX_PROFILE_ID_CHARS} characters that can be seen; this one {why}")
    return ProfileId(text)


def is_profile_id(value: object) -> bool:
    """Say whether this could be the id of a profile at all."""
    return (
        isinstance(value, str)
        and len(value) <= MAX_PROFILE_ID_CHARS
        and _PROFILE_ID.fullmatch(value) is not None
        and (value.isascii() or _REFUSED.search(value) is None)
    )


def profile_id_fault(text: str) -> str | None:
    """Return what is wrong with a text as a profile id, in words that name no character but by its number; or None."""
    if is_profile_id(text):
        return None
    if not text:
        return "is empty"
    if len(text) > MAX_PROFILE_ID_CHARS:
        return f"has {len(text):,} characters"
    refused = _REFUSED.search(text)
    return f"has the character U+{ord(refused[0]):04X}" if refused else "is a step in a path: . or .."


def parse_image_id(text: str) -> ImageId:
    """Return ``text`` as an image id, or raise InvalidInput."""
    if not _IMAGE_ID.fullmatch(text):
        raise InvalidInput("an image id is 32 hexadecimal digits")
    return ImageId(text)


def parse_trace_id(text: str) -> TraceId:
    """Return ``text`` as a trace id, or raise InvalidInput."""
    if not _IMAGE_ID.fullmatch(text):
        raise InvalidInput("a trace id is 32 hexadecimal digits")
    return TraceId(text)


def new_image_id() -> ImageId:
    """Return a fresh image id (128 random bits)."""
    return ImageId(secrets.token_hex(16))


def new_job_id() -> JobId:
    """Return a fresh job id (128 random bits)."""
    return JobId(secrets.token_hex(16))


def new_trace_id() -> TraceId:
    """Return a fresh trace id (128 random bits)."""
    return TraceId(secrets.token_hex(16))


# What the keys of found copies begin with.
COPIES = "found/"


def new_copy_key() -> str:
    """Return a fresh object key for a found copy, beside the originals: whoever may read those may read it."""
    return f"{COPIES}{secrets.token_hex(32)}"


# What the keys of softened pictures begin with: a notice's own, beside found copies; a reviewer's, beside exports.
SOFTENED, REVIEWED = f"{COPIES}softened/", "r/"


def new_softened_key() -> str:
    """Return a fresh object key for what is kept of a notice's own picture."""
    return f"{SOFTENED}{secrets.token_hex(32)}"


def new_review_key() -> str:
    """Return a fresh object key for a softened picture that a reviewer is given."""
    return f"{REVIEWED}{secrets.token_hex(32)}"


# What the keys of exports begin with.
EXPORTED = "e/"


def new_export_id() -> str:
    """Return a fresh id of an export (128 random bits)."""
    return secrets.token_hex(16)


def new_export_key() -> str:
    """Return a fresh object key for an export: random, so that it tells nothing and cannot be guessed."""
    return f"{EXPORTED}{secrets.token_hex(32)}"


def new_original_key() -> str:
    """Return a fresh object key for an original: random, so that it tells nothing and cannot be guessed."""
    return f"o/{secrets.token_hex(32)}"
