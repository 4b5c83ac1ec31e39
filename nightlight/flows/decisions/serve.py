"""From a signed URL to bytes: the signature, then memory or the store. No age, relation or policy is looked at here."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightlight import logs, metrics
from nightlight.delivery.object_names import MAX_RENDITION_BYTES, MEDIA_TYPES, NAME_PATTERN, ObjectNames, object_key
from nightlight_core.decisions.placeholder import EXTENSION, placeholder_bytes
from nightlight_core.errors import NightlightError, NotFound

if TYPE_CHECKING:
    from nightlight.flows.decisions.change_feed import ChangeFeedPoller
    from nightlight.store.interface import ObjectStore, StoredObject
    from nightlight_core.clock import Clock
    from nightlight_core.decisions.url_signing import HmacUrlSigner

_NAME = re.compile(NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class Picture:
    """Bytes to serve; ``max_age`` is in seconds, 0 where nobody may keep the answer."""

    data: bytes
    media_type: str
    etag: str
    max_age: int


@dataclass(frozen=True, slots=True)
class RenditionServer:
    """Serves renditions. Safe to share between threads."""

    renditions: ObjectStore
    names: ObjectNames
    signer: HmacUrlSigner
    change_feed: ChangeFeedPoller
    clock: Clock
    _placeholder: bytes = field(default_factory=placeholder_bytes)
    _placeholder_names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Derive the placeholder's names once."""
        self.rename()

    def rename(self) -> None:
        """Derive the placeholder's names again: those of keys that are not used yet, or no more, among them."""
        object.__setattr__(self, "_placeholder_names", frozenset(self.names.placeholders()))

    def fetch(self, name: str, extension: str, expiry: str, key_id: str, signature: str) -> Picture:
        """Return the picture that a signed URL is for.

        Raises NotFound, always the same, for a URL that is malformed, forged, expired or revoked. Where the URL is
        good but the rendition cannot be had, or it cannot be known whether it is revoked, the placeholder is returned,
        to be kept by nobody.
        """
        left_s = self._verified(name, extension, expiry, key_id, signature)
        cached = self._cached(name, extension, left_s)
        if cached is not None:
            return cached
        if not self._revocations_known(name):
            return self._placeholder_for(0)
        try:
            stored = self.renditions.get(object_key(name, extension), max_bytes=MAX_RENDITION_BYTES)
        except NightlightError as error:
            _count_failure(error)
            return self._placeholder_for(0)
        metrics.DELIVERIES.labels("rendition").inc()
        self.change_feed.pictures.keep(name, stored)
        return _picture(stored, extension, left_s)

    def try_cached(self, name: str, extension: str, expiry: str, key_id: str, signature: str) -> Picture | None:
        """Return the same where the bytes are in memory, None where they are not. It waits for nothing.

        Raises NotFound likewise.
        """
        return self._cached(name, extension, self._verified(name, extension, expiry, key_id, signature))

    def _revocations_known(self, name: str) -> bool:
        """Say whether what is revoked can be known; raise NotFound where the name is among it."""
        if self.change_feed.views.fresh:
            return True
        try:
            self.change_feed.catch_up()
        except NightlightError as error:
            _count_failure(error)
            return False
        self._refuse_revoked(name)
        return True

    def _verified(self, name: str, extension: str, expiry: str, key_id: str, signature: str) -> int:
        """Return the seconds that a URL has left; raise NotFound."""
        if extension not in MEDIA_TYPES or not _NAME.fullmatch(name):
            raise NotFound
        path = f"/{object_key(name, extension)}"
        left_s = self.signer.verify(path, expiry, key_id, signature, now=int(self.clock().timestamp()))
        if left_s is None:
            metrics.DELIVERIES.labels("refused").inc()
            raise NotFound
        self._refuse_revoked(name)
        return left_s

    def _refuse_revoked(self, name: str) -> None:
        if name in self.change_feed.revoked:
            metrics.DELIVERIES.labels("refused").inc()
            raise NotFound

    def _cached(self, name: str, extension: str, left_s: int) -> Picture | None:
        if name in self._placeholder_names:
            metrics.DELIVERIES.labels("placeholder").inc()
            return self._placeholder_for(left_s)
        stored = self.change_feed.pictures.get(name) if self.change_feed.views.fresh else None
        if stored is None:
            return None
        metrics.DELIVERIES.labels("rendition").inc()
        return _picture(stored, extension, left_s)

    def _placeholder_for(self, max_age_s: int) -> Picture:
        etag = f'"{hashlib.sha256(self._placeholder).hexdigest()[:32]}"'
        return Picture(self._placeholder, MEDIA_TYPES[EXTENSION], etag, max_age_s)


def _count_failure(error: NightlightError) -> None:
    metrics.DELIVERIES.labels(error.code).inc()
    logs.get("deliver").error("delivery.failed", code=error.code, detail=type(error).__name__)


def _picture(stored: StoredObject, extension: str, left_s: int) -> Picture:
    return Picture(stored.data, MEDIA_TYPES[extension], f'"{stored.info.sha256[:32]}"', left_s)
