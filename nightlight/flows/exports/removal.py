"""Removing exports: at once for whoever asks, and their objects by a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nightlight.catalogue import exports
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue

if TYPE_CHECKING:
    from datetime import datetime

    from nightlight.catalogue.engine import Transaction
    from nightlight.catalogue.exports import ExportRow
    from nightlight_core.ids import ProfileId


def remove(tx: Transaction, profile_id: ProfileId, *, now: datetime, actor: str) -> int:
    """Remove every export of a profile in the caller's transaction, and forget whose they were; return how many.

    For an erasure: nothing that is left in the catalogue names the profile.
    """
    kept = tx.exports.kept(profile_id)
    for row in kept:
        remove_export(tx, row, now=now, actor=actor)
    tx.exports.forget_profile(profile_id)
    return len(kept)


def remove_made(tx: Transaction, profile_id: ProfileId, *, now: datetime, actor: str) -> None:
    """Remove the exports of a profile that are ready: a picture in them may be given to nobody any more.

    One that is being made stays: the worker sees for itself what has changed.
    """
    for row in tx.exports.kept(profile_id):
        if row.state == exports.READY:
            remove_export(tx, row, now=now, actor=actor)


def remove_export(tx: Transaction, row: ExportRow, *, now: datetime, actor: str) -> None:
    """Remove one export, in the caller's transaction."""
    tx.exports.set(row.export_id, state=exports.DELETED)
    enqueue(tx, kinds.DELETE_EXPORT, row.export_id, now)
    tx.audit.append("export.removed", now=now, actor=actor, detail={"export_id": row.export_id})
