"""A Nightlight in memory: what a platform's tests ask, and what they look at afterwards."""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from nightlight_client.async_client import AsyncNightlightClient
from nightlight_client.client import NightlightClient
from nightlight_client.errors import Problem, ServiceUnreachable, problem_of
from nightlight_client.local_policy import LocalPolicy, PoliciesInUse, PolicyInForce
from nightlight_client.options import HttpOptions, key_map
from nightlight_client.responses import Response
from nightlight_client.testing.fake_profiles import FakeImage, FakeProfile
from nightlight_client.testing.fake_routes import PROBLEM_TYPE, SCOPES, answer_to
from nightlight_client.testing.flat_picture import flat_picture
from nightlight_core.decisions.abuse_signals import AbuseSignalBuffer
from nightlight_core.decisions.answers import AnswerBuilder
from nightlight_core.decisions.engine import DecisionEngine, FoundViews, blocked_by
from nightlight_core.decisions.placeholder import placeholder_bytes
from nightlight_core.decisions.profile_views import ProfileView
from nightlight_core.decisions.quotas import InProcess, Limits
from nightlight_core.decisions.rate_limiter import RateLimiter
from nightlight_core.decisions.relation_proofs import LEEWAY_S
from nightlight_core.decisions.relation_resolver import RelationResolver
from nightlight_core.decisions.url_signing import DayKeys, HmacUrlSigner, RingDayKeys
from nightlight_core.errors import NightlightError, NotFound
from nightlight_core.keyring import KeyRing
from nightlight_core.policy.bundle import Bundle, read_unverified

if TYPE_CHECKING:
    from nightlight_client.exchanges import HttpAttempt
    from nightlight_client.models import Decision
    from nightlight_core.policy.public_keys import PublicKeys
    from nightlight_core.policy.table import Table

PLACEHOLDER = "placeholder"
# Limits that no test reaches by accident: those of the policy itself are kept as they are.
_LIMITS, _PROFILES_PER_HOUR = Limits(network_per_hour=10**6, tenant_per_hour=10**7), 10**6
_MOST_CALLS = 10_000


@dataclass(frozen=True, slots=True)
class ShownPicture:
    """What a URL shows: whose picture, in which tier (``placeholder`` for nobody's), and its longest side in pixels."""

    tier: str
    profile_id: str | None
    edge: int


