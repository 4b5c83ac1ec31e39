"""What the application does whatever is behind it: no redirects from a request's words, no pages that nobody asked for."""

import asyncio
import re
from types import SimpleNamespace

import httpx
import pytest

from nightlight.settings import Settings
from service.app import create_app

pytestmark = pytest.mark.integration

EVIL = "evil.example"


def application(monkeypatch, **environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return create_app(SimpleNamespace(settings=Settings()))


def answers(app, *requests, **headers):
    """The answers to (method, path), of an application without a server."""

    async def asked():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
            return [
                await client.request(method, httpx.URL("http://127.0.0.1").copy_with(raw_path=path.encode()))
                for method, path in requests
            ]

    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("environment", "docs", "shown"),
    [
        ("development", None, True),
        ("development", "false", False),
        ("production", None, False),
        ("production", "true", True),
        ("production", "false", False),
    ],
)
def test_the_openapi_page_is_off_in_production_unless_it_is_asked_for(monkeypatch, environment, docs, shown):
    variables = {"NIGHTLIGHT_SERVICE_DOCS": docs} if docs else {}
    app = application(monkeypatch, NIGHTLIGHT_ENVIRONMENT=environment, **variables)
    page, document, redoc = answers(app, ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/redoc"))
    assert {page.status_code, document.status_code} == {200 if shown else 404}
    assert redoc.status_code == 404


@pytest.mark.parametrize("docs", ["true", "false"])
def test_no_answer_is_made_of_the_host_that_a_request_names(monkeypatch, docs):
    app = application(monkeypatch, NIGHTLIGHT_SERVICE_DOCS=docs)
    headers = {
        "Host": EVIL, "X-Forwarded-Host": EVIL, "X-Forwarded-Proto": "ftp", "X-Forwarded-For": EVIL,
        "X-Forwarded-Prefix": f"//{EVIL}", "Forwarded": f"host={EVIL}", "X-Original-URL": f"//{EVIL}/",
    }  # fmt: skip
    paths = {re.sub(r"{[^}]*}", "x", route.path) for route in app.state.routes}
    paths |= {"/docs", "/openapi.json", "/static-offline-docs", f"//{EVIL}", f"//{EVIL}/docs/", "/docs/oauth2-redirect"}
    endings = {ending for path in paths for ending in (path + "/", path + "//", "/" + path)}
    public = re.compile(
        r"/?(readyz|metrics|a/[^/]*|\.well-known/.*|v1/c2pa/.*)"
    )  # answered by parts that are not there
    paths = {path for path in paths | endings if not public.fullmatch(path)}
    asked = [(method, path) for path in sorted(paths) for method in ("GET", "HEAD", "POST", "PUT", "DELETE")]
    assert len(asked) > 400
    for request, answer in zip(asked, answers(app, *asked, **headers), strict=True):
        assert not 300 <= answer.status_code < 400, request
        assert "location" not in answer.headers
        assert EVIL not in answer.text.replace(request[1], "")
        assert EVIL not in str(answer.headers).replace(request[1], "")
