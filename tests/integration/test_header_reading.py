"""What costs time over an upload is done beside the event loop, so that decisions do not wait for it."""

import asyncio

import pytest

from nightlight.flows.pictures import upload
from nightlight.flows.traces import requests
from nightlight_client import Problem
from nightlight_client.requests import Form, Request
from nightlight_client.responses import read_json
from tests.support import golden

pytestmark = pytest.mark.integration

# A header reader takes it up; what comes of it does not matter.
PICTURE = b"\xff\xd8\xff\xe0" + bytes(1000)


@pytest.fixture
def served(monkeypatch):
    """The service, and where its header readers were run."""
    where = []

    def noted(probe):
        def read(*arguments, **named):
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                where.append("beside it")
            else:
                where.append("on the loop")
            return probe(*arguments, **named)

        return read

    for flow in (upload, requests):
        monkeypatch.setattr(flow, "probe", noted(flow.probe))
    with golden.served(monkeypatch, "ingest", "trace") as (client, _, _):
        yield client, where


@pytest.mark.parametrize(
    "path", ["/v1/profiles/teen/image", "/v1/traces", "/v1/c2pa/matches/byContent"], ids=["upload", "trace", "content"]
)
def test_no_header_is_read_on_the_event_loop(served, path):
    client, where = served
    with pytest.raises(Problem) as refused:
        client.send(Request(method="POST", path=path, form=Form("copy.jpg", PICTURE), read=read_json))
    assert (refused.value.status, where) == (422, ["beside it"])
