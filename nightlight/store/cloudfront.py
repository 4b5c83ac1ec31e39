"""The list of revoked pictures in a CloudFront KeyValueStore, which infra/edge/cloudfront/verify.js reads.

Sources: Amazon CloudFront KeyValueStore API (UpdateKeys: 50 keys a call, ``If-Match``); its quotas: 5 MB a store.
"""

from __future__ import annotations

import json
import threading
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import boto3
import httpx
from botocore.exceptions import BotoCoreError

from nightlight.store.sigv4a import derive_key, sign
from nightlight_core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nightlight_core.clock import Clock

_AT = "at"
_MOST_KEYS, _MOST_TRIES = 50, 5
# Of 5 MB (5,242,880 bytes); an entry takes some 50. A full store takes no more, and its list is no longer confirmed.
_MOST_BYTES = 5_000_000
_TIDY_S = 3600.0
_MISSING, _CONFLICT = 404, 409


class CloudFrontList:
    """One KeyValueStore, as an edge of nightlight.delivery.purge. Safe to share between threads."""

    name = "cloudfront"

    def __init__(
        self, arn: str, *, kept_s: int, clock: Clock, timeout_s: float, endpoint_url: str | None = None
    ) -> None:
        """Write to the store ``arn`` with the process's AWS identity; entries stay ``kept_s``. It connects later."""
        account = arn.split(":")[4]
        where = endpoint_url or f"https://{account}.cloudfront-kvs.global.api.aws"
        self._url = f"{where}/key-value-stores/{quote(arn, safe='')}"
        self._kept_s, self._clock, self._timeout_s = kept_s, clock, timeout_s
        self._lock = threading.Lock()
        self._tidied_s = float("-inf")

    @cached_property
    def _session(self) -> boto3.session.Session:
        return boto3.session.Session()

    def revoke(self, keys: Sequence[str]) -> None:
        """See Edge.revoke: what is on the list is not served from the cache either."""
        until = str(int(self._clock().timestamp()) + self._kept_s)
        for first in range(0, len(keys), _MOST_KEYS):
            self._update([{"Key": f"/{key}", "Value": until} for key in keys[first : first + _MOST_KEYS]], [])

    def confirm(self, *, since: int | None, at: int) -> bool:
        """See Edge.confirm. Once an hour what no URL can name any more is taken off the list."""
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
        answer = self._ask("GET", f"/keys/{_AT}", allow=_MISSING)
        return 0 if answer.status_code == _MISSING else int(answer.json()["Value"])

    def _tidy(self) -> None:
        now, token = int(self._clock().timestamp()), None
        gone: list[str] = []
        while True:
            more = f"&NextToken={quote(token, safe='')}" if token else ""
            page = self._ask("GET", f"/keys?MaxResults={_MOST_KEYS}{more}").json()
            items = page.get("Items", [])
            gone += [item["Key"] for item in items if item["Key"].startswith("/a/") and int(item["Value"]) < now]
            token = page.get("NextToken")
            if not token:
                break
        for first in range(0, len(gone), _MOST_KEYS):
            self._update([], [{"Key": key} for key in gone[first : first + _MOST_KEYS]])

    def _update(self, puts: list[dict[str, str]], deletes: list[dict[str, str]]) -> None:
        """Write to the store; somebody who writes at the same time makes it try again."""
        body = json.dumps({"Puts": puts, "Deletes": deletes}).encode()
        with self._lock:
            for left in reversed(range(_MOST_TRIES)):
                state = self._ask("GET", "")
                if puts and state.json()["TotalSizeInBytes"] > _MOST_BYTES:
                    raise Unavailable("the CloudFront KeyValueStore is full: make URLs live shorter, or revoke less")
                headers = {"if-match": state.headers.get("etag", ""), "content-type": "application/json"}
                answer = self._ask("POST", "/keys", body, headers, allow=_CONFLICT if left else None)
                if answer.status_code != _CONFLICT:
                    return

    def _ask(
        self, method: str, path: str, body: bytes = b"", more: dict[str, str] | None = None, allow: int | None = None
    ) -> httpx.Response:
        """Send one signed request; raise Unavailable for whatever is no success, nor ``allow``."""
        try:
            headers = self._signed(method, self._url + path, body, more or {})
            answer = httpx.request(method, self._url + path, content=body, headers=headers, timeout=self._timeout_s)
            if answer.status_code != allow:
                answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            raise Unavailable(f"the CloudFront KeyValueStore answers {error.response.status_code}") from error
        except (httpx.HTTPError, BotoCoreError) as error:
            raise Unavailable(f"the CloudFront KeyValueStore: {type(error).__name__}") from error
        return answer

    def _signed(self, method: str, url: str, body: bytes, more: dict[str, str]) -> dict[str, str]:
        credentials: Any = self._session.get_credentials()
        if credentials is None:
            raise Unavailable("the CloudFront KeyValueStore: this process has no AWS identity")
        frozen = credentials.get_frozen_credentials()
        key = derive_key(frozen.access_key, frozen.secret_key)
        return sign(
            key,
            method,
            url,
            more,
            body,
            access_key_id=frozen.access_key,
            token=frozen.token,
            service="cloudfront-keyvaluestore",
            now=self._clock(),
        )
