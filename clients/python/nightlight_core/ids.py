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

# A UUID, a Snowflake, random base64url (RFC 4648, section 5) and what looks like an e-mail address. The characters are
# RFC 3986's unreserved ones and @ + =, which clients percent-encode in paths. A dot does not come first: no client and
# no proxy may take an id for `.` or `..`, which are resolved even where they are percent-encoded.
PROFILE_ID = r"[A-Za-z0-9_~@+=-][A-Za-z0-9._~@+=-]{0,127}"
PROFILE_ID_PATTERN = rf"^{PROFILE_ID}$"
PROFILE_ID_FORM = "1 to 128 letters, digits or ._~@+=-, and does not begin with a dot"
IMAGE_ID_PATTERN = r"^[0-9a-f]{32}$"
TRACE_ID_PATTERN = IMAGE_ID_PATTERN
_PROFILE_ID = re.compile(PROFILE_ID_PATTERN)
_IMAGE_ID = re.compile(IMAGE_ID_PATTERN)


def parse_profile_id(text: str) -> ProfileId:
    """Return ``text`` as a profile id, or raise InvalidInput."""
    if not _PROFILE_ID.fullmatch(text):
        raise InvalidInput(f"a profile id is {PROFILE_ID_FORM}")
    return ProfileId(text)


def is_profile_id(value: object) -> bool:
    """Say whether this could be the id of a profile at all."""
    return isinstance(value, str) and _PROFILE_ID.fullmatch(value) is not None


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


def new_original_key() -> str:
    """Return a fresh object key for an original: random, so that it tells nothing and cannot be guessed."""
    return f"o/{secrets.token_hex(32)}"
