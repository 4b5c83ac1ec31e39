"""An image field: its column holds the key of an upload, its URL is a decision for the viewer of the request."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core import checks
from django.core.exceptions import SuspiciousFileOperation
from django.db.models.fields.files import FieldFile

from nightlight_django.avatars import decision_for
from nightlight_django.form_fields import NightlightImageFormField
from nightlight_django.models import UploadedPicture
from nightlight_django.owners import OwnedField, picture_fields
from nightlight_django.storage import NightlightStorage

if TYPE_CHECKING:
    from django.core.files import File

KEY_CHARS = 32


class NewUpload(NamedTuple):
    """A picture that the object has and that is not noted yet."""

    key: str
    content: bytes
    previous: str


class NightlightFieldFile(FieldFile):
    """The picture of an object."""

    @property
    def url(self) -> str:
        """Return the URL to show the viewer of the request: the placeholder where there is none."""
        return decision_for(self.instance).url

    @property
    def picture(self) -> Any:
        """Return what is known of the upload: its state, and why it was refused; None for no upload."""
        return UploadedPicture.objects.filter(key=self.name or "").defer("content").first()

    @property
    def size(self) -> int:
        """Return the length of a file that is not sent yet; nothing is known of another."""
        if not self._committed:
            return int(self.file.size)
        raise SuspiciousFileOperation("nothing is known of an original but its picture's url")

    def save(self, name: str | None, content: File[bytes], save: bool = True) -> None:  # noqa: ARG002, FBT001, FBT002 - Django's
        """Take a file, which is sent once the object is saved and the transaction committed."""
        uploads = self.instance.__dict__.setdefault(UPLOADS, {})
        previous = uploads[self.field.name].previous if self.field.name in uploads else self.stored
        content.seek(0)
        self.name = secrets.token_hex(KEY_CHARS // 2)
        uploads[self.field.name] = NewUpload(self.name, content.read(), previous)
        setattr(self.instance, self.field.attname, self.name)
        self._committed = True
        if save:
            self.instance.save()

    def delete(self, save: bool = True) -> None:  # noqa: FBT001, FBT002 - Django's
        """Have no picture any more: it is erased once the object is saved and the transaction committed."""
        self.name = ""
        self.instance.__dict__.get(UPLOADS, {}).pop(self.field.name, None)
        setattr(self.instance, self.field.attname, "")
        self._committed = True
        if save:
            self.instance.save()

    @property
    def stored(self) -> str:
        """Return the key that the database has for this object."""
        if self.instance.pk is None:
            return ""
        rows = type(self.instance)._base_manager.filter(pk=self.instance.pk)  # noqa: SLF001 - documented for this
        return rows.values_list(self.field.attname, flat=True).first() or ""


# Where an object keeps its new uploads until it is saved.
UPLOADS = "_nightlight_uploads"


class NightlightImageField(OwnedField):
    """The protected picture of an account.

    ``owner`` names the foreign key to the account, where the object is not the account itself: ``owner="user"``.
    """

    attr_class = NightlightFieldFile
    description = "Protected picture"

    def __init__(
        self, verbose_name: str | None = None, name: str | None = None, *, owner: str | None = None, **options: Any
    ) -> None:
        """Take what a FileField takes; ``storage`` and ``upload_to`` are this field's own."""
        self.owner = owner
        options.update(storage=NightlightStorage(), upload_to="")
        super().__init__(verbose_name, name, **options)

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """Return what a migration holds of the field."""
        name, path, args, options = super().deconstruct()
        for own in ("storage", "upload_to"):
            options.pop(own, None)
        if self.owner is not None:
            options["owner"] = self.owner
        return name, path, args, options

    def formfield(self, **options: Any) -> Any:
        """Return the form field, which looks at a file before it is taken."""
        return super().formfield(**{"form_class": NightlightImageFormField, **options, "max_length": None})

    def check(self, **options: Any) -> list[checks.CheckMessage]:
        """Return what is wrong with the declaration of the field."""
        return [*super().check(**options), *self._check_owner(), *self._check_single()]

    def _check_owner(self) -> list[checks.CheckMessage]:
        names = {field.name for field in self.model._meta.concrete_fields if field.remote_field is not None}  # noqa: SLF001
        if self.owner is None or self.owner in names:
            return []
        return [checks.Error(f"owner={self.owner!r} is no foreign key of the model", obj=self, id="nightlight.E020")]

    def _check_single(self) -> list[checks.CheckMessage]:
        if picture_fields(self.model)[0] is self:
            return []
        return [checks.Error("a profile has one picture: one such field is enough", obj=self, id="nightlight.E021")]
