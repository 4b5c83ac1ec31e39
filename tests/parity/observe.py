"""Everything that an outsider can see of one profile: the decision, the picture, and how long both took."""

import hashlib
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.support.waiting import HANG_S

# What an outsider may be assured of, and where they look, as requests say it.
OUTSIDERS = (
    ("peer", "profile"), ("adult", "list"), ("unverified", "message"), ("signed_out", "profile"), ("peer", "search"),
)  # fmt: skip
# Named by the clock, or by the connection.
_VARY = {"date", "x-request-id"}


@dataclass(frozen=True)
class Seen:
    """One look. ``exact`` is what must not differ between ages at all; ``loose`` is drawn anew in every generation."""

    exact: tuple
    loose: dict
    decision_s: float
    picture_s: float
    data: bytes = field(repr=False, default=b"")


class Observer:
    """Looks as outsiders do, over connections of its own."""

    def __init__(self, stack, token):
        self._api = httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {token}"}, timeout=HANG_S)
        self._viewer = httpx.Client(timeout=HANG_S)

    def close(self):
        self._api.close()
        self._viewer.close()

    def look(self, profile_id, viewer="peer", context="profile", viewer_id=None):
        """What one outsider sees of one profile."""
        item = {"profile_id": profile_id, "relation": "stranger"}
        body = {"viewer": viewer, "context": context, "items": [item]}
        if viewer_id:
            body["viewer_id"] = viewer_id
        begin = time.perf_counter()
        answer = self._api.post("/v1/decisions", json=body)
        middle = time.perf_counter()
        (decision,) = answer.json()["items"]
        late = time.perf_counter()
        picture = self._viewer.get(decision["url"])
        end = time.perf_counter()
        return seen(answer, decision, picture, middle - begin, end - late)


def seen(answer, decision, picture, decision_s, picture_s):
    """Take apart what came: what must be the same for every age, and what is drawn anew whenever names change."""
    parts = urlsplit(decision["url"])
    query = parse_qs(parts.query)
    folder, name = parts.path.rsplit("/", 1)
    headers = {name_: value for name_, value in picture.headers.items() if name_ not in _VARY}
    cache = headers.pop("cache-control", "")
    left = int(cache.split("max-age=")[1].split(",")[0]) if "max-age=" in cache else -1
    exact = (
        answer.status_code,
        tuple(name_ for name_ in answer.headers if name_ not in _VARY),
        tuple(decision),
        decision["blurhash"],
        decision["capture"],
        parts.scheme, parts.netloc, folder, len(name), name.rsplit(".", 1)[1],
        tuple(sorted((name_, len(values), len(values[0])) for name_, values in query.items())),
        len(str(decision["expires_at"])),
        picture.status_code,
        tuple(headers.items()),
        cache.replace(str(left), "N"),
        hashlib.sha256(picture.content).hexdigest(),
    )  # fmt: skip
    loose = {
        "left": left,
        "expires_mod": decision["expires_at"] % 3600,
        "name": [ord(letter) for letter in name[:32].ljust(32)],
        "signature": [ord(letter) for letter in query["s"][0][:22].ljust(22)],
        "bytes": len(picture.content),
        "answer_bytes": len(answer.content),
    }
    return Seen(exact, loose, decision_s, picture_s, picture.content)
