"""A platform's own avatar URL, asked for by an edge: which picture this viewer gets, as a path of the edge's own.

::

    edge      shows a secret: nobody else may say who looks
    viewer    a token that the platform signed, or what the edge asserts    (delivery.viewer_tokens)
    profile   the id in the URL, or in imgproxy's source URL                (profile_id_of)
    relation  a proof, else what the relation provider confirms, else a stranger
    decide    the same decision as everywhere                               (decision_service)
    before    migration alone: the old picture, where the policy allows all of it  (old_pictures)

Whatever is missing, broken or unknown makes the viewer an outsider, or the profile one that nobody has.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from nightlight.delivery.viewer_tokens import NOBODY, UNVERIFIED, AvatarViewer, proof_of, viewer_word
from nightlight.flows.decisions.decision_service import DecisionService
from nightlight_core.decisions.engine import DecisionRequest
from nightlight_core.decisions.quotas import Requester
from nightlight_core.decisions.relation_proofs import STRANGER, UNPROVEN
from nightlight_core.decisions.relation_resolver import NO_PROVIDER, Claim
from nightlight_core.errors import InvalidInput, Unavailable
from nightlight_core.ids import is_profile_id

if TYPE_CHECKING:
    from nightlight.delivery.viewer_tokens import ViewerTokens
    from nightlight.flows.decisions.old_pictures import OldPictures
    from nightlight_core.decisions.answers import SignedDecision

# Where an edge looks for what it is sent to: pictures by their signed URL, and the old picture of the same request.
PICTURES, OLD_PICTURE = "/.nightlight", "/.nightlight/old"
# Of the old picture, or of anything else that quotas count: whose caller.
TENANT = "edge"
_MAX_SOURCE = 4_096
_ID = "{id}"
# How much of an address says where somebody comes from: what one subscriber or one site is given, by IP version.
_PREFIX_BITS = {4: 24, 6: 48}


@dataclass(frozen=True, slots=True)
class AvatarRequest:
    """What an edge asks: the headers ``Nightlight-*`` of its request, by their names in lower case without that prefix.

    ::

        profile      the id, percent-encoded, as it stands in the URL
        source       or imgproxy's source URL in base64url, with `source-form`: what such URLs look like, with {id}
        token        the viewer's token; where there is one, nothing else counts of the viewer
        viewer       or the viewer's id, percent-encoded, that the edge asserts, with `viewer-word`
        proof        a relation proof, as `relation proof`
        network      where the viewer comes from
        context      the word for where the picture is shown
    """

    headers: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return a header, empty where there is none."""
        return self.headers.get(f"nightlight-{name}", "")


