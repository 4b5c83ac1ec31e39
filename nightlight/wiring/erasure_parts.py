"""Where an erasure reaches besides the deployment's own buckets: replicas and edges."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nightlight.catalogue.feed import KEPT_S
from nightlight.delivery.purge import EdgePurge, RevocationEdge
from nightlight.flows.retention.erase import ReplicaBucket
from nightlight.wiring.components import s3_access

if TYPE_CHECKING:
    from nightlight.settings import Settings
    from nightlight_core.clock import Clock


def replica_buckets(settings: Settings) -> list[ReplicaBucket]:
    """Return the other buckets in which erasures happen too."""
    if not settings.retention.replicas:
        return []
    from nightlight.store.s3 import S3Store

    own = s3_access(settings)
    replicas = []
    for replica in settings.retention.replicas:
        region = replica.region or own.region
        access = replace(own, endpoint_url=replica.endpoint_url or own.endpoint_url, region=region)
        name = f"{replica.replica_of} replica {replica.bucket}"
        replicas.append(ReplicaBucket(replica.replica_of, name, S3Store(replica.bucket, access)))
    return replicas


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
