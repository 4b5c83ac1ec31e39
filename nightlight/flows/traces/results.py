"""What is known of a found copy: its invisible watermark, and the renditions that it may come from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from nightlight_core.ids import ImageId, ProfileId

if TYPE_CHECKING:
    from nightlight.catalogue.rendition_hashes import HashOrigin
    from nightlight.watermark.detect import Detection


@dataclass(frozen=True, slots=True)
class TraceOrigin:
    """One rendition that the copy may come from.

    ``by`` is ``mark``, ``hash`` or ``mark+hash``. ``distance`` is that of the hashes, of 256 bits: a match is at most
    31, the nearest the likeliest; None where there is no hash to compare. It was shown from ``published_at`` until
    ``shown_until`` (None: another has not taken its place). ``variants`` is how many its tier has: where there is one,
    ``variant`` says nothing of who was given it.
    """

    image_id: ImageId
    profile_id: ProfileId
    tier: str
    variant: int
    variants: int
    state: str
    rendered_at: datetime
    published_at: datetime | None
    shown_until: datetime | None
    by: str
    distance: int | None


@dataclass(frozen=True, slots=True)
class WatermarkReading:
    """The invisible watermark of a copy.

    ``number`` is of 56 bits, or of 16 where ``short``, which names a rendition only together with a hash. ``chance``
    bounds the probability that a picture without a watermark reads as one. ``doubt`` says why it may not belong here.
    """

    number: int
    variant: int
    short: bool
    key_id: str
    agreement: float
    chance: float
    how: str
    mirrored: bool
    doubt: str | None


@dataclass(frozen=True, slots=True)
class TraceResult:
    """What is known of a copy: its SHA-256, its watermark, its hash's quality (under 50 it says nothing), its origins.

    ``present`` says that there is an invisible watermark of this deployment, whether or not it could be read.
    """

    sha256: str
    watermark: WatermarkReading | None
    present: bool
    quality: int
    searched: int
    origins: tuple[TraceOrigin, ...]


def result_as_json(result: TraceResult) -> dict[str, Any]:
    """Return what is known of a copy as JSON holds it."""

    def plain(value: object) -> object:
        return value.isoformat() if isinstance(value, datetime) else value

    return {
        **asdict(result),
        "origins": [{name: plain(value) for name, value in asdict(origin).items()} for origin in result.origins],
    }


def origin_of(origin: HashOrigin, distance: int | None, by: str) -> TraceOrigin:
    """Return what is told of an origin that ``by`` led to."""
    shared = {name: getattr(origin, name) for name in TraceOrigin.__slots__ if name not in {"by", "distance"}}
    return TraceOrigin(**shared, by=by, distance=distance)


def watermark_reading(read: Detection | None, doubt: str | None) -> WatermarkReading | None:
    """Return what is told of a watermark that was read, if one was."""
    if read is None:
        return None
    return WatermarkReading(
        number=read.payload.rendition,
        variant=read.payload.variant,
        short=read.payload.short,
        key_id=read.key_id,
        agreement=read.agreement,
        chance=read.chance,
        how=read.how,
        mirrored=read.mirrored,
        doubt=doubt,
    )
