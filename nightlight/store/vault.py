"""The vault: another bucket, for what is under a legal or safeguarding hold. Neither service nor renderer can read it.

Where the server has object lock every object is put under a legal hold, and nobody can delete it until whoever keeps
the vault has lifted that.
"""

from __future__ import annotations

import base64
import hashlib
from typing import BinaryIO

from nightlight.store.aws_errors import store_errors
from nightlight.store.interface import DeletedVersion, PutResult, check_key
from nightlight.store.s3 import IF_ABSENT, S3Access, S3Store

_BLOCK = 1 << 20


class S3Vault(S3Store):
    """A bucket whose objects are put under a legal hold, unless ``lock`` is False."""

    def __init__(self, bucket: str, access: S3Access, *, lock: bool) -> None:
        """Use ``bucket`` as ``access`` says; nothing is connected yet."""
        super().__init__(bucket, access)
        self._lock_objects = lock

    def put(self, key: str, body: BinaryIO, *, sha256: str, content_type: str) -> PutResult:
        """See ObjectStore.put."""
        if not self._lock_objects:
            return super().put(key, body, sha256=sha256, content_type=content_type)
        # S3 takes objects with a lock only if it can check their bytes.
        digest = hashlib.md5(usedforsecurity=False)
        body.seek(0)
        while block := body.read(_BLOCK):
            digest.update(block)
        locked = {
            **IF_ABSENT,
            "ObjectLockLegalHoldStatus": "ON",
            "ContentMD5": base64.b64encode(digest.digest()).decode(),
        }
        return self._put(key, body, sha256, content_type, locked)

    def erase(self, key: str) -> list[DeletedVersion]:
        """See ObjectStore.erase: the legal hold on every version is lifted first."""
        if self._lock_objects:
            with store_errors(key):
                for version_id, marker in self._versions(check_key(key)):
                    if not marker:
                        self._client.put_object_legal_hold(
                            Bucket=self._bucket, Key=key, VersionId=version_id, LegalHold={"Status": "OFF"}
                        )
        return super().erase(key)
