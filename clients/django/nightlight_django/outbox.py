"""Uploads and erasures: noted in the transaction that changes the object, sent once it is committed.

::

    note_upload    the row of a picture, without its bytes
    send_upload    erasures of the profile that wait, the declaration, the upload; what the service says is noted
    note_erasures  rows of what is to be erased, in place of those of the pictures
    send_erasures  each by a call; what is done leaves no row

Whatever could not be sent stays as a row, and ``manage.py nightlight_sync`` sends it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import transaction

from nightlight_client import InvalidId, NightlightError, Problem
from nightlight_django import conf
from nightlight_django.models import PictureState, UnsentErasure, UploadedPicture, pictures_of

if TYPE_CHECKING:
    from django.db.models import QuerySet

_LOG = logging.getLogger("nightlight_django")
# What the service says of a picture that it will not take: the next attempt would be answered alike.
_REFUSALS = frozenset({HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, 422})
_MOST_CHARS = 1000
_KEY = re.compile("[0-9a-f]{32}")


def note_upload(instance: Any, field_name: str, profile_id: str, key: str, previous: str, using: str) -> None:
    """Note in this transaction that a picture is to be sent."""
    UploadedPicture.objects.using(using).create(
        key=key,
        profile_id=profile_id,
        model=instance._meta.label_lower,  # noqa: SLF001 - the documented place of a model's name
        object_pk=str(instance.pk),
        field=field_name,
        previous=previous,
    )


def send_upload(key: str, content: bytes, instance: Any, using: str) -> str:
    """Declare the account and send its picture; return the state that was noted. Raises nothing of the network's."""
    rows = UploadedPicture.objects.using(using).filter(key=key)
    picture = rows.first()
    if picture is None:  # erased meanwhile
        return PictureState.DELETED
    unready = _unready(picture, instance, using)
    if unready is not None:
        return _keep(rows, content, unready)
    try:
        image = conf.client().upload(picture.profile_id, content, idempotency_key=key)
    except NightlightError as error:
        if isinstance(error, Problem) and error.status in _REFUSALS and not isinstance(error, InvalidId):
            return refuse(picture, refusal_text(error), using)
        return _keep(rows, content, _unsent(error))
    reason = image.reason_detail or image.reason or ""
    if not rows.update(image_id=image.image_id, state=image.state, reason=reason[:_MOST_CHARS], content=None):
        note_erasures([UploadedPicture(profile_id=picture.profile_id, image_id=image.image_id)], using)
        return PictureState.DELETED
    return image.state


def _unready(picture: UploadedPicture, instance: Any, using: str) -> str | None:
    """Send what goes before the upload; return why it cannot follow, or None."""
    if not send_erasures(using, profile_id=picture.profile_id):
        return "an erasure could not be sent yet"
    try:
        declaration = conf.configuration().declare(instance)
        words = {name: getattr(declaration, name) for name in ("band", "assurance", "region", "choice")}
        conf.client().declare(picture.profile_id, **words)
    except NightlightError as error:
        _LOG.error("a profile could not be declared: %s", error)
        return "the account could not be declared"
    except Exception:  # noqa: BLE001 - the site's own function: whatever it is, nothing is sent
        _LOG.exception("DECLARE failed: the picture is not sent")
        return "DECLARE failed"
    return None


def refuse(picture: UploadedPicture, reason: str, using: str, state: str = PictureState.REFUSED) -> str:
    """Note that a picture is refused, and let the object have the one before it again."""
    rows = UploadedPicture.objects.using(using).filter(key=picture.key)
    with transaction.atomic(using=using):
        rows.update(state=state, reason=reason[:_MOST_CHARS], content=None)
        earlier = picture.previous
        if _KEY.fullmatch(earlier) and not UploadedPicture.objects.using(using).filter(key=earlier).exists():
            earlier = ""  # erased meanwhile
        if (objects := _objects(picture, using)) is not None:
            objects.filter(**{picture.field: picture.key}).update(**{picture.field: earlier})
    return state


def refusal_text(problem: Problem) -> str:
    """Return why a picture is refused, in words for its owner."""
    parts = [error.detail for error in problem.errors if error.detail and error.detail != problem.detail]
    return " ".join([problem.detail, *parts])


