"""Durable credentials: a copy without its manifest, back to the manifest, by invisible watermark or by hash.

After the C2PA Soft Binding Resolution API 2.4. Only investigators are answered, and whatever they ask is in the audit
log: a manifest names nobody, but that there is one says that a picture was shown here.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from nightlight.catalogue.trace_jobs import DONE, FAILED, REJECTED
from nightlight.delivery.object_names import NAME_PATTERN, manifest_key
from nightlight.provenance.manifest import (
    HASH_ALGORITHM,
    MAX_MANIFEST_BYTES,
    WATERMARK_ALGORITHM,
    hash_from_binding,
    watermark_from_binding,
)
from nightlight_core.errors import (
    ImageRefused,
    InvalidInput,
    NotFound,
    ObjectMissing,
    TooManyRequests,
    Unavailable,
)
from nightlight_core.ids import ImageId, TraceId

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.catalogue.trace_jobs import TraceJob
    from nightlight.flows.traces.requests import RequestTrace
    from nightlight.store.interface import ObjectStore
    from nightlight_core.clock import Clock

# What an audit line says was asked.
Asked = dict[str, str | int]
_EXACT, _BITS = 100, 256
# What is asked for is written down as it was asked, up to so many characters: a manifest's id has 45.
_MOST_ID = 100
# A picture's path, wherever it is served from, and whatever signs its URL.
_PICTURE = re.compile(rf".*/a/({NAME_PATTERN.strip('^$')})\.[a-z]{{3,5}}")
# What a trace says that it found a copy by.
_FOUND_BY = {WATERMARK_ALGORITHM: "watermark", HASH_ALGORITHM: "hash"}
_HOUR_S = 3600.0
_LOOK_S, _WAIT_S, _MOST_WAITING = 0.1, 15.0, 4


class ManifestMatch(NamedTuple):
    """A manifest, and how alike what was asked about is to what it is of: 0 to 100."""

    manifest_id: str
    score: int


@dataclass(slots=True)
class CallerRate:
    """At most ``most`` questions of one caller in an hour, counted in this process."""

    most: int
    _asked: dict[str, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, caller: str) -> None:
        """Count one question; raise TooManyRequests."""
        now = time.monotonic()
        with self._lock:
            times = self._asked.setdefault(caller, deque())
            while times and times[0] <= now - _HOUR_S:
                times.popleft()
            if len(times) >= self.most:
                raise TooManyRequests(f"{self.most} questions in an hour", after_s=int(times[0] + _HOUR_S - now) + 1)
            times.append(now)


@dataclass(frozen=True, slots=True)
class ManifestLookup:
    """Answers investigators."""

    catalogue: Catalogue
    renditions: ObjectStore
    traces: RequestTrace
    rate: CallerRate
    clock: Clock
    # Who waits for a worker holds a thread of the service: not all of them are for that.
    waits: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_MOST_WAITING))

    def by_binding(self, algorithm: str, value: str, *, actor: str) -> list[ManifestMatch]:
        """Return the manifests that a soft binding leads to; raises InvalidInput or TooManyRequests."""
        self.rate.take(actor)
        watermark = watermark_from_binding(value) if algorithm == WATERMARK_ALGORITHM else None
        hashed = hash_from_binding(value) if algorithm == HASH_ALGORITHM else None
        if watermark is None and hashed is None:
            raise InvalidInput(f"{algorithm} is not known here, or this is no value of it")
        with self.catalogue.transaction() as tx:
            tx.audit.append("manifest.asked", now=self.clock(), actor=actor, detail={"by": algorithm, "value": value})
            manifest_ids = tx.rendition_hashes.manifests(watermark=watermark, hash_=hashed)
        return [ManifestMatch(manifest_id, _EXACT) for manifest_id in dict.fromkeys(manifest_ids)]

    def by_reference(self, url: str, *, actor: str) -> list[ManifestMatch]:
        """Return the manifest of a picture that was given out under a URL; raises InvalidInput or TooManyRequests."""
        self.rate.take(actor)
        try:
            named = _PICTURE.fullmatch(urlsplit(url).path)
        except ValueError:
            named = None
        if named is None:
            raise InvalidInput("this is no URL of a picture of this deployment")
        with self.catalogue.transaction() as tx:
            detail: Asked = {"by": "reference", "name": named[1]}
            tx.audit.append("manifest.asked", now=self.clock(), actor=actor, detail=detail)
            manifest_ids = tx.rendition_hashes.manifests(name=named[1])
        return [ManifestMatch(manifest_id, _EXACT) for manifest_id in manifest_ids]

    def by_content(self, copy: IO[bytes], *, algorithm: str | None = None, actor: str) -> list[ManifestMatch]:
        """Return the manifests of what a copy may come from, as a trace finds it, or by one algorithm alone.

        Raises InvalidInput, ImageRefused and its kinds, TooManyRequests, and Unavailable if the workers take too long
        or the trace failed: no answer is not the answer that there is no match.
        """
        if algorithm is not None and algorithm not in _FOUND_BY:
            raise InvalidInput(f"{algorithm} is not known here")
        if not self.waits.acquire(blocking=False):
            raise TooManyRequests(f"{_MOST_WAITING} copies are being looked at", after_s=int(_WAIT_S))
        try:
            row = self._ended_trace(copy, actor, algorithm)
        finally:
            self.waits.release()
        origins = (row.result or {}).get("origins", [])
        scores: dict[str, int] = {}
        with self.catalogue.reading() as tx:
            for origin in origins:
                if algorithm is not None and _FOUND_BY[algorithm] not in origin["by"]:
                    continue
                bits = origin["distance"]
                score = _EXACT if "watermark" in origin["by"] or bits is None else round(_EXACT * (1 - bits / _BITS))
                rendition = (ImageId(origin["image_id"]), origin["tier"], origin["variant"])
                for manifest_id in tx.rendition_hashes.manifests(rendition=rendition):
                    scores[manifest_id] = max(score, scores.get(manifest_id, 0))
        return [ManifestMatch(*origin) for origin in sorted(scores.items(), key=lambda origin: -origin[1])]

    def _ended_trace(self, copy: IO[bytes], actor: str, algorithm: str | None) -> TraceJob:
        """Return the trace of a copy once it has ended."""
        trace_id = TraceId(self.traces.accept(copy, keep=False, actor=actor).trace_id)
        with self.catalogue.transaction() as tx:
            detail: Asked = {"by": algorithm or "content", "trace_id": trace_id}
            tx.audit.append("manifest.asked", now=self.clock(), actor=actor, detail=detail)
        until = time.monotonic() + _WAIT_S
        row = self.traces.status(trace_id, actor=actor)
        while row.state not in {DONE, REJECTED, FAILED}:
            if time.monotonic() >= until:
                raise Unavailable("the trace takes longer than a request may")
            time.sleep(_LOOK_S)
            row = self.traces.status(trace_id, actor=actor)
        if row.state == REJECTED:
            raise ImageRefused(f"the copy cannot be looked at: {row.reason}")
        if row.state == FAILED:
            raise Unavailable(f"the trace failed: {row.reason}")
        return row

    def manifest(self, manifest_id: str, *, actor: str) -> bytes:
        """Return a manifest; raises NotFound, TooManyRequests or StoreUnavailable."""
        self.rate.take(actor)
        with self.catalogue.transaction() as tx:
            detail: Asked = {"manifest_id": manifest_id[:_MOST_ID]}
            tx.audit.append("manifest.read", now=self.clock(), actor=actor, detail=detail)
            key = tx.rendition_hashes.manifest(manifest_id)
        if key is None:
            raise NotFound
        try:
            return self.renditions.get(manifest_key(key), max_bytes=MAX_MANIFEST_BYTES).data
        except ObjectMissing as error:
            raise NotFound from error
