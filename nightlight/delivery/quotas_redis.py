"""The buckets of all service processes together, in Redis: what is looked at and taken, is so by one script."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from nightlight import metrics
from nightlight_core.decisions.quotas import (
    HOUR_US,
    Limits,
    PictureRequest,
    Requester,
    Usage,
    bucket,
    first,
    hashed,
    shared,
)
from nightlight_core.errors import QuotasUnavailable

# Two hours: what is kept by the clock hour is not needed longer, and a bucket is full again after four at the most.
_KEPT_S, _BUCKET_S = 7200, 15_000

# A viewer's pictures: those given in this hour are free, others cost. KEYS: bucket, given. ARGV: now, cost, ahead, how
# long both are kept, profiles. Returns for each 1 or 0.
_PICTURES = """
local now, cost, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local empty = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local found = {}
for i = 6, #ARGV do
  if redis.call('SISMEMBER', KEYS[2], ARGV[i]) == 1 then
    found[#found + 1] = 1
  elseif empty + cost <= now + ahead then
    empty = empty + cost
    redis.call('SADD', KEYS[2], ARGV[i])
    found[#found + 1] = 1
  else
    found[#found + 1] = 0
  end
end
redis.call('SET', KEYS[1], string.format('%.0f', empty), 'EX', ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return found
"""

# A bucket that is shared. KEYS: bucket. ARGV: now, cost, ahead, how long it is kept, count. Returns how many it gave.
_COUNT = """
local now, cost, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local empty = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local taken = math.min(tonumber(ARGV[5]), math.max(0, math.floor((now + ahead - empty) / cost)))
redis.call('SET', KEYS[1], string.format('%.0f', empty + taken * cost), 'EX', ARGV[4])
return taken
"""


class RedisQuotas:
    """Buckets in Redis, under ``{namespace}:quota:``. Safe to share between threads."""

    in_process = False

    def __init__(self, url: str, limits: Limits, *, timeout_s: float, namespace: str = "nightlight") -> None:
        """Prepare connections to ``url``; nothing is connected yet."""
        self._limits, self._namespace = limits, namespace
        self._redis = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        self._pictures = self._redis.register_script(_PICTURES)
        self._count = self._redis.register_script(_COUNT)

    def allow(
        self, requester: Requester, pictures: Sequence[PictureRequest], profile_ids: Sequence[str], *, now_us: int
    ) -> Usage:
        """Take what may be taken of ``pictures``, and count ``profile_ids``; raises QuotasUnavailable."""
        try:
            with metrics.dependency_call(metrics.QUOTAS):
                return self._allow(requester, pictures, profile_ids, now_us)
        except (redis.RedisError, OSError) as error:
            raise QuotasUnavailable(type(error).__name__) from error

    def _allow(
        self, requester: Requester, pictures: Sequence[PictureRequest], profile_ids: Sequence[str], now_us: int
    ) -> Usage:
        allowed = self._viewer(requester.viewer_id, pictures, now_us)
        for kind, who, per_hour in shared(requester, self._limits):
            own = bucket(kind, who, per_hour)
            arguments = [now_us, own.cost_us, own.ahead_us, _BUCKET_S, sum(allowed)]
            allowed = first(allowed, int(self._count(keys=[self._key(own.name)], args=arguments)))
        return Usage(allowed, self._profiles(requester.viewer_id, profile_ids, now_us))

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()

    def _viewer(self, viewer_id: str | None, pictures: Sequence[PictureRequest], now_us: int) -> list[bool]:
        if viewer_id is None:
            return [True] * len(pictures)
        allowed = [False] * len(pictures)
        for per_hour in {picture.per_hour for picture in pictures}:
            numbers = [number for number, picture in enumerate(pictures) if picture.per_hour == per_hour]
            own = bucket("viewer", viewer_id, per_hour)
            keys = [self._key(own.name), self._key(f"given:{own.name}:{now_us // HOUR_US}")]
            profiles = [pictures[number].profile_id for number in numbers]
            answers = self._pictures(keys=keys, args=[now_us, own.cost_us, own.ahead_us, _BUCKET_S, _KEPT_S, *profiles])
            for number, answer in zip(numbers, answers, strict=True):
                allowed[number] = answer == 1
        return allowed

    def _profiles(self, viewer_id: str | None, profile_ids: Sequence[str], now_us: int) -> int:
        if viewer_id is None or not profile_ids:
            return 0
        key = self._key(f"asked:{hashed(viewer_id)}:{now_us // HOUR_US}")
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.pfadd(key, *profile_ids)
            pipe.expire(key, _KEPT_S)
            pipe.pfcount(key)
            return int(pipe.execute()[2])

    def _key(self, name: str) -> str:
        return f"{self._namespace}:quota:{name}"
