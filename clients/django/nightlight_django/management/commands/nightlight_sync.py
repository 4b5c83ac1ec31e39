"""``manage.py nightlight_sync``: send what could not be sent, ask how far pictures are. Run it every minute or so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import DEFAULT_DB_ALIAS
from django.db.models import QuerySet
from django.utils import timezone

from nightlight_client import NightlightError
from nightlight_django import outbox
from nightlight_django.models import PictureState, UploadedPicture

# A picture whose bytes are not here is lost if its process has not sent it within this time.
_SENT_WITHIN = timedelta(minutes=10)
# An upload's row is noted with its object; what is younger may be of a transaction that goes on.
_LIVE = (PictureState.PENDING, PictureState.READY, PictureState.HELD, PictureState.QUARANTINED)


class Command(BaseCommand):
    """Sends what waits; exit code 1 says that something still does."""

    help = "Send uploads and erasures that could not be sent, and ask how far pictures are."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the database."""
        parser.add_argument("--database", default=DEFAULT_DB_ALIAS)

    def handle(self, *_: Any, **options: Any) -> None:
        """Send erasures, then uploads; then ask for states."""
        using: str = options["database"]
        rows = UploadedPicture.objects.using(using)
        erased_later = _erase_orphans(rows, using)
        erased = outbox.send_erasures(using)
        sent, waiting = _send(rows, using)
        asked = _refresh(rows, using)
        self.stdout.write(
            f"{sent} uploads sent, {waiting} wait; {erased_later} pictures without an object;"
            f" erasures {'are all sent' if erased else 'wait'}; {asked} states asked for"
        )
        if waiting or not erased:
            raise SystemExit(1)


def _erase_orphans(rows: QuerySet[UploadedPicture], using: str) -> int:
    """Erase pictures whose object is gone or has none any more, by a way that sends no signal."""
    orphans = []
    for picture in rows.exclude(image_id="").defer("content").iterator():
        instance = outbox.object_of(picture, using)
        if instance is None or not getattr(instance, picture.field):
            orphans.append(picture)
    if orphans:
        outbox.note_erasures(orphans, using)
    return len(orphans)


def _send(rows: QuerySet[UploadedPicture], using: str) -> tuple[int, int]:
    """Send pictures that are kept here, the oldest first; return how many were sent, and how many wait."""
    rows.filter(state=PictureState.UNSENT, content=None, created_at__lt=timezone.now() - _SENT_WITHIN).update(
        state=PictureState.LOST
    )
    sent = waiting = 0
    unsent = rows.filter(state=PictureState.UNSENT, content__isnull=False).order_by("created_at")
    for key in list(unsent.values_list("key", flat=True)):
        picture = rows.filter(key=key).first()
        if picture is None or picture.content is None:
            continue
        instance = outbox.object_of(picture, using)
        if instance is None or getattr(instance, picture.field).name != key:  # gone, or another picture took its place
            picture.delete(using=using)
            continue
        if outbox.send_upload(key, bytes(picture.content), instance, using) == PictureState.UNSENT:
            waiting += 1
        else:
            sent += 1
    return sent, waiting


def _refresh(rows: QuerySet[UploadedPicture], using: str) -> int:
    """Ask for the states of pictures that go on; rows of pictures that are no more go too."""
    asked = 0
    for picture in rows.filter(state__in=_LIVE).exclude(image_id="").defer("content"):
        if picture.state == PictureState.READY and not rows.filter(previous=picture.key).exists():
            continue
        try:
            outbox.refresh(picture, using)
        except NightlightError:
            break
        asked += 1
    rows.filter(state__in=(PictureState.SUPERSEDED, PictureState.DELETED)).delete()
    return asked
