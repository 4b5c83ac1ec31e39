"""Paths of calls, with ids in them: an id that the service would refuse is refused here, and sent nowhere.

A path is put together by what is between its slashes. ``/``, ``#``, ``?`` and their like in an id would make another
path of it, and a deletion of somebody else: every id is percent-encoded, and ``.`` and ``..``, which no encoding
protects, are no ids.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from nightlight_client.errors import InvalidId
from nightlight_core.ids import IMAGE_ID_PATTERN, MAX_PROFILE_ID_CHARS, TRACE_ID_PATTERN, profile_id_fault

_ACCOUNTS = frozenset({"profile_id", "viewer_id", "network"})
_RANDOM = {
    "image_id": re.compile(IMAGE_ID_PATTERN),
    "trace_id": re.compile(TRACE_ID_PATTERN),
    "takedown_id": re.compile(IMAGE_ID_PATTERN),
    "review_id": re.compile(IMAGE_ID_PATTERN),
}
_MAX_VERSION, _MAX_KEY_CHARS = 2**31 - 1, 200


def path(template: str, /, **parts: object) -> str:
    """Return a path such as ``/v1/images/{image_id}`` with its parts filled in; raise InvalidId for a bad one."""
    return template.format(**{name: quote(part(name, value), safe="") for name, value in parts.items()})


def ids(**parts: object) -> dict[str, str]:
    """Return ids as a body has them; raise InvalidId for a bad one."""
    return {name: part(name, value) for name, value in parts.items()}


def part(name: str, value: object) -> str:
    """Return what stands for a part in a path or body; raise InvalidId if the service would refuse it."""
    if name == "version":
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_VERSION:
            raise InvalidId("version", f"a version is a whole number from 1 to {_MAX_VERSION}")
        return str(value)
    if name in _ACCOUNTS:
        why = profile_id_fault(value) if isinstance(value, str) else "is no text"
        if why is not None:
            raise InvalidId(name, f"{name} is 1 to {MAX_PROFILE_ID_CHARS} characters that can be seen; this one {why}")
    elif not isinstance(value, str) or not _RANDOM[name].fullmatch(value):
        raise InvalidId(name, f"{name} is 32 hexadecimal digits")
    return str(value)


def item_id(value: object) -> str:
    """Return the profile of a question; it may be one that cannot exist, which is answered with the placeholder."""
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= MAX_PROFILE_ID_CHARS
        or not (value.isascii() or _encodes(value))
    ):
        raise InvalidId("profile_id", f"the profile of an item is a text of 1 to {MAX_PROFILE_ID_CHARS} characters")
    return value


def relation(value: object) -> str:
    """Return the relation of a question; raise InvalidId for what can be no word of a policy."""
    if not isinstance(value, str) or not value.isprintable() or not (value.isascii() or _encodes(value)):
        raise InvalidId("relation", "a relation is a word of the policy")
    return value


def idempotency(key: object) -> dict[str, str]:
    """Return the header of an idempotency key, if there is one; raise InvalidId if no header can carry it."""
    if key is None:
        return {}
    good = isinstance(key, str) and 1 <= len(key) <= _MAX_KEY_CHARS and key.isascii() and key.isprintable()
    if not good or key != str(key).strip():
        raise InvalidId("idempotency_key", f"an idempotency key is 1 to {_MAX_KEY_CHARS} printable ASCII characters")
    return {"Idempotency-Key": str(key)}


def _encodes(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
