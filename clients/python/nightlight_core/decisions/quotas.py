"""How many pictures a viewer, a network and a platform may be given: token buckets, and a count of different profiles.

A bucket is kept by the generic cell rate algorithm (ITU-T I.371): one time for each, the one at which it would be
empty. Of what the policy allows in an hour three quarters may be taken at once, and a quarter comes back in an hour, so
that no hour sees more than the policy says. A picture that a viewer was given in this clock hour costs nothing again:
who looks at the same friends all day is no scraper.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

HOUR_US = 3_600_000_000
# Shares of an hour's pictures that may be taken at once, and that come back in an hour.
_AT_ONCE, _COMES_BACK = 0.75, 0.25
# Where everything is kept in this process: the buckets that were used last.
_MOST_KEPT = 200_000


class PictureRequest(NamedTuple):
    """A picture that the policy would give: of whom, and how many such an hour."""

    profile_id: str
    per_hour: int


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks: the viewer and the network as the platform names them, and the platform."""

    viewer_id: str | None
    network: str | None
    tenant: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Pictures an hour for one network and one platform, whatever the policy says of viewers."""

    network_per_hour: int
    tenant_per_hour: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Whether each picture may be given, and how many different profiles the viewer asked for in this hour.

    The latter is counted to within a few per cent.
    """

    allowed: list[bool]
    profiles: int


class Quotas(Protocol):
    """What keeps the buckets; ``in_process`` where asking waits for no other process."""

    in_process: bool

    def allow(
        self, requester: Requester, pictures: Sequence[PictureRequest], profile_ids: Sequence[str], *, now_us: int
    ) -> Usage:
        """Take what may be taken of ``pictures``; count ``profile_ids``, the profiles of the whole request.

        ``now_us`` is in microseconds since 1970. Raises QuotasUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket: its name, microseconds that a picture costs, and how far ahead of now it may run."""

    name: str
    cost_us: int
    ahead_us: int


def bucket(kind: str, who: str, per_hour: int) -> Bucket:
    """Return the bucket of somebody for pictures of which ``per_hour`` may be given in an hour."""
    cost = max(1, round(HOUR_US / max(per_hour * _COMES_BACK, 1e-9)))
    return Bucket(f"{kind}:{per_hour}:{hashed(who)}", cost, round(max(per_hour * _AT_ONCE, 1.0) * cost))


def hashed(who: str) -> str:
    """Return what somebody goes by in the buckets: no id is kept there as it is."""
    return hashlib.blake2b(who.encode(), digest_size=12).hexdigest()


class InProcess:
    """Buckets in this process's memory: for one service process. Safe to share between threads."""

    in_process = True

    def __init__(self, limits: Limits) -> None:
        """Begin with every bucket full."""
        self._limits = limits
        self._lock = threading.Lock()
        self._empty_at: OrderedDict[str, int] = OrderedDict()
        self._sets: OrderedDict[str, set[str]] = OrderedDict()

    def allow(
        self, requester: Requester, pictures: Sequence[PictureRequest], profile_ids: Sequence[str], *, now_us: int
    ) -> Usage:
        """Take what may be taken of ``pictures``, and count ``profile_ids``."""
        with self._lock:
            allowed = self._viewer(requester.viewer_id, pictures, now_us)
            for kind, who, per_hour in shared(requester, self._limits):
                left = self._take(bucket(kind, who, per_hour), sum(allowed), now_us)
                allowed = first(allowed, left)
            return Usage(allowed, self._count(requester.viewer_id, profile_ids, now_us))

    def _viewer(self, viewer_id: str | None, pictures: Sequence[PictureRequest], now_us: int) -> list[bool]:
        if viewer_id is None:
            return [True] * len(pictures)
        allowed = []
        hour = now_us // HOUR_US
        given_at: dict[int, set[str]] = {}
        left: dict[int, int] = {}
        for profile_id, per_hour in pictures:
            given = given_at.get(per_hour)
            if given is None:
                own = bucket("viewer", viewer_id, per_hour)
                given = given_at[per_hour] = self._set(f"given:{own.name}:{hour}")
                fresh = {picture.profile_id for picture in pictures if picture.per_hour == per_hour} - given
                left[per_hour] = self._take(own, len(fresh), now_us)
            if profile_id not in given and left[per_hour] > 0:
                given.add(profile_id)
                left[per_hour] -= 1
            allowed.append(profile_id in given)
        return allowed

    def _take(self, source: Bucket, count: int, now_us: int) -> int:
        """Take up to ``count`` pictures out of a bucket; return how many."""
        empty_at = max(self._empty_at.pop(source.name, 0), now_us)
        taken = min(count, max(0, (now_us + source.ahead_us - empty_at) // source.cost_us))
        self._empty_at[source.name] = empty_at + taken * source.cost_us
        if len(self._empty_at) > _MOST_KEPT:
            self._empty_at.popitem(last=False)
        return taken

    def _count(self, viewer_id: str | None, profile_ids: Sequence[str], now_us: int) -> int:
        if viewer_id is None:
            return 0
        profiles = self._set(f"asked:{hashed(viewer_id)}:{now_us // HOUR_US}")
        profiles.update(profile_ids)
        return len(profiles)

    def _set(self, name: str) -> set[str]:
        kept = self._sets.pop(name, set())
        self._sets[name] = kept
        if len(self._sets) > _MOST_KEPT:
            self._sets.popitem(last=False)
        return kept


def shared(requester: Requester, limits: Limits) -> list[tuple[str, str, int]]:
    """Return (kind, who, pictures an hour) of the buckets that a requester shares with others, the smaller first."""
    network = [("network", requester.network, limits.network_per_hour)] if requester.network is not None else []
    return [*network, ("tenant", requester.tenant, limits.tenant_per_hour)]


def first(allowed: Sequence[bool], count: int) -> list[bool]:
    """Return ``allowed`` with only the first ``count`` of its yeses left."""
    left = []
    for is_allowed in allowed:
        left.append(is_allowed and count > 0)
        count -= is_allowed
    return left
