"""What is known of each kind of key: who verifies by it, who signs with it, and how long what it signed lives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class KeyKind(StrEnum):
    """The kinds of keys that are rotated."""

    URLS = "urls"
    NAMES = "names"
    WATERMARK = "watermark"
    RELATION = "relation"
    ERASURE = "erasure"
    RECEIPTS = "receipts"
    PUBLISHER = "publisher"
    SAFETY = "safety"
    C2PA = "c2pa"
    SEAL = "seal"
    CALLERS = "callers"
    WEBHOOK_SECRET = "webhook-secret"  # noqa: S105 - a name
    WEBHOOK_KEY = "webhook-key"


@dataclass(frozen=True, slots=True)
class RotatedKeys:
    """One kind of key.

    ``verified_by`` and ``signed_by`` name the rings that processes report (``wiring.live_keys``): None where whoever
    verifies or signs is no process of ours. ``life`` is how long what a key signed may be in use after the key was;
    None where that is for ever, and ``why_kept`` says what the key is then kept for.
    """

    name: str
    verified_by: str | None
    signed_by: str | None
    life: timedelta | None
    why_kept: str = ""
