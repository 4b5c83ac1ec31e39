"""Rate limits: which of a request's pictures are not given after all. Whoever is limited sees the placeholder.

::

    quotas     the policy's pictures an hour for a viewer; shares of a network and of a platform   (decisions.quotas)
    profiles   who asks for more different profiles in an hour than people do is given none
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightlight_core.decisions.abuse_signals import MANY_PROFILES, OVER_QUOTA
from nightlight_core.decisions.quotas import PictureRequest, Quotas, Requester


@dataclass(frozen=True, slots=True)
class RateLimiter:
    """Applies limits. Safe to share between threads."""

    quotas: Quotas
    profiles_per_hour: int

    def check(
        self, requester: Requester, profile_ids: Sequence[str], pictures: Sequence[PictureRequest], *, now_us: int
    ) -> tuple[list[bool], str | None]:
        """Say for each picture whether it may be given, and what the requester looks like if not all may.

        ``profile_ids`` are the profiles of the whole request; ``now_us`` is in microseconds since 1970. Raises
        QuotasUnavailable.
        """
        usage = self.quotas.allow(requester, pictures, profile_ids, now_us=now_us)
        if usage.profiles > self.profiles_per_hour:
            return [False] * len(pictures), MANY_PROFILES
        return usage.allowed, None if all(usage.allowed) else OVER_QUOTA
