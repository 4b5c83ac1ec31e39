"""The buckets of all service processes together, in Redis: what is looked at and taken, is so by one script."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from nightlight_core.decisions.quotas import HOUR_US, Allowed, Asker, Limits, Wanted, bucket, first, hashed, shared
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

    at_hand = False

    def __init__(self, url: str, limits: Limits, *, timeout_s: float, namespace: str = "nightlight") -> None:
        """Prepare connections to ``url``; nothing is connected yet."""
        self._limits, self._namespace = limits, namespace
        self._redis = redis.Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        self._pictures = self._redis.register_script(_PICTURES)
        self._count = self._redis.register_script(_COUNT)

    def allow(self, asker: Asker, wanted: Sequence[Wanted], asked: Sequence[str], *, now_us: int) -> Allowed:
        """Take what may be taken of ``wanted``, and count ``asked``; raises QuotasUnavailable."""
        try:
            pictures = self._viewer(asker.viewer_id, wanted, now_us)
            for kind, who, per_hour in shared(asker, self._limits):
                own_bucket = bucket(kind, who, per_hour)
                arguments = [now_us, own_bucket.cost_us, own_bucket.ahead_us, _BUCKET_S, sum(pictures)]
                pictures = first(pictures, int(self._count(keys=[self._key(own_bucket.name)], args=arguments)))
            return Allowed(pictures, self._asked(asker.viewer_id, asked, now_us))
        except (redis.RedisError, OSError) as error:
            raise QuotasUnavailable(type(error).__name__) from error

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()

    def _viewer(self, viewer_id: str | None, wanted: Sequence[Wanted], now_us: int) -> list[bool]:
        if viewer_id is None:
            return [True] * len(wanted)
        allowed = [False] * len(wanted)
        for per_hour in {picture.per_hour for picture in wanted}:
            at = [number for number, picture in enumerate(wanted) if picture.per_hour == per_hour]
            own_bucket = bucket("viewer", viewer_id, per_hour)
            keys = [self._key(own_bucket.name), self._key(f"given:{own_bucket.name}:{now_us // HOUR_US}")]
            profiles = [wanted[number].profile_id for number in at]
            answers = self._pictures(
                keys=keys, args=[now_us, own_bucket.cost_us, own_bucket.ahead_us, _BUCKET_S, _KEPT_S, *profiles]
            )
            for number, granted in zip(at, answers, strict=True):
                allowed[number] = granted == 1
        return allowed

    def _asked(self, viewer_id: str | None, asked: Sequence[str], now_us: int) -> int:
        if viewer_id is None or not asked:
            return 0
        key = self._key(f"asked:{hashed(viewer_id)}:{now_us // HOUR_US}")
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.pfadd(key, *asked)
            pipe.expire(key, _KEPT_S)
            pipe.pfcount(key)
            return int(pipe.execute()[2])

    def _key(self, name: str) -> str:
        return f"{self._namespace}:quota:{name}"