@dataclass(frozen=True, slots=True)
class AvatarDecisions:
    """Decides for edges, who show one of ``edge_tokens``; ``old_pictures`` is for migrations. Safe to share."""

    decisions: DecisionService
    tokens: ViewerTokens | None
    edge_tokens: Sequence[str]
    old_pictures: OldPictures | None = None

    def is_edge(self, authorization: str) -> bool:
        """Say whether a request's Authorization header shows one of the edges' secrets."""
        kind, _, shown = authorization.partition(" ")
        digest = hashlib.sha256(shown.strip().encode("latin-1", "replace")).digest()
        equal = [hmac.compare_digest(hashlib.sha256(token.encode()).digest(), digest) for token in self.edge_tokens]
        return kind.lower() == "bearer" and any(equal)

    def try_cached(self, request: AvatarRequest) -> str | None:
        """Return the same as ``decide`` where all that it needs is in memory, else None. It waits for nothing."""
        token = request.text("token")
        viewer = self.tokens.try_cached(token) if token and self.tokens is not None else _asserted(request)
        if viewer is None:
            return None
        asked = self._request(request, viewer)
        if self._may_be_confirmed(asked):
            return None
        decided = self.decisions.try_cached(asked)
        if decided is None or (self.old_pictures is not None and not decided[0].shows_picture):
            return None
        return _path(decided[0])

    def decide(self, request: AvatarRequest) -> str:
        """Return where the edge finds the picture that this viewer gets: a path that starts with ``PICTURES``."""
        token = request.text("token")
        viewer = self._named_by(token) if token else _asserted(request)
        asked, decisions = self._request(request, viewer), self.decisions
        if self._may_be_confirmed(asked) and (relation := self._confirmed(asked)) != STRANGER:
            decisions = self._own_word()
            asked = asked._replace(claims=[asked.claims[0]._replace(relation=relation)])
        decided = decisions.decide(asked)[0]
        if self.old_pictures is not None and self.old_pictures.shows(decisions, asked, decided):
            return OLD_PICTURE
        return _path(decided)

    def _named_by(self, token: str) -> AvatarViewer:
        return self.tokens.read(token) if self.tokens is not None else NOBODY

    def _request(self, request: AvatarRequest, viewer: AvatarViewer) -> DecisionRequest:
        """Return the engine's request, with words that the policy knows: unknown ones are the most protective."""
        profile_id = profile_id_of(request)
        attributes = self.decisions.policy.known.table.attributes
        word, context = viewer.word, request.text("context")
        if word not in attributes["viewer"]:
            viewer, word = NOBODY, NOBODY.word
        if context not in attributes["context"]:
            raise InvalidInput(f"context must be one of {', '.join(attributes['context'])}")
        proof = viewer.proofs.get(profile_id) or proof_of(request.text("proof"))
        claim = Claim(profile_id, *proof) if proof and viewer.viewer_id else Claim(profile_id, STRANGER)
        requester = Requester(viewer.viewer_id, _network(request, self.edge_tokens[0]), TENANT)
        return DecisionRequest(word, context, [claim], requester)

    def _may_be_confirmed(self, asked: DecisionRequest) -> bool:
        """Say whether the relation provider is to be asked: of a viewer who is somebody, and brings no proof."""
        provider = self.decisions.engine.relations.provider
        return provider is not None and asked.requester.viewer_id is not None and asked.claims[0].proof is None

    def _confirmed(self, asked: DecisionRequest) -> str:
        """Return the first relation, in the vocabulary's order, that the provider confirms; a stranger without one."""
        resolver, profile_id = self.decisions.engine.relations, asked.claims[0].profile_id
        words = [word for word in self.decisions.policy.known.table.attributes["relation"] if word not in UNPROVEN]
        viewer_id = asked.requester.viewer_id
        if resolver.provider is None or viewer_id is None:
            return STRANGER
        try:
            held = resolver.provider.confirm(viewer_id, [(profile_id, word) for word in words])
        except Unavailable as error:
            resolver.notice(NO_PROVIDER, 1, str(error))
            return STRANGER
        return next((word for word, holds in zip(words, held, strict=True) if holds), STRANGER)

    def _own_word(self) -> DecisionService:
        """Return decisions by the relation that a request says, since it was confirmed a moment ago."""
        engine = self.decisions.engine
        confirmed = replace(engine, relations=replace(engine.relations, provider=None, vouches=True))
        return replace(self.decisions, engine=confirmed)


def profile_id_of(request: AvatarRequest) -> str:
    """Return the id of the profile that is asked for; an empty one, which nobody has, where there is none.

    An id is decoded once, as every other path of the service is.
    """
    source = request.text("source")
    encoded = _in_source(source, request.text("source-form")) if source else request.text("profile")
    return _decoded(encoded)


def _decoded(encoded: str) -> str:
    try:
        text = unquote(encoded, errors="strict")
    except ValueError:
        return ""
    return text if is_profile_id(text) else ""


def _in_source(encoded: str, form: str) -> str:
    """Return the id in a source URL of imgproxy's, base64url in one or several parts, by what such URLs look like."""
    before, hole, after = form.partition(_ID)
    if not hole or len(encoded) > _MAX_SOURCE:
        return ""
    plain = encoded.replace("/", "").rstrip("=")
    try:
        text = base64.b64decode(plain + "=" * (-len(plain) % 4), altchars=b"-_", validate=True).decode("utf-8")
    except ValueError:
        return ""
    if not (text.startswith(before) and text.endswith(after) and len(text) > len(before) + len(after)):
        return ""
    inside = text[len(before) : len(text) - len(after)]
    return "" if "/" in inside else inside


def _asserted(request: AvatarRequest) -> AvatarViewer:
    """Return the viewer that the edge asserts; nobody where it names none."""
    if request.text("token") or not (viewer_id := _decoded(request.text("viewer"))):
        return NOBODY
    return AvatarViewer(viewer_id, viewer_word(request.text("viewer-word") or UNVERIFIED))


def _network(request: AvatarRequest, secret: str) -> str | None:
    """Return an opaque word for where a viewer comes from, by its address's prefix; an address goes no further."""
    address = request.text("network")
    return _network_of(address, secret) if address else None


@lru_cache(maxsize=1_000)
def _network_of(address: str, secret: str) -> str | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    prefix = ip_network((parsed, _PREFIX_BITS[parsed.version]), strict=False)
    return hmac.digest(secret.encode(), str(prefix).encode(), "sha256").hex()[:32]


def _path(decision: SignedDecision) -> str:
    """Return the path of a decision's URL as edges know it."""
    url = urlsplit(decision.url)
    return f"{PICTURES}{url.path}?{url.query}"
