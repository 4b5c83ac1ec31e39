"""What answers edges in front of a platform's avatar URLs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.delivery.viewer_tokens import ViewerTerms, ViewerTokens
from nightlight.flows.decisions.avatars import AvatarDecisions
from nightlight.flows.decisions.old_pictures import OldPictures
from nightlight.settings.viewers import UrlKind
from nightlight.wiring.components import subject_hasher
from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from nightlight.flows.decisions.decision_service import DecisionService
    from nightlight.settings import Settings
    from nightlight.wiring.live_keys import LiveKeys

# 32 characters of base64 or hexadecimal are at least 128 bits.
_MIN_TOKEN_CHARS = 32


def avatar_decisions(settings: Settings, decisions: DecisionService, live: LiveKeys) -> AvatarDecisions | None:
    """Return what answers edges, None where no edge has a secret; raise SettingsRefused."""
    concern = settings.avatars
    if concern.edge_tokens is None:
        return None
    tokens = [token.strip() for token in concern.edge_tokens.get_secret_value().split(",")]
    if any(len(token) < _MIN_TOKEN_CHARS for token in tokens):
        raise SettingsRefused(f"NIGHTLIGHT_AVATARS_EDGE_TOKENS: each needs {_MIN_TOKEN_CHARS} characters or more")
    if settings.delivery.urls is not UrlKind.SIGNED:
        raise SettingsRefused("NIGHTLIGHT_AVATARS_EDGE_TOKENS needs NIGHTLIGHT_DELIVERY_URLS=signed")
    old = OldPictures(subject_hasher(settings, live).every) if concern.migration else None
    return AvatarDecisions(decisions, _viewer_tokens(settings), tokens, old)


def _viewer_tokens(settings: Settings) -> ViewerTokens | None:
    concern = settings.avatars
    if concern.viewer_jwks is None:
        return None
    terms = ViewerTerms(
        concern.viewer_issuer,
        concern.viewer_audience,
        concern.viewer_claim,
        concern.viewer_max_life_s,
        settings.auth.leeway_s,
    )
    return ViewerTokens(concern.viewer_jwks, terms)
