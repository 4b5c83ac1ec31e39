"""Requests by route and outcome, and calls of the database, the store and the quotas: counted, timed, failures told."""

import asyncio
import io
from dataclasses import replace

import httpx
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from starlette.requests import ClientDisconnect

from nightlight import metrics
from nightlight.catalogue.schema import profiles
from nightlight.delivery.quotas_redis import RedisQuotas
from nightlight.store.interface import StoreUnavailable
from nightlight.store.s3 import S3Access, S3Store
from nightlight_core.decisions.quotas import Limits, Requester
from nightlight_core.errors import CatalogueUnavailable, NightlightError, QuotasUnavailable
from service.app import create_app
from service.middleware import RENDITION, RequestMetrics
from tests.support import golden
from tests.support.services import S3_WORKER, identity
from tests.support.waiting import HANG_S

pytestmark = pytest.mark.integration


def value(name, **labels):
    return REGISTRY.get_sample_value(f"nightlight_{name}", labels) or 0.0


@pytest.fixture(scope="module")
def service():
    with pytest.MonkeyPatch.context() as patch, golden.served(patch) as (client, _, services):
        yield client, create_app(services), services


def access(buckets):
    return S3Access(buckets.endpoint, "us-east-1", *identity(S3_WORKER), 2, HANG_S)


def ask(app, method, path, **request):
    async def asked():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **request)

    return asyncio.run(asked()).status_code


@pytest.mark.parametrize(
    ("method", "path", "status", "route", "outcome", "timed"),
    [
        ("POST", "/v1/decisions", 401, "/v1/decisions", "refused", "/v1/decisions"),
        ("GET", "/healthz", 200, "/healthz", "answered", "other"),
        ("GET", "/a/" + "b" * 32 + ".webp", 404, RENDITION, "refused", RENDITION),
        ("GET", f"/a/{'b' * 32}.webp?e=1900000000&k=d1&s={'x' * 22}", 404, RENDITION, "refused", RENDITION),
        ("GET", "/v1/images/" + "c" * 32, 401, "/v1/images/{image_id}", "refused", "other"),
        ("GET", "/nowhere-at-all", 404, "none", "refused", "other"),
    ],
)
def test_a_request_is_counted_by_its_route_and_timed(service, method, path, status, route, outcome, timed):
    _, app, _ = service
    counted = value("http_requests_total", route=route, outcome=outcome)
    seconds = value("http_request_seconds_count", route=timed)
    assert ask(app, method, path) == status
    assert value("http_requests_total", route=route, outcome=outcome) == counted + 1
    assert value("http_request_seconds_count", route=timed) == seconds + 1


def test_an_answer_of_5xx_is_a_failure_of_its_route(service, monkeypatch):
    _, app, services = service

    def broken():
        raise RuntimeError

    monkeypatch.setattr(type(services), "readiness", lambda _: broken())
    failed = value("http_failures_total", route="/readyz")
    assert ask(app, "GET", "/readyz") == 500
    assert value("http_failures_total", route="/readyz") == failed + 1
    assert value("http_requests_total", route="/readyz", outcome="failed") >= 1


@pytest.mark.parametrize(("error", "outcome"), [(RuntimeError, "failed"), (ClientDisconnect, "refused")])
def test_a_client_that_leaves_is_no_failure_of_ours_and_an_error_is(error, outcome):
    async def broken(_scope, _receive, _send):
        raise error

    failed, counted = (
        value("http_failures_total", route="none"),
        value("http_requests_total", route="none", outcome=outcome),
    )
    with pytest.raises(error):
        asyncio.run(RequestMetrics(broken)({"type": "http"}, None, None))
    assert value("http_requests_total", route="none", outcome=outcome) == counted + 1
    assert value("http_failures_total", route="none") == failed + (outcome == "failed")


def test_the_routes_that_are_timed_by_themselves_are_there(service):
    _, app, _ = service
    assert set(RequestMetrics.TIMED) <= {route.path_format for route in app.state.routes}


def test_statements_are_timed_and_those_that_fail_are_told(fresh):
    counted = value("dependency_seconds_count", dependency="database")
    failed = value("dependency_failures_total", dependency="database")
    with fresh.reading() as tx:
        tx.connection.execute(profiles.select()).all()
    assert value("dependency_seconds_count", dependency="database") > counted
    assert value("dependency_failures_total", dependency="database") == failed
    with pytest.raises((NightlightError, DBAPIError)), fresh.reading() as tx:
        tx.connection.execute(text("SELECT * FROM no_such_table"))
    assert value("dependency_failures_total", dependency="database") == failed + 1


def test_what_a_constraint_refuses_is_no_failure(fresh):
    failed = value("dependency_failures_total", dependency="database")
    with pytest.raises(NightlightError), fresh.transaction() as tx:
        tx.connection.execute(text("INSERT INTO blocks (profile_id) VALUES (NULL)"))
    assert value("dependency_failures_total", dependency="database") == failed


def test_a_database_that_does_not_answer_is_a_failure(postgres_url):
    from nightlight.catalogue.engine import Catalogue

    away = Catalogue("postgresql+psycopg://nobody@127.0.0.1:1/none", timeout_s=1)
    failed = value("dependency_failures_total", dependency="database")
    with pytest.raises(CatalogueUnavailable), away.reading():
        pass
    assert value("dependency_failures_total", dependency="database") == failed + 1
    away.close()


def test_calls_of_the_store_are_timed_and_what_is_not_there_is_an_answer(buckets):
    store = S3Store(buckets.renditions, access(buckets))
    counted = value("dependency_seconds_count", dependency="store")
    failed = value("dependency_failures_total", dependency="store")
    store.put("metrics/a", io.BytesIO(b"a"), sha256="0" * 64, content_type="image/webp")
    with pytest.raises(NightlightError):
        store.get("metrics/none", max_bytes=10)
    assert value("dependency_seconds_count", dependency="store") == counted + 2
    assert value("dependency_failures_total", dependency="store") == failed


@pytest.mark.parametrize("change", [{"secret_access_key": "wrong"}, {"endpoint_url": "http://127.0.0.1:1"}])
def test_a_store_that_denies_or_does_not_answer_is_a_failure(buckets, change):
    other = S3Store(buckets.renditions, replace(access(buckets), **change))
    failed = value("dependency_failures_total", dependency="store")
    with pytest.raises((NightlightError, StoreUnavailable)):
        other.get("metrics/none", max_bytes=10)
    assert value("dependency_failures_total", dependency="store") == failed + 1


def test_quotas_that_do_not_answer_are_a_failure():
    away = RedisQuotas("redis://127.0.0.1:1/0", Limits(network_per_hour=1, tenant_per_hour=1), timeout_s=0.2)
    failed = value("dependency_failures_total", dependency=metrics.QUOTAS)
    with pytest.raises(QuotasUnavailable):
        away.allow(Requester("v", None, "t"), [], ["p"], now_us=0)
    assert value("dependency_failures_total", dependency=metrics.QUOTAS) == failed + 1


def test_the_feeds_moment_and_the_build_are_on_the_page(service):
    _, _, services = service
    services.change_feed.poll()
    page = metrics.exposition()[0].decode()
    assert 'nightlight_build_info{python="3.' in page
    assert "nightlight_change_feed_moment_seconds 1.7" in page or "nightlight_change_feed_moment_seconds 1.8" in page