def note_erasures(pictures: Iterable[UploadedPicture], using: str) -> None:
    """Erase pictures once this transaction is committed; their rows are gone with it."""
    listed = list(pictures)
    database = UnsentErasure.objects.using(using)
    with transaction.atomic(using=using):
        for picture in listed:
            if picture.image_id:
                database.create(profile_id=picture.profile_id, image_id=picture.image_id)
        UploadedPicture.objects.using(using).filter(key__in=[picture.key for picture in listed]).delete()
        for profile_id in {picture.profile_id for picture in listed if picture.image_id}:
            send = partial(send_erasures, using, profile_id=profile_id)
            transaction.on_commit(send, using=using, robust=True)


def note_profile_erasure(profile_id: str, using: str) -> None:
    """Erase a profile with all its images once this transaction is committed."""
    with transaction.atomic(using=using):
        UploadedPicture.objects.using(using).filter(profile_id=profile_id).delete()
        waiting = UnsentErasure.objects.using(using).filter(profile_id=profile_id)
        waiting.delete()  # its images go with it
        waiting.create(profile_id=profile_id)
        send = partial(send_erasures, using, profile_id=profile_id)
        transaction.on_commit(send, using=using, robust=True)


def send_erasures(using: str, *, profile_id: str | None = None) -> bool:
    """Send the erasures that wait, of one profile or of all; return whether none is left."""
    rows = UnsentErasure.objects.using(using).order_by("pk")
    left = False
    for erasure in rows if profile_id is None else rows.filter(profile_id=profile_id):
        try:
            if erasure.image_id:
                conf.client().delete_image(erasure.image_id)
            else:
                conf.client().delete_profile(erasure.profile_id)
        except NightlightError as error:
            if not (isinstance(error, Problem) and error.status == HTTPStatus.NOT_FOUND):
                _LOG.error("an erasure could not be sent yet: %s", error)
                left = True
                continue
        erasure.delete(using=using)
    return not left


def refresh(picture: UploadedPicture, using: str) -> None:
    """Ask how far a picture is; what is rejected gives way to the one before. Raises NightlightError."""
    try:
        image = conf.client().image(picture.image_id)
    except Problem as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
        picture.state = PictureState.DELETED
    else:
        picture.state, picture.reason = image.state, (image.reason_detail or image.reason or "")[:_MOST_CHARS]
    if picture.state == PictureState.REJECTED:
        refuse(picture, picture.reason, using, PictureState.REJECTED)
    else:
        picture.save(using=using, update_fields=["state", "reason"])


def object_of(picture: UploadedPicture, using: str) -> Any | None:
    """Return the object that a picture is of, if there is one."""
    objects = _objects(picture, using)
    return None if objects is None else objects.first()


def clear(picture: UploadedPicture, using: str) -> None:
    """Erase a picture, and every earlier one of its field; the object has none any more."""
    with transaction.atomic(using=using):
        if (objects := _objects(picture, using)) is not None:
            objects.update(**{picture.field: ""})
        rows = UploadedPicture.objects.using(using)
        note_erasures(rows.filter(model=picture.model, object_pk=picture.object_pk, field=picture.field), using)


def erase_all_of(instance: Any, field_name: str, using: str) -> None:
    """Erase every picture of an object's field."""
    note_erasures(pictures_of(instance, field_name, using).defer("content"), using)


def _objects(picture: UploadedPicture, using: str) -> QuerySet[Any] | None:
    try:
        model = apps.get_model(picture.model)
    except (LookupError, ValueError):  # the model is no more
        return None
    return model._base_manager.using(using).filter(pk=picture.object_pk)  # noqa: SLF001 - documented for this


def _keep(rows: QuerySet[UploadedPicture], content: bytes, reason: str) -> str:
    """Note that a picture could not be sent; its bytes are kept until they are, if the project wants that."""
    if not conf.configuration().keep_unsent:
        rows.update(state=PictureState.LOST, reason=reason, content=None)
        return PictureState.LOST
    rows.update(state=PictureState.UNSENT, reason=reason, content=content)
    return PictureState.UNSENT


def _unsent(error: NightlightError) -> str:
    _LOG.error("a picture could not be sent yet: %s", error)
    return "the service could not be reached" if error.retryable else "the service does not let this site upload"
