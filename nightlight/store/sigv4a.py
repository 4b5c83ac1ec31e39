"""AWS Signature Version 4A: requests that hold in several regions, signed with ECDSA over P-256.

botocore leaves it to a library that takes the place of its other signers too, which is more than one API is worth.
The private key is derived from the secret key, as NIST SP 800-108 derives keys in counter mode.

Sources: AWS, "AWS Signature Version 4A" in "Signing AWS API requests"; aws-c-auth, key derivation.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_ALGORITHM = "AWS4-ECDSA-P256-SHA256"
# The order of P-256's group (FIPS 186-4, D.1.2.3).
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_MOST_TRIES = 254


def derive_key(access_key_id: str, secret_access_key: str) -> ec.EllipticCurvePrivateKey:
    """Return the key that an identity signs with."""
    for counter in range(1, _MOST_TRIES + 1):
        label = _ALGORITHM.encode() + b"\x00" + access_key_id.encode() + bytes([counter])
        # One block of 256 bits: its number before, the bits that are wanted after.
        message = (1).to_bytes(4, "big") + label + (256).to_bytes(4, "big")
        candidate = int.from_bytes(hmac.digest(b"AWS4A" + secret_access_key.encode(), message, "sha256"), "big")
        if candidate <= _ORDER - 2:
            return ec.derive_private_key(candidate + 1, ec.SECP256R1())
    raise ValueError("no signing key can be derived from this access key")  # one chance in 2**8128


def sign(  # noqa: PLR0913 - what a request is
    key: ec.EllipticCurvePrivateKey,
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    access_key_id: str,
    token: str | None,
    service: str,
    now: datetime,
) -> dict[str, str]:
    """Return all the headers of a signed request, which holds in every region; ``url`` is encoded as it is sent."""
    parts = urlsplit(url)
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    headers_signed = {
        **{name.lower(): value for name, value in headers.items()},
        "host": parts.netloc,
        "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-amz-date": moment,
        "x-amz-region-set": "*",
        **({"x-amz-security-token": token} if token else {}),
    }
    names = ";".join(sorted(headers_signed))
    query = "&".join(sorted(parts.query.split("&"))) if parts.query else ""
    canonical = "\n".join(
        [
            method,
            # Encoded once for the way and once more to be signed, as every service but S3 has it.
            quote(parts.path, safe="/~"),
            query,
            *(f"{name}:{headers_signed[name].strip()}" for name in sorted(headers_signed)),
            "",
            names,
            headers_signed["x-amz-content-sha256"],
        ]
    )
    scope = f"{moment[:8]}/{service}/aws4_request"
    text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = key.sign(text.encode(), ec.ECDSA(hashes.SHA256())).hex()
    credential = f"Credential={access_key_id}/{scope}"
    return {
        **headers_signed,
        "authorization": f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}",
    }
