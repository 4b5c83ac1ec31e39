"""What each profile's viewers may get at a moment, by what was asked for and acknowledged; written apart from the product.

Only what the run uses of the default policy is here: region `eu`, context `profile`, viewer `peer`.
"""

import math
import threading
from dataclasses import dataclass, field, replace

from tests.chaos.coloured import NUMBERS

TIERS = ("none", "tiny", "low", "medium", "full")
EDGES = {"tiny": 96, "low": 160, "medium": 320, "full": 1024}
BANDS = ("under_13", "age_13_15", "age_16_17", "adult")
# By band: the most protective tier first. policies/rules.yaml: under-13, minor-connection, adult-connection.
CONNECTION = {"under_13": "tiny", "age_13_15": "medium", "age_16_17": "medium", "adult": "full"}
# A decision that begins so many seconds after a change was acknowledged knows of it, on every node (promise 6).
DARK_S = 1.0


@dataclass(frozen=True)
class Statement:
    """What the platform has declared of a profile."""

    band: str
    choice: str = "connections"
    reported: bool = False
    blocked: frozenset = frozenset()
    deleted: bool = False

    def allowed(self, relation, viewer_id, ceiling):
        """The largest tier that a viewer may get of a picture with a ceiling band."""
        if self.deleted or viewer_id in self.blocked:
            return "none"
        if relation == "self":
            return "full"
        if self.reported or self.choice == "hidden":
            return "none"
        band = min(self.band, ceiling, key=BANDS.index)
        if relation == "connection":
            return CONNECTION[band]
        return "medium" if band == "adult" and self.choice == "everyone" else "tiny"


@dataclass
class Version:
    """One upload of a profile; its number is drawn in its colours."""

    number: int
    ceiling: str
    image_id: str | None = None  # once the upload was acknowledged
    erased_at: float = math.inf  # when its erasure was acknowledged


@dataclass
class _Span:
    statement: Statement
    since: float
    until: float = math.inf


@dataclass
class Profile:
    """One profile: what counts of it, and since when. Times are of time.monotonic."""

    number: int
    profile_id: str
    versions: dict = field(default_factory=dict)
    revoked_at: list = field(default_factory=list)  # when changes were acknowledged that end every URL of before
    unsure: bool = False  # a request of which nobody knows whether it was done
    expected: int | None = None  # the upload that is shown once all is done; None where an erasure leaves it open
    _spans: list = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def statement(self):
        return self._spans[-1].statement

    def asked(self, statement, now):
        """From now on, what is asked for may count; what counted before does so until ``acknowledged``."""
        with self._lock:
            self._spans.append(_Span(statement, now))

    def acknowledged(self, now, *, revokes=False):
        with self._lock:
            for span in self._spans[:-1]:
                span.until = min(span.until, now)
            ceiling_now = self.statement.band
            for version in self.versions.values():
                version.ceiling = min(version.ceiling, ceiling_now, key=BANDS.index)
        if revokes:
            self.revoked_at.append(now)

    def changed(self, **changes):
        return replace(self.statement, **changes)

    def allowed(self, begin, end, relation, viewer_id, version):
        """The largest tier that is right in an answer to a request made at ``begin`` and seen at ``end``."""
        with self._lock:
            drawn = [v.ceiling for number, v in self.versions.items() if number % NUMBERS == version]
            ceiling = max(drawn, key=BANDS.index, default=BANDS[0])
            spans = [span for span in self._spans if span.since <= end and span.until + DARK_S >= begin]
        return max(
            (span.statement.allowed(relation, viewer_id, ceiling) for span in spans), key=TIERS.index, default="none"
        )

    def newest(self):
        """The newest acknowledged upload that was not erased; None if there is none."""
        left = [v for v in self.versions.values() if v.image_id and v.erased_at == math.inf]
        return max(left, key=lambda version: version.number, default=None)
