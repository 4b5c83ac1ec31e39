"""What the HTTP service reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from nightlight.catalogue import migrate
from nightlight.catalogue.clock import shared_clock
from nightlight.catalogue.engine import Catalogue
from nightlight.catalogue.sql_roles import SqlRole
from nightlight.delivery.access_tokens import AccessVerifier
from nightlight.delivery.object_names import object_key
from nightlight.delivery.page_tokens import PageTokens
from nightlight.flows.decisions.abuse_signals import AbuseReports, AbuseSignalLog
from nightlight.flows.decisions.blocks import BlockViewers
from nightlight.flows.decisions.change_feed import ChangeFeedPoller
from nightlight.flows.decisions.counters import DecisionCounter
from nightlight.flows.decisions.decision_service import DecisionService
from nightlight.flows.decisions.local_evaluation import LocalEvaluationFeed
from nightlight.flows.decisions.search import DecisionSearch
from nightlight.flows.decisions.serve import RenditionServer
from nightlight.flows.exports.requests import RequestExport
from nightlight.flows.pictures.deactivate import DeactivateProfile
from nightlight.flows.pictures.delete import DeletePictures
from nightlight.flows.pictures.profiles import DeclareProfile
from nightlight.flows.pictures.rerender_runs import RerenderRuns
from nightlight.flows.pictures.revoke import RevokeUrls
from nightlight.flows.pictures.upload import Upload
from nightlight.flows.policies.emergency import EmergencyPolicy
from nightlight.flows.policies.policy_holder import PolicyHolder
from nightlight.flows.policies.policy_reader import PolicyReader
from nightlight.flows.policies.rollout import Rollout
from nightlight.flows.restore.position_watch import PositionWatch
from nightlight.flows.retention.legal_holds import PlaceHolds
from nightlight.flows.takedowns.requests import PlaceTakedowns, ReviewTakedowns
from nightlight.flows.takedowns.review import ReviewSoftened
from nightlight.flows.traces.manifest_lookup import CallerRate, ManifestLookup
from nightlight.flows.traces.requests import RequestTrace
from nightlight.flows.webhooks.public_keys import WebhookPublicKeys
from nightlight.retention.wanted_rules import takedown_hours
from nightlight.settings import Settings
from nightlight.settings.base import require
from nightlight.store.interface import PutOnly
from nightlight.wiring.avatar_parts import avatar_decisions
from nightlight.wiring.components import (
    EXPORTS,
    ORIGINALS,
    RENDITIONS,
    build_catalogue,
    build_store,
    declared_words,
    import_notifications,
    name_keys,
    policy_holder,
    subject_hasher,
    upload_flow,
)
from nightlight.wiring.decision_parts import check_foreign_words, limits, quotas, relation_resolver, url_signing
from nightlight.wiring.live_keys import LiveKeys
from nightlight.wiring.originals import sealer
from nightlight.wiring.readiness import Check, catalogue_checks, disk_check, run_checks
from nightlight_core.clock import Clock, system_clock
from nightlight_core.decisions.answers import AnswerBuilder
from nightlight_core.decisions.engine import DecisionEngine
from nightlight_core.decisions.placeholder import EXTENSION
from nightlight_core.decisions.profile_views import ProfileViewCache
from nightlight_core.decisions.rate_limiter import RateLimiter
from nightlight_core.live_files import public_fingerprint

if TYPE_CHECKING:
    from nightlight.catalogue.profiles import Profile
    from nightlight.flows.decisions.avatars import AvatarDecisions
    from nightlight.flows.imports.notifications import ImportNotifications
    from nightlight.store.interface import ObjectStore
    from nightlight_core.keyring import KeyRing


# What is kept of the catalogue is used for a second after the last poll of its feed, or four times as long as polls
# are apart.
_STALE_S, _STALE_POLLS = 1.0, 4


@dataclass(frozen=True, slots=True)
class ServiceContainer:
    """Everything that the HTTP service reaches. It holds no way to read an original."""

    settings: Settings
    keys: LiveKeys
    policy: PolicyHolder
    catalogue: Catalogue
    originals: PutOnly
    renditions: ObjectStore
    verifier: AccessVerifier
    declare: DeclareProfile
    upload: Upload
    delete: DeletePictures
    decisions: DecisionService
    search: DecisionSearch
    page_tokens: PageTokens
    avatars: AvatarDecisions | None
    local_evaluation: LocalEvaluationFeed
    rendition_server: RenditionServer
    block: BlockViewers
    revoke: RevokeUrls
    deactivate: DeactivateProfile
    change_feed: ChangeFeedPoller
    position: PositionWatch
    abuse_reports: AbuseReports
    counter: DecisionCounter
    policy_reader: PolicyReader
    rollout: Rollout
    emergency: EmergencyPolicy
    rerender_runs: RerenderRuns
    traces: RequestTrace
    exports: RequestExport
    resolve: ManifestLookup
    import_notifications: ImportNotifications
    holds: PlaceHolds
    takedowns: PlaceTakedowns
    takedown_review: ReviewTakedowns
    review_softened: ReviewSoftened
    webhook_keys: WebhookPublicKeys
    checks: Mapping[str, Check]

    def lapses_at(self, profile: Profile) -> datetime:
        """Return when the profile's band lapses to unknown."""
        return profile.asserted_at + timedelta(days=self.settings.upload.assertion_days)

    def readiness(self) -> dict[str, str]:
        """Return, for each part, ``ok`` or the code of what is wrong with it."""
        return run_checks(self.checks)

    def close(self) -> None:
        """Let go of every connection."""
        self.catalogue.close()


