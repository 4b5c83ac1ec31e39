"""What is kept locally: which pictures were sent, and what is still to be sent. No band, no rendition, no URL.

A picture's bytes are here only while the service could not be reached (``KEEP_UNSENT``), until they are sent.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models


class PictureState:
    """How far a picture is: ``unsent``, ``lost`` and ``refused`` are states here, the others are the service's."""

    UNSENT, LOST, REFUSED = "unsent", "lost", "refused"
    PENDING, READY, REJECTED, FAILED = "pending", "ready", "rejected", "failed"
    QUARANTINED, HELD, SUPERSEDED, DELETED = "quarantined", "held", "superseded", "deleted"


_STATES = (
    (PictureState.UNSENT, "not sent yet"),
    (PictureState.LOST, "not sent, and not kept: it has to be uploaded again"),
    (PictureState.REFUSED, "refused at the upload"),
    (PictureState.PENDING, "being rendered"),
    (PictureState.READY, "ready"),
    (PictureState.REJECTED, "rejected"),
    (PictureState.FAILED, "failed"),
    (PictureState.QUARANTINED, "quarantined"),
    (PictureState.HELD, "held"),
    (PictureState.SUPERSEDED, "superseded by another picture"),
    (PictureState.DELETED, "deleted"),
)


class UploadedPicture(models.Model):
    """One upload: the column of the field holds its ``key``, which is the idempotency key too."""

    key = models.CharField(max_length=32, primary_key=True)
    profile_id = models.CharField(max_length=256, db_index=True)
    model = models.CharField(max_length=100, help_text="app_label.model")
    object_pk = models.CharField(max_length=255)
    field = models.CharField(max_length=100)
    previous = models.CharField(max_length=255, blank=True, help_text="the key of the picture before this one")
    image_id = models.CharField(max_length=32, blank=True)
    state = models.CharField(max_length=16, choices=_STATES, default=PictureState.UNSENT)
    reason = models.CharField(max_length=1000, blank=True)
    content = models.BinaryField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Found by the object that it is of."""

        verbose_name = "picture"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["model", "object_pk", "field"], name="nightlight_picture_object")
        ]

    def __str__(self) -> str:
        """Return whose picture it is."""
        return f"picture of {self.profile_id}"

    def __repr__(self) -> str:
        """Return the key and the state: never the bytes."""
        return f"<UploadedPicture {self.key} {self.state}>"


class UnsentErasure(models.Model):
    """What is to be erased and is not yet: one image, or (without ``image_id``) a profile with all its images."""

    profile_id = models.CharField(max_length=256, db_index=True)
    image_id = models.CharField(max_length=32, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """Named for operators."""

        verbose_name = "unsent erasure"

    def __str__(self) -> str:
        """Return what is to be erased."""
        return f"image {self.image_id}" if self.image_id else f"profile {self.profile_id}"


def pictures_of(instance: Any, field_name: str, using: str) -> models.QuerySet[UploadedPicture]:
    """Return the uploads of an object's field, the newest first."""
    return UploadedPicture.objects.using(using).filter(
        model=instance._meta.label_lower,  # noqa: SLF001 - the documented place of a model's name
        object_pk=str(instance.pk),
        field=field_name,
    ).order_by("-created_at")  # fmt: skip
