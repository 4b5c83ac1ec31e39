"""Keys of other people's buckets: which part of one is the profile, and how a bucket is addressed."""

from __future__ import annotations

import re
from typing import NamedTuple

from nightlight_core.errors import InvalidInput
from nightlight_core.ids import MAX_PROFILE_ID_CHARS, ProfileId, is_profile_id, profile_id_fault

_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)
MAX_KEY_BYTES = 1024
_MOST_STARS, _MOST_CHARS = 2, 300
# The profile is a part between slashes, or a piece of one. The bound keeps a hostile key from being tried for long.
_HOLES = {"{profile}": f"(?P<profile>[^/]{{1,{MAX_PROFILE_ID_CHARS}}})", "*": "[^/]*", "**": ".*"}
_ANY_PROFILE = {**_HOLES, "{profile}": "(?P<profile>[^/]*)"}
# Why a key is left alone: it has not the template's form; what stands for {profile} is no id; no database holds it.
OTHER_FORM, NO_PROFILE_ID, NO_TEXT = "other_form", "no_profile_id", "no_text"
_NUL = "\0"


class Unmatched(NamedTuple):
    """A key that is left alone: ``reason`` is one of a closed list, ``detail`` says more in words."""

    key: str
    reason: str
    detail: str


class KeyTemplate:
    """Which part of a key is the profile: ``avatars/{profile}/*.jpg``. ``*`` is any text without /, ``**`` any text.

    Keys are read as S3 has them: nothing in them is percent-decoded.
    """

    def __init__(self, text: str) -> None:
        """Read a template; raises InvalidInput."""
        parts = re.split(r"(\{profile\}|\*\*|\*)", text)
        stars = sum(part in {"*", "**"} for part in parts)  # more, and a hostile key could keep the match busy
        named = parts.count("{profile}") == 1 and "{" not in text.replace("{profile}", "")
        if not named or stars > _MOST_STARS or len(text) > _MOST_CHARS:
            message = f"a key template has {{profile}} once, and at most two * or ** for what varies, not {text!r}"
            raise InvalidInput(message)
        self.text = text
        self._pattern, self._any_pattern = (
            re.compile("".join(holes.get(part) or re.escape(part) for part in parts), re.DOTALL)
            for holes in (_HOLES, _ANY_PROFILE)
        )

    def profile(self, key: str) -> ProfileId | None:
        """Return the profile that a key names; None where the key is of another form."""
        match = self._pattern.fullmatch(key) if len(key) <= MAX_KEY_BYTES and _NUL not in key else None
        return ProfileId(match["profile"]) if match is not None and is_profile_id(match["profile"]) else None

    def why_not(self, key: str) -> Unmatched:
        """Return why a key, of which there is no profile, is left alone."""
        match = self._any_pattern.fullmatch(key) if len(key) <= MAX_KEY_BYTES else None
        why = profile_id_fault(match["profile"]) if match is not None else None
        if why is None and _NUL in key:
            return Unmatched(key, NO_TEXT, "has the character U+0000")
        if why is None:
            return Unmatched(key, OTHER_FORM, f"is not of the form {self.text}")
        return Unmatched(key, NO_PROFILE_ID, f"{{profile}} {why}")


def parse_uri(uri: str) -> tuple[str, str]:
    """Return (bucket, key or prefix) of ``s3://bucket/key``; raises InvalidInput."""
    match = _URI.fullmatch(uri)
    if match is None or len((match[2] or "").encode()) > MAX_KEY_BYTES:
        raise InvalidInput(f"not an address like s3://bucket/prefix: {uri!r}")
    return match[1], match[2] or ""
