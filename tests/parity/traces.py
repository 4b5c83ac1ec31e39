"""What an outsider records of one profile over time, and how two records differ.

Names, ETags and digests are opaque: each is written as the number of its first appearance in the record, so that what
is compared is *when* they change. Everything else is compared as it is, but for the time of day.
"""

import hashlib
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from nightlight_core.decisions.url_signing import bucketed_expiry

_VARY = {"date", "x-request-id"}
PLACEHOLDER_LIFE_S, PICTURE_LIFE_S = 3600, 3600


@dataclass(frozen=True)
class Look:
    """One look: ``seen`` by field, with opaque values numbered, and ``loose`` what may differ by chance alone."""

    moment: int
    when: str
    seen: dict
    loose: dict


class Record:
    """The looks at one profile. ``marked``: its pictures carry an invisible watermark, so nobody compares their bytes."""

    def __init__(self, placeholder, *, marked):
        self.looks = []
        self._placeholder, self._marked = placeholder, marked
        self._known = {}
        self._url = None

    @property
    def url(self):
        """What a decision gave last, to be fetched again later."""
        return self._url

    def decided(self, moment, when, asked, answer, picture, now, times):
        """Take down a decision and the picture that it led to; ``now`` is in Unix seconds, ``times`` in seconds."""
        (decision,) = answer.json()["items"]
        parts = urlsplit(decision["url"])
        query = parse_qs(parts.query)
        folder, name = parts.path.rsplit("/", 1)
        placeholder = parts.path == self._placeholder
        life = PLACEHOLDER_LIFE_S if placeholder else PICTURE_LIFE_S
        seen = {
            "asked": asked,
            "answer status": answer.status_code,
            "answer headers": tuple((key, value) for key, value in answer.headers.items() if key not in _VARY),
            "answer keys": tuple(decision),
            "BlurHash": decision["blurhash"],
            "capture": decision["capture"],
            "URL": (parts.scheme, parts.netloc, folder, len(name), name.rsplit(".", 1)[1]),
            "URL query": tuple((key, len(values), len(values[0])) for key, values in query.items()),
            "key id": query["k"][0],
            # A name has its own offset: what is left over must be explained by nothing.
            "expiry": decision["expires_at"] - bucketed_expiry(parts.path, now=now, life_s=life),
            "expiry twice": decision["expires_at"] - int(query["e"][0]),
            "placeholder": placeholder,
            "name": self._number("name", name),
            **self._fetched(picture, decision["expires_at"] - now),
        }
        loose = {
            "bytes": len(picture.content), "left": decision["expires_at"] - now, "answer bytes": len(answer.content),
            "decision s": times[0], "picture s": times[1], "name": [ord(letter) for letter in name[:8]],
        }  # fmt: skip
        self._url = decision["url"]
        self.looks.append(Look(moment, when, seen, loose))

    def again(self, moment, when, picture, now, seconds):
        """Take down what an earlier URL gives."""
        left = int(parse_qs(urlsplit(str(picture.request.url)).query)["e"][0]) - now
        seen = self._fetched(picture, left)
        self.looks.append(Look(moment, when, seen, {"bytes": len(picture.content), "again s": seconds}))

    def _fetched(self, picture, left):
        headers = {key: value for key, value in picture.headers.items() if key not in _VARY}
        digest = hashlib.sha256(picture.content).hexdigest()
        if "etag" in headers:
            headers["etag"] = self._number("ETag", headers["etag"])
        if self._marked and headers.get("content-length") == str(len(picture.content)):
            # By the picture: two marked ones may have one length by chance.
            headers["content-length"] = self._number("picture", digest)
        if "cache-control" in headers:
            headers["cache-control"] = headers["cache-control"].replace(f"max-age={left}", "max-age=left")
        wrong = picture.status_code >= 400  # a problem names the request
        bytes_ = "problem" if wrong else self._number("picture", digest) if self._marked else digest
        return {"picture status": picture.status_code, "picture headers": tuple(headers.items()), "picture": bytes_}

    def _number(self, kind, value):
        known = self._known.setdefault(kind, {})
        return known.setdefault(value, len(known))


@dataclass(frozen=True)
class Difference:
    """A look at which two records differ, and in which fields: (field, of the control, of the other)."""

    control: str
    other: str
    moment: int
    when: str
    fields: tuple[tuple[str, object, object], ...]

    def __str__(self):
        text = "; ".join(f"{field}: {value!r} and {other!r}" for field, value, other in self.fields[:3])
        return f"{self.control} and {self.other} at moment {self.moment}, {self.when}: {text[:300]}"


def difference(control_id, control, other_id, other):
    """Return the first difference of two records, None where there is none: what follows may follow from it."""
    if len(control.looks) != len(other.looks):
        return Difference(control_id, other_id, -1, "at the end", (("looks", len(control.looks), len(other.looks)),))
    for look, other_look in zip(control.looks, other.looks, strict=True):
        fields = [key for key in {**look.seen, **other_look.seen} if look.seen.get(key) != other_look.seen.get(key)]
        if fields or (look.moment, look.when) != (other_look.moment, other_look.when):
            differing = tuple((key, look.seen.get(key), other_look.seen.get(key)) for key in fields)
            return Difference(control_id, other_id, look.moment, look.when, differing)
    return None
