"""The storage of the field: URLs are decisions, nothing is read back, and nothing lands on a disk."""

from __future__ import annotations

from typing import Any, NoReturn

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage
from django.db import DEFAULT_DB_ALIAS
from django.utils.deconstruct import deconstructible

from nightlight_django import outbox
from nightlight_django.models import UploadedPicture
from nightlight_django.owners import NO_PROFILE
from nightlight_django.viewers import pictures_here


@deconstructible(path="nightlight_django.storage.NightlightStorage")
class NightlightStorage(Storage):
    """Pictures by the keys of their uploads; originals never come back."""

    def url(self, name: str | None) -> str:
        """Return what the viewer of the request may see; the placeholder for what is no picture."""
        profile_id = UploadedPicture.objects.filter(key=name or "").values_list("profile_id", flat=True).first()
        (decision,) = pictures_here().decisions([profile_id or NO_PROFILE])
        return decision.url

    def exists(self, name: str) -> bool:
        """Say whether an upload has this key."""
        return bool(UploadedPicture.objects.filter(key=name).exists())

    def delete(self, name: str) -> None:
        """Erase a picture."""
        outbox.note_erasures(UploadedPicture.objects.filter(key=name).defer("content"), DEFAULT_DB_ALIAS)

    def _open(self, name: str, mode: str = "rb") -> NoReturn:  # noqa: ARG002 - Django's
        raise SuspiciousFileOperation("an original is not read back: show the picture's url")

    def _save(self, name: str, content: Any) -> NoReturn:  # noqa: ARG002 - Django's
        raise SuspiciousFileOperation("a picture is uploaded for an account: use NightlightImageField")
