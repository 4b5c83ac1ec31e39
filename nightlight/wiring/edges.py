"""The edges that are told what is revoked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.delivery.purge import Hook

if TYPE_CHECKING:
    from nightlight.clock import Clock
    from nightlight.delivery.purge import Edge
    from nightlight.settings import Settings


def edges(settings: Settings, clock: Clock) -> list[Edge]:
    """Return every edge that the settings name; raise SettingsRefused."""
    concern = settings.delivery
    token = concern.purge_token.get_secret_value() if concern.purge_token else None
    urls = [url.strip() for url in (concern.purge_url or "").split(",") if url.strip()]
    found: list[Edge] = [
        Hook(url, name=f"hook_{number}", token=token, timeout_s=concern.hook_timeout_s)
        for number, url in enumerate(urls)
    ]
    if concern.cloudfront_store is not None:
        from nightlight.store.cloudfront import CloudFrontList

        found.append(CloudFrontList(concern.cloudfront_store, clock=clock, timeout_s=concern.hook_timeout_s))
    return found
