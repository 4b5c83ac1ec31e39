"""What happens when an object with a picture is saved or deleted, or its account is deleted."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.apps import apps
from django.db import models, transaction
from django.db.models.signals import post_delete, post_save

from nightlight_django import outbox
from nightlight_django.fields import UPLOADS, NewUpload
from nightlight_django.models import PictureState
from nightlight_django.owners import NO_PROFILE, OwnedField, picture_fields, profile_id_of


def connect() -> None:
    """Watch every model that has a picture, and the accounts that they are of."""
    for model in apps.get_models():
        for field in picture_fields(model):
            post_save.connect(saved, sender=model, dispatch_uid=f"nightlight.saved.{model._meta.label}")  # noqa: SLF001
            post_delete.connect(deleted, sender=model, dispatch_uid=f"nightlight.deleted.{model._meta.label}")  # noqa: SLF001
            if field.owner is not None:
                account = model._meta.get_field(field.owner).remote_field.model  # noqa: SLF001
                name = f"nightlight.account.{account._meta.label}"  # noqa: SLF001
                post_delete.connect(account_deleted, sender=account, dispatch_uid=name)


def saved(instance: models.Model, *, using: str, raw: bool = False, update_fields: Any = None, **_: Any) -> None:
    """Note a new picture, or the end of one; both are sent once the transaction is committed."""
    if raw:  # a fixture: what it says of pictures was sent by whoever wrote it
        return
    for field in picture_fields(type(instance)):
        if update_fields is not None and not {field.name, field.attname} & set(update_fields):
            continue
        upload = instance.__dict__.get(UPLOADS, {}).pop(field.name, None)
        if upload is not None:
            _upload(instance, field, upload, using)
        elif not getattr(instance, field.attname):
            outbox.erase_all_of(instance, field.name, using)


def deleted(instance: models.Model, *, using: str, **_: Any) -> None:
    """Erase the pictures of an object, and the profile with them if the object is the account."""
    for field in picture_fields(type(instance)):
        profile_id = profile_id_of(instance)
        if field.owner is None and profile_id != NO_PROFILE:
            outbox.note_profile_erasure(profile_id, using)
        else:
            outbox.erase_all_of(instance, field.name, using)


def account_deleted(instance: models.Model, *, using: str, **_: Any) -> None:
    """Erase the profile of an account."""
    profile_id = str(instance.pk)
    outbox.note_profile_erasure(profile_id, using)


def _upload(instance: models.Model, field: OwnedField, upload: NewUpload, using: str) -> None:
    profile_id = profile_id_of(instance)
    if profile_id == NO_PROFILE:
        raise ValueError("a picture needs an account: the object has none whose key can be a profile's id")
    outbox.note_upload(instance, field.name, profile_id, upload.key, upload.previous, using)
    send = partial(_send, instance, field, upload, using)
    transaction.on_commit(send, using=using, robust=True)


def _send(instance: models.Model, field: OwnedField, upload: NewUpload, using: str) -> None:
    state = outbox.send_upload(upload.key, upload.content, instance, using)
    if state == PictureState.REFUSED:
        setattr(instance, field.attname, getattr(instance, field.attname).stored)
