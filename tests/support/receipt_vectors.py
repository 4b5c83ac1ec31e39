"""Test vectors of receipts: what every verifier must say of chains, anchors and keys.

python -m tests.support.receipt_vectors      write docs/receipts/vectors.json again

The keys are those of RFC 8032, 7.1, so everybody knows them: they sign nothing but these vectors. Ed25519 is
deterministic, so the same vectors come out each time.
"""

import base64
import hashlib
import json
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nightlight.policy.signing import SigningKey
from nightlight.retention.erasure_receipt import (
    ERASED,
    FORMAT,
    DeletedObject,
    issue_receipt,
    sign_payload,
    signed_bytes,
    subject_digest,
)
from nightlight.retention.receipt_chain import ANCHOR_FORMAT, issue_anchor
from tests.conftest import ROOT

PATH = ROOT / "docs/receipts/vectors.json"
SEEDS = {
    "k1": "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "k2": "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
}
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def signing_key(name):
    return SigningKey(name, Ed25519PrivateKey.from_private_bytes(bytes.fromhex(SEEDS[name])))


def jwk(name, **more):
    raw = signing_key(name).public_key.public_bytes_raw()
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "kid": name, "x": x, **more}


def chain(signers, *, bucket="originals"):
    """Return the envelopes of a chain, each signed by the key that is named, and their hashes."""
    envelopes, hashes = [], []
    for number, name in enumerate(signers):
        statement = {
            "receipt_id": f"{number:032x}",
            "kind": ERASED,
            "subject_sha256": subject_digest(f"image {number}"),
            "asked_at": NOW.isoformat(),
            "erased_at": NOW.isoformat(),
            "residuals": [{"what": "database backups", "until": "2027-01-04"}],
        }
        gone = [DeletedObject(bucket, f"o/{number}", [("v1", False, "r1")], 0)]
        digest, envelope = issue_receipt(signing_key(name), statement, gone, hashes[-1] if hashes else "")
        envelopes.append(envelope)
        hashes.append(digest)
    return envelopes, hashes


def changed(envelope, **members):
    payload = {**json.loads(base64.b64decode(envelope["payload"])), **members}
    text = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    return {**envelope, "payload": base64.b64encode(text).decode()}


def cases():
    """Return (name, receipts, keys, anchors, verdict)."""
    old_key, new_key = jwk("k1"), jwk("k2")
    receipts, hashes = chain(["k1"] * 4)
    rotated, rotated_hashes = chain(["k1", "k1", "k2", "k2"])
    late, late_hashes = chain(["k1", "k2", "k1", "k2"])
    other, _ = chain(["k1"] * 4, bucket="renditions")
    key = signing_key("k1")
    anchor2, anchor4 = (issue_anchor(key, count, hashes[count - 1], NOW) for count in (2, 4))
    cross = sign_payload(key, base64.b64decode(receipts[0]["payload"]), ANCHOR_FORMAT)
    in_name_only = {
        **anchor4,
        "signature": sign_payload(key, base64.b64decode(anchor4["payload"]), FORMAT)["signature"],
    }
    rotated_anchor = issue_anchor(signing_key("k2"), 4, rotated_hashes[3], NOW)
    late_anchor = issue_anchor(signing_key("k2"), 4, late_hashes[3], NOW)
    return [
        ("a whole chain", receipts, [old_key], [anchor4], "whole"),
        ("whole up to an anchor, with newer receipts", receipts, [old_key], [anchor2], "whole"),
        ("several anchors", receipts, [old_key], [anchor2, anchor4], "whole"),
        ("no anchor", receipts, [old_key], [], "part"),
        ("the anchor of an empty chain alone", receipts, [old_key], [issue_anchor(key, 0, "", NOW)], "part"),
        ("cut off at the end", receipts[:3], [old_key], [anchor4], "part"),
        ("begins in the middle", receipts[1:], [old_key], [anchor4], "part"),
        ("both ends cut off", receipts[1:3], [old_key], [anchor4], "part"),
        ("no receipts", [], [old_key], [anchor4], "wrong"),
        ("one left out", [receipts[0], *receipts[2:]], [old_key], [anchor4], "wrong"),
        ("in another order", [receipts[1], receipts[0], *receipts[2:]], [old_key], [anchor4], "wrong"),
        ("one twice", [receipts[0], *receipts], [old_key], [anchor4], "wrong"),
        ("another chain than the anchor's", other, [old_key], [anchor4], "wrong"),
        ("a changed payload", [changed(receipts[0], kind="hold ended"), *receipts[1:]], [old_key], [anchor4], "wrong"),
        ("an unknown key", receipts, [new_key], [], "wrong"),
        ("a wrong signature", [{**receipts[0], "signature": receipts[1]["signature"]}, *receipts[1:]], [old_key], [anchor4], "wrong"),
        ("a signature that was cut off", [{**receipts[0], "signature": receipts[0]["signature"][:40]}], [old_key], [], "wrong"),
        ("an anchor in place of a receipt", [anchor4], [old_key], [], "wrong"),
        ("a receipt signed as an anchor", [cross], [old_key], [], "wrong"),
        ("an anchor signed as a receipt", receipts, [old_key], [in_name_only], "wrong"),
        ("an anchor by an unknown key", receipts, [old_key], [rotated_anchor], "wrong"),
        ("a new key", rotated, [old_key, new_key], [rotated_anchor], "whole"),
        ("a new key, and the old one's last receipt", rotated, [jwk("k1", last_receipt=2), new_key], [rotated_anchor], "whole"),
        ("the old key after its last receipt", late, [jwk("k1", last_receipt=2), new_key], [late_anchor], "wrong"),
        ("the old key is not there any more", rotated, [new_key], [rotated_anchor], "wrong"),
    ]  # fmt: skip


def vectors():
    """Return the whole file."""
    (envelope, *_), (digest, *_) = chain(["k1"])
    payload = base64.b64decode(envelope["payload"])
    return {
        "bytes": {
            "seed_hex": SEEDS["k1"],
            "public_key": jwk("k1"),
            "payload": payload.decode(),
            "payload_sha256": hashlib.sha256(payload).hexdigest(),
            "signed_hex": signed_bytes(payload, FORMAT).hex(),
            "signature_hex": base64.b64decode(envelope["signature"]).hex(),
            "envelope": envelope,
            "previous_of_the_next": digest,
        },
        "cases": [
            {"name": name, "verdict": verdict, "receipts": receipts, "jwks": {"keys": keys}, "anchors": anchors}
            for name, receipts, keys, anchors, verdict in cases()
        ],
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(vectors(), indent=1) + "\n")
