"""The default policies as the client's fake has them, signed by a key that everybody can know.

python -m tests.support.golden writes it, with the golden table.
"""

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from nightlight.policy.bundle_writer import build_bundle
from nightlight.policy.compile import compile_folder
from nightlight.policy.signing import SigningKey

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "clients/python/nightlight_client/testing"
# It says nothing of a policy but that a test may use it.
KEY = SigningKey("fake", Ed25519PrivateKey.from_private_bytes(b"nightlight's fake, for tests only"[:32]))


def contents():
    """The files, by name."""
    public = base64.urlsafe_b64encode(KEY.public_key.public_bytes_raw()).rstrip(b"=").decode()
    jwks = {"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": KEY.key_id, "x": public}]}
    return {
        "default_policy.json": build_bundle(compile_folder(ROOT / "policies"), 1, KEY),
        "default_policy.jwks.json": json.dumps(jwks).encode() + b"\n",
    }


def write():
    for name, data in contents().items():
        (FOLDER / name).write_bytes(data)
