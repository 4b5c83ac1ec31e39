"""Secret keys from settings: read strictly, never printed, several at once so that they can be rotated."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from nightlight_core.errors import SettingsRefused

MIN_KEY_BYTES = 32
_KEY_ID = re.compile(r"[a-z0-9]{2}")


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id; the first writes (a signature or a watermark), all read. The keys never print."""

    keys: Mapping[str, bytes] = field(repr=False)

    @property
    def signing_id(self) -> str:
        """Return the id of the key that signs."""
        return next(iter(self.keys))

    @classmethod
    def parse(cls, text: str, what: str) -> KeyRing:
        """Return the ring that ``id:base64,id:base64`` describes.

        Raises SettingsRefused naming ``what``, without its text.
        """
        keys: dict[str, bytes] = {}
        for part in text.split(","):
            key_id, _, encoded = part.strip().partition(":")
            if not _KEY_ID.fullmatch(key_id) or key_id in keys:
                raise SettingsRefused(f"each key of {what} needs an id of its own, of two lower-case letters or digits")
            keys[key_id] = decode_key(encoded, f"{what}: key '{key_id}'")
        return cls(keys)


def parse_name_keys(text: str, what: str) -> KeyRing:
    """Return the ring of a setting that may also be one key alone, in base64: its id is then ``n0``.

    Raises SettingsRefused naming ``what``.
    """
    return KeyRing.parse(text, what) if ":" in text else KeyRing({"n0": decode_key(text.strip(), what)})


def decode_key(encoded: str, what: str) -> bytes:
    """Return the bytes of a base64 key, or raise SettingsRefused naming ``what`` (never the key)."""
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < MIN_KEY_BYTES:
        raise SettingsRefused(f"{what} must be base64 of at least {MIN_KEY_BYTES} bytes")
    return key
