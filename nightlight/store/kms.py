"""Signing with a key that never leaves AWS KMS. The client is built on first use, after any fork."""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from nightlight.store.aws_clients import make_aws_client
from nightlight_core.errors import SigningFailed

if TYPE_CHECKING:
    from mypy_boto3_kms.client import KMSClient

    from nightlight.store.s3 import S3Access

_MOST_RAW = 4096


class KmsKey:
    """One asymmetric key (ECC_NIST_P256) for signing."""

    def __init__(self, key_id: str, access: S3Access) -> None:
        """Use ``key_id``, an id, alias or ARN, as ``access`` says who we are; nothing is connected yet."""
        self._key_id, self._access = key_id, access

    @cached_property
    def _client(self) -> KMSClient:
        client: KMSClient = make_aws_client("kms", self._access)
        return client

    def sign(self, data: bytes) -> bytes:
        """Return the ECDSA signature of data (P-256, SHA-256), DER; raises SigningFailed."""
        # A claim is shorter than what KMS hashes by itself; a longer one is hashed here.
        raw = len(data) <= _MOST_RAW
        message = data if raw else hashlib.sha256(data).digest()
        try:
            answer = self._client.sign(
                KeyId=self._key_id,
                Message=message,
                MessageType="RAW" if raw else "DIGEST",
                SigningAlgorithm="ECDSA_SHA_256",
            )
        except (ClientError, BotoCoreError) as error:
            raise SigningFailed(f"KMS: {type(error).__name__}") from error
        return answer["Signature"]

    def public_key(self) -> bytes:
        """Return the public key, DER SubjectPublicKeyInfo, for whoever issues its certificate; raises SigningFailed."""
        try:
            return self._client.get_public_key(KeyId=self._key_id)["PublicKey"]
        except (ClientError, BotoCoreError) as error:
            raise SigningFailed(f"KMS: {type(error).__name__}") from error
