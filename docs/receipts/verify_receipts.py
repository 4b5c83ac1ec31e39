"""Verify receipts of erasures without Nightlight: `python verify_receipts.py RECEIPTS JWKS [ANCHORS]`.

Prints whole (exit 0), part (exit 2) or wrong (exit 1), and why. Needs the package `cryptography`. Rules: receipts.md
"""

import base64
import hashlib
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RECEIPT, ANCHOR = "nightlight-receipt/1", "nightlight-receipt-anchor/1"


def opened(envelope: dict, keys: dict, kind: str) -> tuple[dict, str]:
    """Return the statement of an envelope and the SHA-256 of its payload; raise an exception if anything is wrong."""
    payload = base64.b64decode(envelope["payload"], validate=True)
    digest = hashlib.sha256(payload)
    key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(keys[envelope["key_id"]]["x"] + "="))
    key.verify(base64.b64decode(envelope["signature"], validate=True), kind.encode() + b"\n" + digest.digest())
    statement = json.loads(payload)
    if statement["format"] != kind:
        raise ValueError("another format")
    return statement, digest.hexdigest()


def verdict(receipts: list[dict], jwks: dict, anchors: list[dict]) -> tuple[str, str]:
    """Return (whole or part, why); raise an exception if anything is wrong."""
    keys = {key["kid"]: key for key in jwks["keys"] if key.get("crv") == "Ed25519"}
    hashes, links = [], []
    for number, envelope in enumerate(receipts, 1):
        statement, digest = opened(envelope, keys, RECEIPT)
        links.append(statement["previous"])
        if links[1:] != hashes:
            raise ValueError(f"receipt {number} does not follow the one before it")
        if not links[0] and number > keys[envelope["key_id"]].get("last_receipt", number):
            raise ValueError(f"receipt {number} is signed by a key that was replaced before")
        hashes.append(digest)
    heads = {statement["count"]: statement["head"] for statement, _ in (opened(row, keys, ANCHOR) for row in anchors)}
    most = max(heads, default=0)
    if links[0]:  # IndexError: there are no receipts
        return "part", "it begins in the middle of the chain"
    if any(0 < count <= len(hashes) and hashes[count - 1] != head for count, head in heads.items()):
        raise ValueError("it is another chain than the anchor's")
    if most == 0 or most > len(hashes):
        return "part", f"the anchors count {most} receipts, it has {len(hashes)}"
    return "whole", f"up to receipt {most} of {len(hashes)}"


if __name__ == "__main__":
    texts = [Path(name).read_text("utf-8") for name in sys.argv[1:]]
    try:
        rows = [[json.loads(line) for line in text.splitlines() if line.strip()] for text in [texts[0], *texts[2:]]]
        word, why = verdict(rows[0], json.loads(texts[1]), rows[1] if rows[1:] else [])
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a receipt makes the file wrong
        word, why = "wrong", repr(error)
    print(f"{word}: {why}")
    sys.exit({"whole": 0, "wrong": 1, "part": 2}[word])
