"""What delivers events to the platform, and what the commands of `nightlight webhooks` reach."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nightlight.catalogue.clock import shared_clock
from nightlight.flows.webhooks.dispatch import DeliverWebhooks, EndpointLimits
from nightlight.flows.webhooks.manage import ManageWebhooks
from nightlight.flows.webhooks.post import Endpoint
from nightlight.flows.webhooks.signing import (
    EventSigner,
    parse_private_keys,
    parse_secrets,
    private_key_ids,
    secret_ids,
)
from nightlight.flows.webhooks.trial import SendTrialEvent
from nightlight.settings.base import require
from nightlight.wiring.components import open_catalogue
from nightlight.wiring.live_keys import LiveKeys
from nightlight_core.clock import Clock, system_clock
from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue
    from nightlight.settings import Settings

URL, KEY, SECRET = (f"NIGHTLIGHT_DELIVERY_WEBHOOK_{name}" for name in ("URL", "KEY", "SECRET"))


def webhook_delivery(settings: Settings, catalogue: Catalogue, live: LiveKeys, clock: Clock) -> DeliverWebhooks:
    """Return what delivers events; raises SettingsRefused where there is an endpoint and nothing to sign with."""
    hooks = settings.delivery
    endpoint = Endpoint.parse(hooks.webhook_url, URL) if hooks.webhook_url is not None else None
    signer = event_signer(settings, live) if endpoint is not None else EventSigner()
    limits = EndpointLimits(hooks.webhook_disable_failures, hooks.webhook_disable_s)
    return DeliverWebhooks(catalogue, endpoint, signer, hooks.hook_timeout_s, clock, limits)


def event_signer(settings: Settings, live: LiveKeys) -> EventSigner:
    """Return what signs events with the keys that are set, which follow their files; raises SettingsRefused."""
    hooks, signer = settings.delivery, EventSigner()
    if hooks.webhook_secret is None and hooks.webhook_key is None:
        raise SettingsRefused(f"{URL} is set and nothing to sign events with: set {KEY} or {SECRET}, or both")
    if hooks.webhook_secret is not None:
        text = hooks.webhook_secret.get_secret_value()
        secrets = live.secret("webhook_secret", text, SECRET, parse_secrets, secret_ids)
        signer = EventSigner(lambda: secrets.value)
    if hooks.webhook_key is not None:
        text = hooks.webhook_key.get_secret_value()
        keys = live.secret("webhook_key", text, KEY, parse_private_keys, private_key_ids)
        signer = EventSigner(signer.secrets, lambda: keys.value)
    return signer


@contextmanager
def open_webhooks(settings: Settings, clock: Clock = system_clock) -> Iterator[ManageWebhooks]:
    """Give what lists endpoints and events, has events sent again, and enables an endpoint."""
    with open_catalogue(settings) as catalogue:
        yield ManageWebhooks(catalogue, shared_clock(catalogue, clock))


def trial(settings: Settings, clock: Clock = system_clock) -> SendTrialEvent:
    """Return what sends an event that tells of nothing; it needs no catalogue. Raises SettingsRefused."""
    hooks = settings.delivery
    endpoint = Endpoint.parse(require(hooks.webhook_url, URL), URL)
    return SendTrialEvent(endpoint, event_signer(settings, LiveKeys()), hooks.hook_timeout_s, clock)
