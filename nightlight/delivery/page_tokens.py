"""Tokens that say where the next page of a search begins: opaque, and good for the same search alone.

A token is ``nonce || AES-256-GCM(key, nonce, place, search)`` in base64url (NIST SP 800-38D): who holds it cannot read
the place, which may be an id that no page named, and a token that was changed or goes with another search does not
open. Nonces are random; at 96 bits a key may seal 2**32 of them.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from nightlight_core.errors import InvalidInput

_NONCE, _TAG = 12, 16
# A place is an id of 1,024 bytes at most.
MAX_TOKEN_CHARS = 1_600


class PageTokens:
    """Seals and opens tokens; ``key`` returns 32 bytes, and a token ends with the key that sealed it."""

    def __init__(self, key: Callable[[], bytes]) -> None:
        """Take what returns the key."""
        self._key = key

    def seal(self, place: str, search: bytes) -> str:
        """Return the token for a place in a search, which ``search`` identifies."""
        nonce = secrets.token_bytes(_NONCE)
        sealed = nonce + AESGCM(self._key()).encrypt(nonce, place.encode(), search)
        return base64.urlsafe_b64encode(sealed).decode()

    def open(self, token: str, search: bytes) -> str:
        """Return the place; raise InvalidInput for a token of another search, and for what is no token of ours."""
        try:
            sealed = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
            if len(sealed) >= _NONCE + _TAG:
                return AESGCM(self._key()).decrypt(sealed[:_NONCE], sealed[_NONCE:], search).decode()
        except (ValueError, InvalidTag):
            pass
        raise InvalidInput("this token is of another search, or too old; begin again without it", pointer="/page/token")