class FakeNightlight:
    """A Nightlight in memory, for the tests of one process; not safe to share between threads.

    ``calls`` are (method, path) of what was sent to it, the last ones.
    """

    def __init__(
        self,
        *,
        bundle: bytes | None = None,
        relation_keys: str | Mapping[str, bytes] | None = None,
        base_url: str = "https://pictures.test",
        settle: bool = True,
        clock: Callable[[], float] = time.time,
        url_keys: DayKeys | None = None,
    ) -> None:
        """Decide by a bundle (of ``nightlight policy build``; None: the default policies) and a clock of Unix seconds.

        ``relation_keys`` check relation proofs: by default its own, which its clients have. Uploads are ready at once
        if they ``settle``, and otherwise pending until ``finish``. ``url_keys`` sign URLs, by default ones of its own.
        Raises PolicyRefused for what is no bundle.
        """
        self.bundle_data = bundle if bundle is not None else _packaged("default_policy.json")
        self.bundle: Bundle = read_unverified(self.bundle_data)
        self.relation_keys = key_map(relation_keys) or {"r1": secrets.token_bytes(32)}
        self.clock, self.settle = clock, settle
        self.calls: deque[tuple[str, str]] = deque(maxlen=_MOST_CALLS)
        self.profiles: dict[str, FakeProfile] = {}
        self.images: dict[str, FakeImage] = {}
        self.given: dict[str, ProfileView] = {}
        self.blocked: dict[str, set[str]] = {}
        self.revoked: dict[str, dict[str, int]] = {}
        self.uploads: dict[tuple[str, str], tuple[tuple[bytes, str], str]] = {}
        self.erased: set[str] = set()
        self.changed: list[str] = []
        self.base_url = base_url
        self.url_keys = url_keys or RingDayKeys(KeyRing({"d1": secrets.token_bytes(40)}))
        self.signer = HmacUrlSigner(self.url_keys, base_url)
        self.builder = AnswerBuilder(self.signer, secrets.token_bytes(40), f"/a/{secrets.token_hex(16)}.webp", 3600)
        self._in_force = PolicyInForce(clock)
        self._in_force.use(PoliciesInUse(self.bundle.timeline, None, None, revision=1))
        self._down: str | None = None

    def client(self, *, scopes: Iterable[str] = SCOPES, **settings: Any) -> NightlightClient:
        """Return a client of this Nightlight, whose token has these scopes; ``settings`` are NightlightClient's."""
        return NightlightClient("https://nightlight.test", **self._settings(scopes, settings))

    def async_client(self, *, scopes: Iterable[str] = SCOPES, **settings: Any) -> AsyncNightlightClient:
        """Return a client of this Nightlight for an event loop; ``settings`` are AsyncNightlightClient's."""
        return AsyncNightlightClient("https://nightlight.test", **self._settings(scopes, settings))

    def shown(self, decision: Decision | str) -> ShownPicture:
        """Return what a decision, or its URL, shows at this moment.

        Raises LookupError for a URL that shows nothing: forged, expired, revoked, or without what signs it.
        """
        url = decision if isinstance(decision, str) else decision.url
        if url.startswith("data:"):
            return ShownPicture(PLACEHOLDER, None, 0)
        parts = urlsplit(url)
        given = {name: values[0] for name, values in parse_qs(parts.query).items()}
        signed = given.get("e", ""), given.get("k", ""), given.get("s", "")
        if self.signer.verify(parts.path, *signed, now=int(self.clock())) is None:
            raise LookupError(f"{parts.path[:100]} shows nothing: its signature is not good, or it is expired")
        if parts.path == self.builder.placeholder:
            return ShownPicture(PLACEHOLDER, None, 0)
        for image in self.images.values():
            for tier, paths in image.paths.items():
                if parts.path in paths:
                    return ShownPicture(tier, image.profile_id, self.table.pixels[tier].edge)
        raise LookupError(f"{parts.path[:100]} shows nothing: it was revoked, or never given out")

    def finish(self, image_id: str, *, state: str = "ready", reason: str | None = None) -> None:
        """End the rendering of an image: ``ready``, ``rejected``, ``failed`` or ``quarantined``; raises KeyError."""
        image = self.images[image_id]
        image.state, image.reason = state, reason
        profile = self.profiles.get(image.profile_id)
        if state == "ready" and profile is not None:
            if profile.image is not None and profile.image is not image:
                profile.image.state = "superseded"
            image.render(self.table)
            profile.image = image
        self.change(image.profile_id)

    @contextmanager
    def outage(self, kind: str = "unreachable") -> Iterator[None]:
        """Answer nothing meanwhile; ``kind`` is one of ``nightlight_client.failures``."""
        self._down = kind
        try:
            yield
        finally:
            self._down = None

    @property
    def table(self) -> Table:
        """Return the policy's table that decides now."""
        return self.policy.table

    @property
    def policy(self) -> LocalPolicy:
        """Return the policy that decides now."""
        policy = self._in_force.now()
        if policy is None:  # pragma: no cover - one is used from the start
            raise RuntimeError("no policy is in force")
        return policy

    @cached_property
    def engine(self) -> DecisionEngine:
        """Return the decision engine, as the service has it."""
        from nightlight_client.local_feed import LocalTallies

        relations = RelationResolver(self.relation_keys, None, LEEWAY_S)
        limiter = RateLimiter(InProcess(_LIMITS), _PROFILES_PER_HOUR)
        return DecisionEngine(
            self.builder, relations, limiter, AbuseSignalBuffer(most=1000), LocalTallies(), self.clock
        )

    @cached_property
    def publisher_keys(self) -> PublicKeys:
        """Return the keys that a LocalClient checks the default policies' bundle with."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        from nightlight_core.policy.public_keys import PublicKeys, base64url_bytes

        (jwk,) = json.loads(_packaged("default_policy.jwks.json"))["keys"]
        return PublicKeys({jwk["kid"]: Ed25519PublicKey.from_public_bytes(base64url_bytes(jwk["x"]))})

    def find(self, viewer_id: str | None, profile_ids: Sequence[str]) -> FoundViews:
        """Return a view of each profile."""
        views = [self.view(profile_id) for profile_id in profile_ids]
        return FoundViews(views, blocked_by(viewer_id, views))

    def view(self, profile_id: str) -> ProfileView:
        """Return what decisions need of a profile."""
        if profile_id in self.given:
            return self.given[profile_id]
        profile = self.profiles.get(profile_id)
        view = ProfileView(profile_id) if profile is None else profile.view(self.table)
        blocked = frozenset(self.blocked.get(profile_id, ()))
        return replace(view, blocked=blocked, revoked=self.revoked.get(profile_id, {}))

    def proofs_revoked(self, profile_id: str, viewer_id: str = "") -> None:
        """Let relation proofs of a viewer, or of all, count only if they are issued after this moment."""
        self.revoked.setdefault(profile_id, {})[viewer_id] = int(self.clock())

    def change(self, profile_id: str) -> str:
        """Note that a profile has changed; return the consistency token."""
        self.changed.append(profile_id)
        return str(len(self.changed))

    def send(self, attempt: HttpAttempt, headers: Mapping[str, str]) -> Response:
        """Answer a request, as the service would; raises ServiceUnreachable in an outage."""
        if self._down is not None:
            raise ServiceUnreachable(self._down, "an outage of the fake")
        self.calls.append((attempt.request.method, attempt.request.path))
        try:
            return answer_to(self, attempt.request, headers)
        except Problem as problem:
            refused = problem
        except NightlightError as error:
            refused = problem_of(error)
        body = {
            "type": f"urn:nightlight:problem:{refused.code}",
            "status": refused.status,
            "code": refused.code,
            "detail": refused.detail,
            **({"errors": [error._asdict() for error in refused.errors]} if refused.errors else {}),
        }
        return Response(refused.status, json.dumps(body).encode(), {"content-type": PROBLEM_TYPE})

    def fetch(self, url: str) -> Response:
        """Answer a viewer who fetches a URL: a picture, the placeholder, or 404."""
        try:
            if self._down is not None:
                raise LookupError
            shown = self.shown(url)
        except LookupError:
            return Response(NotFound.status, b"", {"content-type": PROBLEM_TYPE})
        cache = {"cache-control": "private"}
        if shown.profile_id is None:
            return Response(200, placeholder_bytes(), {"content-type": "image/webp", **cache})
        path = urlsplit(url).path
        image = next(image for image in self.images.values() if path in image.paths.get(shown.tier, ()))
        return Response(200, flat_picture(shown.edge, image.colour), {"content-type": "image/png", **cache})

    def view_answer(self, profile_id: str) -> dict[str, Any]:
        """Return a view as ``POST /v1/feed/profiles`` gives it."""
        view = self.view(profile_id)
        plain = {name: getattr(view, name) for name in _VIEW}
        available = {
            tier: [{"path": shown.path, "edge": shown.edge, "recipe": {**asdict(shown.recipe)}} for shown in variants]
            for tier, variants in view.available.items()
        }
        return {**plain, "blocked": sorted(view.blocked or ()), "revoked": dict(view.revoked), "available": available}

    def _settings(self, scopes: Iterable[str], settings: Mapping[str, Any]) -> dict[str, Any]:
        options = settings.get("options") or HttpOptions()
        kept = {"token": ".".join(("fake", *scopes)), "relation_keys": self.relation_keys, **settings}
        return {**kept, "options": replace(options, carrier=self)}


_VIEW = (
    "profile_id", "known", "band", "band_expires_at", "assurance", "region", "choice", "report_flag",
    "effective_ceiling", "image_id", "blurhash", "canary", "candidate",
)  # fmt: skip


def _packaged(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()
