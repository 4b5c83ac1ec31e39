"""What the HTTP service reaches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlight.catalogue import migrate
from nightlight.catalogue.engine import Catalogue
from nightlight.delivery.access_tokens import Verifier
from nightlight.delivery.object_names import object_key
from nightlight.flows.decisions.abuse_signals import Guard, Scrapers
from nightlight.flows.decisions.blocks import Block
from nightlight.flows.decisions.change_feed import Watch
from nightlight.flows.decisions.counters import DecisionCounter
from nightlight.flows.decisions.decide import Decide
from nightlight.flows.decisions.local_evaluation import Lend
from nightlight.flows.decisions.serve import Deliver
from nightlight.flows.pictures.delete import Delete
from nightlight.flows.pictures.profiles import Declare
from nightlight.flows.pictures.revoke import Revoke
from nightlight.flows.pictures.upload import Upload
from nightlight.flows.policies.active_policy import PolicyInUse
from nightlight.flows.policies.rollout import Rollout
from nightlight.flows.retention.legal_holds import Holds
from nightlight.flows.traces.manifest_lookup import Rate, Resolve
from nightlight.flows.traces.requests import AskTrace
from nightlight.settings import Settings, require
from nightlight.store.interface import PutOnly
from nightlight.wiring.components import (
    ORIGINALS,
    RENDITIONS,
    arrive,
    build_catalogue,
    build_store,
    delivery,
    limits,
    policy_in_use,
    public_keys,
    quotas,
    readiness_of,
    relations,
    upload_with,
    words,
)
from nightlight.wiring.originals import sealer
from nightlight_core.clock import Clock, system_clock
from nightlight_core.decisions.engine import Decider
from nightlight_core.decisions.placeholder import EXTENSION
from nightlight_core.decisions.profile_views import Views
from nightlight_core.decisions.rate_limiter import Gate

if TYPE_CHECKING:
    from nightlight.catalogue.profiles import Profile
    from nightlight.flows.imports.notifications import Arrive
    from nightlight.store.interface import ObjectStore


# What is kept of the catalogue is used for a second after the last look at its feed, or four times as long as looks
# are apart.
_STALE_S, _STALE_LOOKS = 1.0, 4


@dataclass(frozen=True, slots=True)
class ServiceHouse:
    """Everything that the HTTP service reaches. It holds no way to read an original."""

    settings: Settings
    policy: PolicyInUse
    catalogue: Catalogue
    originals: PutOnly
    renditions: ObjectStore
    verifier: Verifier
    declare: Declare
    intake: Upload
    delete: Delete
    decide: Decide
    lend: Lend
    deliver: Deliver
    block: Block
    revoke: Revoke
    watch: Watch
    guard: Guard
    scrapers: Scrapers
    counter: DecisionCounter
    rollout: Rollout
    traces: AskTrace
    resolve: Resolve
    arrive: Arrive
    holds: Holds

    def lapses_at(self, profile: Profile) -> datetime:
        """Return when the profile's band lapses to unknown."""
        return profile.asserted_at + timedelta(days=self.settings.intake.assertion_days)

    def readiness(self) -> dict[str, str]:
        """Return, for each part, ``ok`` or the code of what is wrong with it."""
        return readiness_of(self.catalogue, {ORIGINALS: self.originals, RENDITIONS: self.renditions})

    def close(self) -> None:
        """Let go of every connection."""
        self.catalogue.close()


def build_service(settings: Settings, clock: Clock = system_clock) -> ServiceHouse:
    """Build the service's parts; raise SettingsRefused, PolicyRefused or CatalogueUnavailable."""
    catalogue = build_catalogue(settings)
    migrate.check_current(catalogue.engine)
    names, ring, signer, signs = delivery(settings)
    policy = policy_in_use(settings, catalogue)
    traces = AskTrace(
        catalogue,
        PutOnly(build_store(settings, ORIGINALS)),
        settings.intake,
        settings.matching,
        clock,
        sealer(settings),
    )
    counter = DecisionCounter(catalogue, clock, flush_s=settings.policy.counter_flush_s)
    relate = relations(settings)
    guard = Guard(catalogue, Gate(quotas(settings), settings.quotas.profiles_per_hour), clock)
    poll_s = settings.delivery.feed_poll_s
    watch = Watch(
        catalogue,
        Views(most=settings.delivery.views, stale_s=max(_STALE_S, _STALE_LOOKS * poll_s)),
        picture_bytes=settings.delivery.picture_bytes,
        assertion_days=settings.intake.assertion_days,
        poll_s=poll_s,
        after=(guard.flush, policy.current),
    )
    auth = settings.auth
    placeholder = f"/{object_key(names.placeholder(), EXTENSION)}"
    lives = settings.delivery.placeholder_cache_s, settings.delivery.max_life_s
    decider = Decider(signs, names.variant_key, placeholder, *lives)
    originals = PutOnly(build_store(settings, ORIGINALS))
    renditions = build_store(settings, RENDITIONS)
    return ServiceHouse(
        settings=settings,
        policy=policy,
        catalogue=catalogue,
        originals=originals,
        renditions=renditions,
        verifier=Verifier(
            require(auth.jwks, "NIGHTLIGHT_AUTH_JWKS"),
            issuer=auth.issuer,
            audience=auth.audience,
            leeway_s=auth.leeway_s,
            max_life_s=auth.max_life_s,
        ),
        declare=Declare(
            catalogue,
            lambda: words(policy),
            lambda: policy.current().tables,
            settings.intake.assertion_days,
            clock,
            lambda: policy.current().earlier,
        ),
        intake=upload_with(settings, catalogue, policy, originals, sealer(settings), clock),
        delete=Delete(catalogue, clock),
        decide=Decide(policy, watch, counter, decider, relate, guard, clock),
        lend=Lend(
            catalogue,
            policy,
            watch,
            counter,
            guard,
            decider,
            ring if signs is signer else None,
            settings.delivery.base_url,
            settings.delivery.max_life_s,
            limits(settings),
            clock,
        ),
        deliver=Deliver(renditions, names, signer, watch, clock),
        block=Block(catalogue, clock),
        revoke=Revoke(catalogue, clock),
        watch=watch,
        guard=guard,
        scrapers=Scrapers(catalogue, clock),
        counter=counter,
        rollout=Rollout(
            catalogue,
            policy,
            public_keys(settings.policy.publisher_keys),
            public_keys(settings.policy.safety_keys),
            settings.policy.counter_threshold,
            counter.flush,
            clock,
        ),
        traces=traces,
        resolve=Resolve(catalogue, renditions, traces, Rate(10 * settings.matching.traces_per_hour), clock),
        arrive=arrive(settings, catalogue, clock),
        holds=Holds(catalogue, clock),
    )
