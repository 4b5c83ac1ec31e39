"""What an export says of one profile, gathered from the catalogue in one transaction.

What a person may not be told is not shown to be missing. A picture that is still being rendered, one on a hash list and
one under a hold of which its owner may not know are all `not_available`, and look alike.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from nightlight.catalogue import images, profiles
from nightlight.flows.exports import document
from nightlight_core.decisions.answers import outcome_of
from nightlight_core.decisions.inputs import UNASSURED
from nightlight_core.policy.table import NONE_TIER

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.exports import ExportRow
    from nightlight.catalogue.holds import LegalHold
    from nightlight.catalogue.images import ImageRow
    from nightlight.catalogue.profiles import Profile
    from nightlight.retention.erasure_subjects import SubjectHasher
    from nightlight_core.ids import ImageId
    from nightlight_core.policy.table import Table

UNKNOWN_BAND = "unknown"
REPORTED = "reported"
_WORDS: Mapping[str, document.PictureState] = {
    images.READY: "current",
    images.SUPERSEDED: "replaced",
    images.REJECTED: "rejected",
    images.FAILED: "failed",
}
# Of the audit log about an image, a person is told of these lines alone.
_EVENTS = {
    "image.accepted": "accepted", "image.ready": "ready", "image.superseded": "replaced", "image.rejected": "rejected",
    "image.failed": "failed",
}  # fmt: skip
# What differs between the people who look: the rest of a decision's inputs is the profile's own.
_LOOKING = ("relation", "viewer", "context")
_SUFFIX = re.compile(r"[a-z0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class Contents:
    """What there is to say, the originals to put beside it, and the states of the pictures when it was gathered.

    ``originals`` are by their place among the document's pictures.
    """

    account: document.Account
    pictures: list[document.PictureEntry]
    shown: list[document.Shown]
    tiers: list[document.TierEntry]
    erased: list[document.Erased]
    originals: dict[int, ImageRow]
    states: dict[ImageId, str]


def gather(
    tx: Transaction, row: ExportRow, table: Table, hasher: SubjectHasher, *, assertion_days: int, now: datetime
) -> Contents | None:
    """Return what an export says, None where there is no such profile any more."""
    profile = tx.profiles.get(row.profile_id)
    if profile is None or profile.state not in profiles.KEPT:
        return None
    owned = tx.images.of_profile(profile.profile_id)
    lapsed = profile.asserted_at + timedelta(days=assertion_days) < now
    pictures = [_picture(tx, image) for image in owned]
    current = next((image for image in owned if image.state == images.READY), None)
    return Contents(
        account=_account(profile, lapsed=lapsed, first_at=tx.exports.declared_first(profile.profile_id)),
        pictures=pictures,
        shown=_shown(profile, current, table, lapsed=lapsed),
        tiers=[document.TierEntry(tier=name, edge=recipe.edge) for name, recipe in sorted(table.tiers.items())],
        erased=_erased(tx, profile, [subject.text for subject in hasher.every(profile.profile_id)]),
        originals={place: image for place, image in enumerate(owned) if pictures[place].state in _WORDS.values()},
        states={image.image_id: image.state for image in owned},
    )


def file_name(place: int, image: ImageRow) -> str:
    """Return what an original is called in the archive."""
    suffix = image.format.lower()
    return f"pictures/{place + 1}.{suffix if _SUFFIX.fullmatch(suffix) else 'bin'}"


def _account(profile: Profile, *, lapsed: bool, first_at: datetime) -> document.Account:
    declared = document.Declared(
        band=profile.asserted_band,
        assurance=profile.assurance,
        region=profile.region,
        choice=profile.choice,
        at=profile.asserted_at.isoformat(),
        first_at=first_at.isoformat(),
        counts_as=UNKNOWN_BAND if lapsed or profile.assurance == UNASSURED else profile.band,
    )
    return document.Account(
        profile_id=profile.profile_id,
        declared=declared,
        deactivated_at=_text(profile.deactivated_at),
        report_open=profile.report_flag == REPORTED,
    )


def _picture(tx: Transaction, image: ImageRow) -> document.PictureEntry:
    holds = tx.legal_holds.of_image(image.image_id) if image.state == images.HELD else []
    disclosed = bool(holds) and all(hold.may_be_told for hold in holds)
    state = "held" if disclosed else _WORDS.get(image.state, "not_available")
    facts: dict[str, Any] = {
        "image_id": image.image_id,
        "state": state,
        "uploaded_at": image.created_at.isoformat(),
        "band_at_upload": image.band,
        "ceiling_band": image.effective_ceiling,
        "original": None,
        "original_left_out": "held" if disclosed else "not_available",
    }
    if state in {"held", "not_available"}:
        more: dict[str, Any] = {"reason": None, "reason_in_words": None, "crop": None, "events": [], "renditions": []}
        return document.PictureEntry(**facts, **more, holds=[_hold_notice(hold) for hold in holds if disclosed])
    return document.PictureEntry(
        **facts,
        crop=image.crop,
        reason=image.reason,
        reason_in_words=image.reason_detail,
        events=[
            document.Happened(at=entry.at.isoformat(), what=_EVENTS[entry.event])
            for entry in tx.audit.of_image(image.image_id)
            if entry.event in _EVENTS
        ],
        renditions=[
            document.RenditionEntry(
                tier=rendition.tier,
                format=rendition.format,
                width=rendition.width,
                height=rendition.height,
                bytes=rendition.bytes,
                made_at=rendition.created_at.isoformat(),
            )
            for rendition in tx.exports.renditions(image.image_id)
        ],
        holds=[],
    )


def _hold_notice(hold: LegalHold) -> document.ToldHold:
    return document.ToldHold(kind=hold.kind, since=hold.created_at.isoformat(), until=_text(hold.until))


def _shown(profile: Profile, current: ImageRow | None, table: Table, *, lapsed: bool) -> list[document.Shown]:
    """Return what each kind of viewer is shown of the current picture, by the policy of now."""
    if current is None or profile.state != profiles.LIVE:
        return []
    own = {
        "subject_age": UNKNOWN_BAND if lapsed else profile.band,
        "assurance": UNASSURED if lapsed else profile.assurance,
        "region": profile.region,
        "choice": profile.choice,
        "report_flag": profile.report_flag,
    }
    shown = []
    for words in itertools.product(*(table.attributes.get(name, ("",)) for name in _LOOKING)):
        inputs = {**own, **dict(zip(_LOOKING, words, strict=True))}
        tier = outcome_of(table, inputs, current.effective_ceiling).tier
        shown.append(document.Shown(**dict(zip(_LOOKING, words, strict=True)), tier=tier or NONE_TIER))
    return shown


def _erased(tx: Transaction, profile: Profile, subjects: Sequence[str]) -> list[document.Erased]:
    """Return the receipts of pictures erased since the profile was declared, without those that name a hold untold.

    Once a picture's rows are gone nobody knows whether a hold on it was told.
    """
    by_image: dict[ImageId, list[dict[str, str]]] = {}
    for image_id, envelope in tx.receipts.of_owner(subjects, tx.exports.declared_first(profile.profile_id)):
        by_image.setdefault(image_id, []).append(envelope)
    parts = []
    for image_id, envelopes in by_image.items():
        known = tx.images.get(image_id) is not None
        all_told = known and all(hold.may_be_told for hold in tx.legal_holds.ever_on(image_id))
        receipts = [envelope for envelope in envelopes if all_told or not _names_a_hold(envelope)]
        parts.append(document.Erased(image_id=image_id, receipts=receipts))
    return parts


def _names_a_hold(envelope: Mapping[str, str]) -> bool:
    """Say whether a receipt tells of a hold: as what stays elsewhere, as what ended, as a lock of the bucket's.

    What cannot be read is taken to tell of one.
    """
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
    except (KeyError, ValueError, binascii.Error):
        return True
    return b"hold" in payload.lower() or b'"locked_until":""' in payload


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment is not None else None
