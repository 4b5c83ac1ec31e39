"""Test vectors for whoever writes a receiver of webhooks: docs/api/webhooks.json.

    python -m tests.support.webhook_vectors     write them again

The keys in it are for tests alone. ``result`` is "ok", or the code of why it is refused.
"""

import base64
import json
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nightlight.flows.webhooks.dispatch import payload
from nightlight.flows.webhooks.signing import EventSigner, jwks
from service.webhook_events import EVENTS
from tests.conftest import ROOT

PATH = ROOT / "docs/api/webhooks.json"
NOW, ID = 1_795_338_000, "9b2f4c1d8e7a46f0b3c5d6e7f8091a2b"
HAPPENED = datetime(2026, 11, 22, 9, tzinfo=UTC)
OLD, NEW = bytes(range(32)), bytes(range(64, 96))
PRIVATE = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))


def text(prefix, raw):
    return prefix + base64.b64encode(raw).decode()


def vectors():
    both = EventSigner(lambda: [OLD, NEW], lambda: [PRIVATE])
    body = payload("picture.changed", HAPPENED, EVENTS["picture.changed"][1])
    good = both.headers(ID, NOW, body)
    v1, _, v1a = good["webhook-signature"].split(" ")

    def case(name, result="ok", *, now=NOW, sent=body, **headers):
        return {"name": name, "now": now, "headers": {**good, **headers}, "body": sent.decode(), "result": result}

    signed = {
        kind: payload(kind, HAPPENED, data) for kind, (_, data, _) in EVENTS.items()
    }  # fmt: skip
    cases = [
        {"name": kind, "now": NOW, "headers": both.headers(ID, NOW, sent), "body": sent.decode(), "result": "ok"}
        for kind, sent in signed.items()
    ]
    nonsense = b'{"type": 1}'
    cases += [
        case("the shared secret alone", **{"webhook-signature": v1}),
        case("the public key alone", **{"webhook-signature": v1a}),
        case("signatures of others beside it", **{"webhook-signature": f"v9,AAAA v1,AAAA {v1}"}),
        case("five minutes late", now=NOW + 300),
        case("a second later", "webhook_expired", now=NOW + 301),
        case("more than five minutes ahead", "webhook_expired", now=NOW - 301),
        case("a space in the body", "webhook_unsigned", sent=body + b" "),
        case("another id", "webhook_unsigned", **{"webhook-id": "another"}),
        case("another moment", "webhook_unsigned", **{"webhook-timestamp": str(NOW + 1)}),
        case("another's signature", "webhook_unsigned", **{"webhook-signature": text("v1,", bytes(32))}),
        case("the kinds of signature changed over", "webhook_unsigned", **{
            "webhook-signature": f"v1a{v1[2:]} v1{v1a[3:]}"}),
        case("no signature", "webhook_unsigned", **{"webhook-signature": ""}),
        case("an id with a full stop", "webhook_malformed", **{"webhook-id": "a.b"}),
        case("a moment that is no number", "webhook_malformed", **{"webhook-timestamp": "soon"}),
        {"name": "signed, and no event", "now": NOW, "headers": both.headers(ID, NOW, nonsense),
         "body": nonsense.decode(), "result": "webhook_malformed"},
    ]  # fmt: skip
    return {
        "secrets": [text("whsec_", OLD)],
        "public_keys": [text("whpk_", PRIVATE.public_key().public_bytes_raw())],
        "jwks": jwks(both.public_keys()),
        "tolerance_s": 300,
        "cases": cases,
    }


def written():
    return json.dumps(vectors(), indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(written(), "utf-8")
