"""The list of revoked pictures in a CloudFront KeyValueStore, which infra/edge/cloudfront/verify.js reads.

Sources: Amazon CloudFront KeyValueStore API (UpdateKeys: 50 keys a call, ``If-Match``); its quotas: 5 MB a store.
"""

from __future__ import annotations

import threading
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import boto3
from botocore.client import Config
from botocore.exceptions import BotoCoreError, ClientError

from nightlight.errors import SettingsRefused, Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nightlight.clock import Clock

_AT = "at"
_MOST_KEYS, _MOST_TRIES = 50, 5
# Of 5 MB (5,242,880 bytes); an entry takes some 50. Beyond it nothing can be added, and nobody vouches for the list.
_MOST_BYTES = 5_000_000
_TIDY_S = 3600.0


class CloudFrontList:
    """One KeyValueStore, as an edge of nightlight.delivery.purge. Safe to share between threads."""

    name = "cloudfront"

    def __init__(
        self, arn: str, *, kept_s: int, clock: Clock, timeout_s: float, endpoint_url: str | None = None
    ) -> None:
        """Write to the store ``arn`` with the process's AWS identity; entries stay ``kept_s``. It connects later.

        Raises SettingsRefused where the library that signs such requests (AWS Signature Version 4A) is missing.
        """
        if find_spec("awscrt") is None:
            message = "NIGHTLIGHT_DELIVERY_CLOUDFRONT_STORE needs the package awscrt: install nightlight[cloudfront]"
            raise SettingsRefused(message)
        self._arn, self._clock, self._timeout_s, self._endpoint_url = arn, clock, timeout_s, endpoint_url
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._made: Any = None
        self._tidied_s = float("-inf")

    def revoke(self, keys: Sequence[str]) -> None:
        """See Edge.revoke: what is on the list is not served from the cache either."""
        until = str(int(self._clock().timestamp()) + self._kept_s)
        for first in range(0, len(keys), _MOST_KEYS):
            self._update([{"Key": f"/{key}", "Value": until} for key in keys[first : first + _MOST_KEYS]], [])

    def vouch(self, *, since: int | None, at: int) -> bool:
        """See Edge.vouch. Once an hour what no URL can name any more is taken off the list."""
        before = self._at()
        if since is not None and before == 0:
            return False
        if time.monotonic() - self._tidied_s > _TIDY_S:
            self._tidy()
            self._tidied_s = time.monotonic()
        if at > before:
            self._update([{"Key": _AT, "Value": str(at)}], [])
        return True

    def _at(self) -> int:
        try:
            answer = self._client.get_key(KvsARN=self._arn, Key=_AT)
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return 0
            raise _failed(error) from error
        except BotoCoreError as error:
            raise _failed(error) from error
        return int(answer["Value"])

    def _tidy(self) -> None:
        now, token = int(self._clock().timestamp()), None
        gone: list[str] = []
        while True:
            try:
                more: dict[str, str] = {"NextToken": token} if token else {}
                page = self._client.list_keys(KvsARN=self._arn, MaxResults=_MOST_KEYS, **more)
            except (BotoCoreError, ClientError) as error:
                raise _failed(error) from error
            items = page.get("Items", [])
            gone += [one["Key"] for one in items if one["Key"].startswith("/a/") and int(one["Value"]) < now]
            token = page.get("NextToken")
            if not token:
                break
        for first in range(0, len(gone), _MOST_KEYS):
            self._update([], [{"Key": key} for key in gone[first : first + _MOST_KEYS]])

    def _update(self, puts: list[dict[str, str]], deletes: list[dict[str, str]]) -> None:
        """Write to the store; somebody who writes at the same time makes it try again."""
        with self._lock:
            for left in reversed(range(_MOST_TRIES)):
                try:
                    state = self._client.describe_key_value_store(KvsARN=self._arn)
                    if puts and state["TotalSizeInBytes"] > _MOST_BYTES:
                        message = "the CloudFront KeyValueStore is full: make URLs live shorter, or revoke less"
                        raise Unavailable(message)
                    self._client.update_keys(KvsARN=self._arn, IfMatch=state["ETag"], Puts=puts, Deletes=deletes)
                except ClientError as error:
                    if error.response["Error"]["Code"] == "ConflictException" and left:
                        continue
                    raise _failed(error) from error
                except BotoCoreError as error:
                    raise _failed(error) from error
                return

    @property
    def _client(self) -> Any:
        if self._made is None:
            self._made = boto3.client(
                "cloudfront-keyvaluestore",
                endpoint_url=self._endpoint_url,
                config=Config(
                    signature_version="v4a",
                    connect_timeout=self._timeout_s,
                    read_timeout=self._timeout_s,
                    retries={"total_max_attempts": 2, "mode": "standard"},
                ),
            )
        return self._made


def _failed(error: BotoCoreError | ClientError) -> Unavailable:
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
    return Unavailable(f"the CloudFront KeyValueStore: {code}")
