"""The admin: pictures as an operator may see them, their states, why they were refused, and a link to erase each."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from nightlight_django import outbox
from nightlight_django.avatars import Avatar, avatars
from nightlight_django.fields import NightlightImageField
from nightlight_django.form_fields import PictureWidget, describe
from nightlight_django.models import UnsentErasure, UploadedPicture, pictures_of
from nightlight_django.owners import picture_fields


class PictureAdminMixin:
    """For the ModelAdmin of a model with a picture: its widget, and a column and field ``nightlight_picture``."""

    formfield_overrides: ClassVar[dict[Any, Any]] = {NightlightImageField: {"widget": PictureWidget}}

    @admin.display(description="picture")
    def nightlight_picture(self, instance: Any) -> SafeString:
        """Return the picture with its state, and a link to erase it."""
        (field,) = picture_fields(type(instance))[:1]
        newest = pictures_of(instance, field.name, "default").defer("content").first()
        shown = describe(instance, field.name)
        if newest is None:
            return shown
        link = reverse("admin:nightlight_django_uploadedpicture_delete", args=[newest.key])
        return format_html('{}<p><a href="{}">Erase</a></p>', shown, link)


class _ReadOnly(admin.ModelAdmin):
    def has_add_permission(self, request: Any) -> bool:  # noqa: ARG002 - Django's
        """Say that rows come of uploads alone."""
        return False

    def has_change_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002 - Django's
        """Say that rows change by what the service says alone."""
        return False


@admin.register(UploadedPicture)
class UploadedPictureAdmin(_ReadOnly):
    """Uploads: deleting one erases the picture."""

    list_display = ("shown", "profile_id", "state", "reason", "created_at")
    list_filter = ("state",)
    search_fields = ("profile_id", "image_id")
    list_per_page = 100
    exclude = ("content",)

    def get_queryset(self, request: Any) -> Any:
        """Return the rows without the bytes of pictures."""
        return super().get_queryset(request).defer("content")

    @admin.display(description="as you may see it")
    def shown(self, picture: UploadedPicture) -> SafeString:
        """Return the account's picture."""
        avatar: Avatar = avatars([picture.profile_id], "profile")[0]
        return avatar.html()

    def get_changelist_instance(self, request: Any) -> Any:
        """Return the list, and ask about its pictures at once."""
        changes = super().get_changelist_instance(request)
        avatars([picture.profile_id for picture in changes.result_list], "profile")
        return changes

    def delete_model(self, request: Any, obj: UploadedPicture) -> None:  # noqa: ARG002 - Django's
        """Erase a picture."""
        outbox.clear(obj, "default")

    def delete_queryset(self, request: Any, queryset: Any) -> None:  # noqa: ARG002 - Django's
        """Erase pictures."""
        for picture in queryset:
            outbox.clear(picture, "default")


@admin.register(UnsentErasure)
class UnsentErasureAdmin(_ReadOnly):
    """Erasures that wait for ``nightlight_sync``; they cannot be called off here."""

    list_display = ("profile_id", "image_id", "created_at")

    def has_delete_permission(self, request: Any, obj: Any = None) -> bool:  # noqa: ARG002 - Django's
        """Say that an erasure is not called off."""
        return False
