"""The edges that are told what is revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.delivery.purge import KEPT_S, EdgePurge

if TYPE_CHECKING:
    from nightlight.delivery.purge import RevocationEdge
    from nightlight.settings import Settings
    from nightlight_core.clock import Clock


def edge_purge(settings: Settings, clock: Clock) -> EdgePurge:
    """Return what tells every edge that the settings name; raise SettingsRefused."""
    concern = settings.delivery
    more: list[RevocationEdge] = []
    if concern.cloudfront_store is not None:
        from nightlight.store.cloudfront import CloudFrontList

        more.append(
            CloudFrontList(concern.cloudfront_store, kept_s=KEPT_S, clock=clock, timeout_s=concern.hook_timeout_s)
        )
    token = concern.purge_token.get_secret_value() if concern.purge_token else None
    return EdgePurge(concern.purge_url, token=token, timeout_s=concern.hook_timeout_s, more=more)
