"""The OpenAPI document's webhooks: an example of each event, which verifies by the secret that the document names."""

import json
import re

import pytest

from nightlight_client.webhooks import WebhookReceiver
from service.webhook_events import EVENTS
from tests.conftest import ROOT

DOCUMENT = json.loads((ROOT / "docs/reference/openapi.json").read_text("utf-8"))


def test_every_event_is_in_the_document():
    assert list(DOCUMENT["webhooks"]) == list(EVENTS)
    assert "/.well-known/nightlight-webhooks.jwks.json" in DOCUMENT["paths"]


@pytest.mark.parametrize("kind", EVENTS)
def test_the_example_of_an_event_verifies_and_is_what_its_schema_says(kind):
    operation = DOCUMENT["webhooks"][kind]["post"]
    headers = {parameter["name"]: parameter["example"] for parameter in operation["parameters"]}
    (described,) = (text for parameter in operation["parameters"] if "whsec_" in (text := parameter["description"]))
    content = operation["requestBody"]["content"]["application/json"]
    body = json.dumps(content["example"], separators=(",", ":"))
    receiver = WebhookReceiver(
        secrets=re.findall(r"whsec_[A-Za-z0-9+/=]+", described), clock=lambda: int(headers["webhook-timestamp"])
    )
    assert receiver.verify(body, headers).type == kind
    model, _, _ = EVENTS[kind]
    assert model.model_validate(content["example"]).type == kind
    assert content["schema"]["$ref"].rpartition("/")[2] in DOCUMENT["components"]["schemas"]
    assert (operation["security"], set(operation["responses"])) == ([], {"204"})


def test_no_event_has_a_word_of_an_age_or_of_a_cause():
    text = json.dumps(
        [
            DOCUMENT["webhooks"],
            {name: schema for name, schema in DOCUMENT["components"]["schemas"].items() if "Event" in name},
        ]
    )
    assert not re.search(r"band|under_13|\bage_|minor|block|report|reason|tier", text)
