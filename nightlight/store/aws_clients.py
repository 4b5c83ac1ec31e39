"""Clients of AWS services, with bounded timeouts and few retries."""

from __future__ import annotations

import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

import boto3
import botocore.session
from botocore.client import Config
from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
from botocore.exceptions import ProfileNotFound

from nightlight import metrics
from nightlight_core.errors import SettingsRefused

if TYPE_CHECKING:
    from nightlight.store.s3 import S3Access

_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def make_aws_client(
    service: Literal["s3", "sqs", "kms", "sts"],
    access: S3Access,
    *,
    wait_s: float = 0,
    session: boto3.session.Session | None = None,
    **options: Any,
) -> Any:
    """Return a client, to be built after any fork.

    ``wait_s`` is how many seconds longer than usual an answer may take, ``options`` are of the client's configuration.
    ``session`` is of another identity than that of ``access``.
    """
    session = session or session_of(access)
    config = Config(
        connect_timeout=access.connect_timeout_s,
        read_timeout=access.read_timeout_s + wait_s,
        retries={"mode": "standard", "total_max_attempts": 3},
        **options,
    )
    client = session.client(service, endpoint_url=access.endpoint_url, config=config)
    _measure(client, service)
    return client


def _measure(client: Any, service: str) -> None:
    """Time every call of a client, its repetitions included, and count those that failed or were denied."""
    dependency = metrics.STORE if service == "s3" else metrics.AWS

    def before(context: dict[str, Any], **_: object) -> None:
        context["nightlight_began"] = time.perf_counter()

    def after(context: dict[str, Any], http_response: Any = None, **_: object) -> None:
        metrics.DEPENDENCY_SECONDS.labels(dependency).observe(time.perf_counter() - context["nightlight_began"])
        status = http_response.status_code if http_response is not None else HTTPStatus.SERVICE_UNAVAILABLE
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _DENIED:
            metrics.DEPENDENCY_FAILURES.labels(dependency).inc()

    client.meta.events.register("before-call", before)
    client.meta.events.register("after-call", after)
    client.meta.events.register("after-call-error", after)


def session_of(access: S3Access, profile: str | None = None) -> boto3.session.Session:
    """Return a session with the keys of ``access``, or of a profile of the AWS configuration files.

    Raises SettingsRefused where there is no such profile.
    """
    try:
        return boto3.session.Session(
            aws_access_key_id=None if profile else access.access_key_id,
            aws_secret_access_key=None if profile else access.secret_access_key,
            region_name=access.region,
            profile_name=profile,
        )
    except ProfileNotFound as error:
        raise SettingsRefused(str(error)) from error


def assume_role(
    base: boto3.session.Session, role_arn: str, *, external_id: str | None, endpoint_url: str | None
) -> boto3.session.Session:
    """Return a session of a role; its credentials are asked for on first use, and again before they expire."""
    extra = {"RoleSessionName": "nightlight", **({"ExternalId": external_id} if external_id else {})}
    client = partial(base.client, endpoint_url=endpoint_url)
    keys = base.get_credentials()
    if keys is None:
        raise SettingsRefused(f"there are no credentials to assume {role_arn} with")
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=client,
        source_credentials=keys,
        role_arn=role_arn,
        extra_args=extra,
    )
    session: Any = botocore.session.get_session()
    session._credentials = DeferredRefreshableCredentials(  # noqa: SLF001 - botocore has no public way to give them
        refresh_using=fetcher.fetch_credentials, method="assume-role"
    )
    return boto3.session.Session(botocore_session=session, region_name=base.region_name)
