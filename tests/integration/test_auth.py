"""Who is let in: a token that was good lately at once, every other after it was verified; and what a call expires."""

import asyncio
from types import SimpleNamespace

import pytest
from fastapi import Request, Response

from nightlight.delivery.access_tokens import Caller, TokenScope
from nightlight_core.errors import Forbidden, Unauthenticated
from service.auth import caller, guarded, public, requires

pytestmark = pytest.mark.integration

READING = {
    TokenScope.DECIDE,
    TokenScope.SEARCH,
    TokenScope.LOCAL,
    TokenScope.EXPLAIN,
    TokenScope.TRACE,
    TokenScope.EXPORT,
    TokenScope.REVIEW,
}


class Verifier:
    """Knows one token from before, and one that has to be verified; notes how often it was asked to verify."""

    def __init__(self, scopes):
        self.verified, self._caller = 0, Caller("s", frozenset(scopes))

    def try_cached(self, token):
        return self._caller if token == "known" else None

    def verify(self, token):
        self.verified += 1
        if token != "new":
            raise Unauthenticated("no such token")
        return self._caller


class Services:
    def __init__(self, *scopes):
        self.verifier, self.expired = Verifier(scopes), 0
        self.change_feed = SimpleNamespace(views=SimpleNamespace(expire=self.expire))

    def expire(self):
        self.expired += 1


def call(services, scope, authorization):
    """Call an endpoint that requires a scope; return the caller that it met."""

    @requires(scope)
    async def endpoint(request):
        return Response(caller(request).subject)

    app = SimpleNamespace(state=SimpleNamespace(services=services))
    headers = [(b"authorization", authorization.encode())]
    request = Request({"type": "http", "app": app, "headers": headers})
    return asyncio.run(guarded(endpoint, endpoint)(request)).body.decode()


def test_a_token_that_was_good_lately_is_not_verified_again():
    services = Services("decide")
    assert call(services, TokenScope.DECIDE, "Bearer known") == "s"
    assert services.verifier.verified == 0
    assert call(services, TokenScope.DECIDE, "bearer new") == "s"
    assert services.verifier.verified == 1


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic dTpuZXc=", "Bearer forged", "new"])
def test_whatever_names_no_caller_is_refused(authorization):
    with pytest.raises(Unauthenticated):
        call(Services("decide"), TokenScope.DECIDE, authorization)


def test_basic_credentials_count_for_notifications_alone():
    assert call(Services("import"), TokenScope.IMPORT, "Basic dTpuZXc=") == "s"


@pytest.mark.parametrize("token", ["known", "new"])
def test_another_scope_is_forbidden(token):
    services = Services("decide")
    with pytest.raises(Forbidden):
        call(services, TokenScope.REPORT, f"Bearer {token}")
    assert services.expired == 0


@pytest.mark.parametrize("scope", list(TokenScope))
def test_views_are_expired_after_every_call_that_may_change_what_decisions_are_made_by(scope):
    services = Services(scope.value)
    call(services, scope, "Bearer known")
    assert services.expired == (0 if scope in READING else 1)


def test_a_public_endpoint_asks_for_nothing():
    @public
    async def endpoint(_request):
        return Response()

    assert guarded(endpoint, endpoint) is endpoint
