"""The public keys of events, for whoever verifies them: read from the catalogue, where the schedule writes them.

The service has no key to sign with. Anybody may ask, so the catalogue is asked at most once in a while.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from nightlight.flows.webhooks.signing import jwks

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue

LIFE_S = 10.0


class WebhookPublicKeys:
    """Gives the JWK Set. Safe to share between threads."""

    def __init__(self, catalogue: Catalogue, elapsed: Callable[[], float] = time.monotonic) -> None:
        """Know none yet."""
        self._catalogue, self._elapsed = catalogue, elapsed
        self._lock, self._until, self._body = threading.Lock(), 0.0, b""

    def document(self) -> bytes:
        """Return the set as JSON, at most ``LIFE_S`` seconds old; raises CatalogueUnavailable."""
        with self._lock:
            now = self._elapsed()
            if not self._body or now >= self._until:
                with self._catalogue.reading(gated=False) as tx:
                    keys = tx.webhooks.public_keys()
                self._body, self._until = json.dumps(jwks(keys), separators=(",", ":")).encode(), now + LIFE_S
            return self._body
