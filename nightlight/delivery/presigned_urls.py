"""URLs that S3 itself checks: AWS Signature Version 4 in the query, as boto3 makes them and a hundred times as fast.

What does not change with the object is made once for each moment of signing, and the key once a day. The moment is
rounded like the expiry of our own URLs, so that all viewers are given the same URL of the same picture.

Source: AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)".
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from nightlight_core.decisions.url_signing import DAY_S, bucket_of

_ALGORITHM = "AWS4-HMAC-SHA256"
# S3 takes no URL that lives longer.
MOST_LIFE_S = 7 * DAY_S


@dataclass(frozen=True, slots=True)
class Presigner:
    """Makes presigned GET URLs for the objects of one bucket. Safe to share between threads.

    ``endpoint`` is scheme and host that viewers reach the bucket by; ``prefix`` what comes before an object's path
    there: ``/bucket`` where the bucket is no part of the host.
    """

    endpoint: str
    prefix: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    max_life_s: int = MOST_LIFE_S
    _keys: dict[str, bytes] = field(default_factory=dict, repr=False)
    _queries: dict[tuple[int, int], tuple[str, bytes, str]] = field(default_factory=dict, repr=False)

    def url(self, path: str, *, now: int, life_s: int) -> tuple[str, int]:
        """Return (URL, expiry in Unix seconds) for ``path``, valid for at most ``life_s`` and at least half of it."""
        life_s = min(life_s, self.max_life_s)
        begin, bucket = bucket_of(path, now=now, life_s=life_s)
        lives = min(2 * bucket, life_s, MOST_LIFE_S)
        return self.signed(path, begin=begin, life_s=lives), begin + lives

    def signed(self, path: str, *, begin: int, life_s: int) -> str:
        """Return the URL for ``path`` that was signed at ``begin`` (Unix seconds) and is valid ``life_s`` from then."""
        query, key, scope = self._query(begin, life_s)
        escaped_path = quote(self.prefix + path, safe="/~")
        host = urlsplit(self.endpoint).netloc
        canonical = f"GET\n{escaped_path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
        text = scope + hashlib.sha256(canonical.encode()).hexdigest()
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        return f"{self.endpoint}{escaped_path}?{query}&X-Amz-Signature={signature}"

    def _query(self, begin: int, life_s: int) -> tuple[str, bytes, str]:
        """Return what is the same for every object: the query, the day's key, and the head of the text to sign."""
        known = self._queries.get((begin, life_s))
        if known is not None:
            return known
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(begin))
        scope = f"{moment[:8]}/{self.region}/s3/aws4_request"
        query = (
            f"X-Amz-Algorithm={_ALGORITHM}&X-Amz-Credential={quote(f'{self.access_key_id}/{scope}', safe='')}"
            f"&X-Amz-Date={moment}&X-Amz-Expires={life_s}&X-Amz-SignedHeaders=host"
        )
        signed = query, self._key(moment[:8]), f"{_ALGORITHM}\n{moment}\n{scope}\n"
        if len(self._queries) >= _MOST_KEPT:
            self._queries.clear()
        self._queries[begin, life_s] = signed
        return signed

    def _key(self, day: str) -> bytes:
        known = self._keys.get(day)
        if known is None:
            known = f"AWS4{self.secret_access_key}".encode()
            for part in (day, self.region, "s3", "aws4_request"):
                known = hmac.digest(known, part.encode(), "sha256")
            if len(self._keys) > 3:  # noqa: PLR2004 - yesterday's, today's and tomorrow's
                self._keys.clear()
            self._keys[day] = known
        return known


# Moments of signing that are kept: each name has its own, some thousands in a bucket of an hour.
_MOST_KEPT = 20_000
