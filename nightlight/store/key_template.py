"""Keys of other people's buckets: which part of one is the profile, and how a bucket is addressed."""

from __future__ import annotations

import re

from nightlight_core.errors import InvalidInput
from nightlight_core.ids import PROFILE_ID, PROFILE_ID_FORM, ProfileId

_URI = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*))?", re.DOTALL)
MAX_KEY_BYTES = 1024
_MOST_STARS, _MOST_CHARS = 2, 300
_HOLES = {"{profile}": f"(?P<profile>{PROFILE_ID})", "*": "[^/]*", "**": ".*"}
# Why a key is nobody's picture.
TOO_LONG, OTHER_FORM, NO_PROFILE_ID = "longer than S3 allows", "of another form", "its profile is no id"


class KeyTemplate:
    """Which part of a key is the profile: ``avatars/{profile}/*.jpg``. ``*`` is any text without /, ``**`` any text."""

    def __init__(self, text: str) -> None:
        """Read a template; raises InvalidInput."""
        parts = re.split(r"(\{profile\}|\*\*|\*)", text)
        stars = sum(part in {"*", "**"} for part in parts)  # more, and a hostile key could keep the match busy
        named = parts.count("{profile}") == 1 and "{" not in text.replace("{profile}", "")
        if not named or stars > _MOST_STARS or len(text) > _MOST_CHARS:
            message = f"a key template has {{profile}} once, and at most two * or ** for what varies, not {text!r}"
            raise InvalidInput(message)
        self.text = text
        self._pattern = _compiled(parts, _HOLES)
        self._any_profile = _compiled(parts, {**_HOLES, "{profile}": "[^/]+"})

    def profile(self, key: str) -> ProfileId | None:
        """Return the profile that a key names; None where the key is of another form."""
        match = self._pattern.fullmatch(key) if len(key) <= MAX_KEY_BYTES else None
        return ProfileId(match["profile"]) if match is not None else None

    def why_not(self, key: str) -> str:
        """Return why a key names no profile: so that somebody sees whether the template or the key is wrong."""
        if len(key) > MAX_KEY_BYTES:
            return TOO_LONG
        if self._any_profile.fullmatch(key) is None:
            return OTHER_FORM
        return f"{NO_PROFILE_ID}: an id is {PROFILE_ID_FORM}"


def _compiled(parts: list[str], holes: dict[str, str]) -> re.Pattern[str]:
    return re.compile("".join(holes.get(part) or re.escape(part) for part in parts), re.DOTALL)


def parse_uri(uri: str) -> tuple[str, str]:
    """Return (bucket, key or prefix) of ``s3://bucket/key``; raises InvalidInput."""
    match = _URI.fullmatch(uri)
    if match is None or len((match[2] or "").encode()) > MAX_KEY_BYTES:
        raise InvalidInput(f"not an address like s3://bucket/prefix: {uri!r}")
    return match[1], match[2] or ""