def build_service(settings: Settings, clock: Clock = system_clock) -> ServiceContainer:
    """Build the service's parts; raise SettingsRefused, PolicyRefused or CatalogueUnavailable."""
    catalogue = build_catalogue(settings)
    migrate.check_current(catalogue.engine)
    shared = shared_clock(catalogue, clock)  # of what is written; a decision asks no database for the time
    live = LiveKeys()
    urls = url_signing(settings, live)
    policy = policy_holder(settings, catalogue, clock, live)
    check_foreign_words(settings.authzen, policy.known.table.attributes)
    originals, seal = PutOnly(build_store(settings, ORIGINALS)), sealer(settings, live)
    traces = RequestTrace(catalogue, originals, settings.upload, settings.matching, shared, seal)
    counter = DecisionCounter(catalogue, clock, flush_s=settings.policy.counter_flush_s)
    signals = AbuseSignalLog(catalogue, clock)
    poll_s = settings.delivery.feed_poll_s
    builder = AnswerBuilder(
        urls.signer,
        urls.names.variant_key,
        f"/{object_key(urls.names.placeholder(), EXTENSION)}",
        settings.delivery.placeholder_cache_s,
        settings.delivery.max_life_s,
    )
    renditions, exports = build_store(settings, RENDITIONS), build_store(settings, EXPORTS)
    position = PositionWatch(catalogue, renditions, may_list=False)
    position.look()
    catalogue.gate = position.refuse
    change_feed = ChangeFeedPoller(
        catalogue,
        ProfileViewCache(most=settings.delivery.views, stale_s=max(_STALE_S, _STALE_POLLS * poll_s)),
        picture_bytes=settings.delivery.picture_bytes,
        assertion_days=settings.upload.assertion_days,
        poll_s=poll_s,
        after=(signals.flush, policy.current),
        answer_again=lambda old, new: builder.answer_again(old, new, now=int(clock().timestamp())),
        position=position,
    )
    auth = settings.auth
    verifier = AccessVerifier(
        require(auth.jwks, "NIGHTLIGHT_AUTH_JWKS"),
        issuer=auth.issuer,
        audience=auth.audience,
        leeway_s=auth.leeway_s,
        max_life_s=auth.max_life_s,
    )
    engine = DecisionEngine(
        builder,
        relation_resolver(settings, live),
        RateLimiter(quotas(settings), settings.quotas.profiles_per_hour),
        signals,
        counter,
        lambda: clock().timestamp(),
    )
    decisions = DecisionService(policy, change_feed, engine)
    rollout = Rollout(
        catalogue,
        policy,
        live.public_keys("publisher", settings.policy.publisher_keys),
        live.public_keys("safety", settings.policy.safety_keys),
        settings.policy.counter_threshold,
        shared,
    )
    rendition_server = RenditionServer(renditions, urls.names, urls.verifier, change_feed, clock)
    live.report("callers", lambda: [public_fingerprint(key_id, raw) for key_id, raw in verifier.keys().items()])

    def rename(_keys: KeyRing) -> None:
        rendition_server.rename()  # before a decision names the placeholder by another key
        builder.rename(urls.names.variant_key, f"/{object_key(urls.names.placeholder(), EXTENSION)}")

    name_keys(settings, live).then(rename)
    urls.renew_with(lambda _keys: builder.renew())
    return ServiceContainer(
        settings=settings,
        keys=live,
        policy=policy,
        catalogue=catalogue,
        originals=originals,
        renditions=renditions,
        verifier=verifier,
        declare=DeclareProfile(
            catalogue,
            lambda: declared_words(policy),
            lambda: policy.current().tables,
            settings.upload.assertion_days,
            shared,
            subject_hasher(settings, live),
            lambda: policy.current().earlier,
        ),
        upload=upload_flow(settings, catalogue, policy, originals, seal, shared),
        delete=DeletePictures(catalogue, shared),
        decisions=decisions,
        avatars=avatar_decisions(settings, decisions, live),
        search=DecisionSearch(policy, change_feed, engine),
        page_tokens=PageTokens(lambda: urls.names.page_key),
        local_evaluation=LocalEvaluationFeed(
            catalogue=catalogue,
            policy=policy,
            change_feed=change_feed,
            counter=counter,
            signals=signals,
            builder=builder,
            ring=urls.keys if urls.signer is urls.verifier else None,
            base_url=settings.delivery.base_url,
            limits=limits(settings),
            profiles_per_hour=settings.quotas.profiles_per_hour,
            clock=clock,
        ),
        rendition_server=rendition_server,
        block=BlockViewers(catalogue, shared),
        revoke=RevokeUrls(catalogue, shared),
        deactivate=DeactivateProfile(catalogue, shared),
        change_feed=change_feed,
        position=position,
        abuse_reports=AbuseReports(catalogue, shared),
        counter=counter,
        policy_reader=PolicyReader(catalogue, policy, settings.policy.counter_threshold, counter.flush, clock),
        emergency=EmergencyPolicy(rollout),
        rollout=rollout,
        rerender_runs=RerenderRuns(catalogue, shared),
        traces=traces,
        exports=RequestExport(catalogue, exports.get, settings.export, shared),
        resolve=ManifestLookup(
            catalogue, renditions, traces, CallerRate(10 * settings.matching.traces_per_hour), shared
        ),
        import_notifications=import_notifications(settings, catalogue, shared),
        holds=PlaceHolds(catalogue, shared, settings.retention.hold_approvers),
        takedowns=PlaceTakedowns(
            catalogue,
            originals,
            settings.upload,
            lambda: takedown_hours(policy.current().compiled.retention),
            shared,
            seal,
            settings.matching.takedowns_per_hour,
        ),
        takedown_review=ReviewTakedowns(catalogue, shared),
        webhook_keys=WebhookPublicKeys(catalogue),
        review_softened=ReviewSoftened(catalogue, exports.get, shared),
        checks={
            **catalogue_checks(catalogue, SqlRole.SERVICE, clock, auth.leeway_s),
            ORIGINALS: originals.ready,
            RENDITIONS: renditions.ready,
            "disk": disk_check(settings.upload.max_bytes),
            "position": position.readiness,
            "feed": change_feed.check,
            "callers": verifier.check,
        },
    )
