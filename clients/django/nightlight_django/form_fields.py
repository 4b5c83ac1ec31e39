"""Forms: a file is looked at before it is taken, and what the service refuses is an error of the form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from nightlight_django import conf
from nightlight_django.models import PictureState, UploadedPicture, pictures_of

# How files of the kinds that the service takes begin: JPEG, PNG, GIF, WebP; AVIF and HEIC say theirs after four bytes.
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"RIFF", b"\xff\x0a", b"\0\0\0\x0cJXL ")
_BOX, _HEAD_BYTES = slice(4, 8), 16
_ACCEPT = "image/jpeg,image/png,image/webp,image/avif,image/heic,image/gif"
# What an owner is told of, until the next picture.
UNUSABLE = frozenset({PictureState.REFUSED, PictureState.REJECTED, PictureState.LOST})


class NightlightImageFormField(forms.FileField):
    """A file that may be a picture: nothing of it is decoded here."""

    widget = forms.ClearableFileInput

    def to_python(self, data: Any) -> Any:
        """Return the file; raises ValidationError for one that the service would refuse."""
        file = super().to_python(data)
        if file is None:
            return None
        most = conf.configuration().max_upload_bytes
        if file.size > most:
            raise ValidationError(f"The file is too large: at most {most // 1_000_000} MB.", code="too_large")
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        if not head.startswith(_BEGINNINGS) and head[_BOX] != b"ftyp":
            raise ValidationError(
                "This is no picture that can be used: JPEG, PNG, WebP, AVIF, HEIC or GIF.", code="invalid_image"
            )
        return file

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Return the attributes of the input."""
        attributes: dict[str, Any] = {"accept": _ACCEPT}
        attributes.update(super().widget_attrs(widget))
        return attributes


class PictureWidget(forms.ClearableFileInput):
    """The picture as whoever is signed in may see it, how far it is, and the input for another."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        """Return the input after the picture; the box to clear it erases it."""
        shown = describe(value.instance, name) if hasattr(value, "instance") and value.instance.pk else SafeString("")
        return SafeString(shown + super().render(name, value, attrs, renderer))

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        """Return what the template shows: the upload's key is no name for people."""
        context: dict[str, Any] = super().get_context(name, value, attrs)
        context["widget"]["value"] = "the picture" if context["widget"]["value"] else None
        return context


def describe(instance: Any, field_name: str) -> SafeString:
    """Return a picture as the viewer of the request may see it, with its state, and why it is refused."""
    from nightlight_django.avatars import avatars

    (avatar,) = avatars([instance], "profile")
    newest = pictures_of(instance, field_name, "default").defer("content").first()
    lines = [] if newest is None else [newest.get_state_display(), newest.reason]
    texts = format_html_join("", "<p>{}</p>", ((line,) for line in lines if line))
    return format_html('<div class="nightlight-picture">{}{}</div>', avatar.html(), texts)


def refusal(instance: Any, field_name: str, using: str = "default") -> str | None:
    """Return why the newest picture of an object cannot be used, in words for its owner; None if nothing is wrong."""
    newest: UploadedPicture | None = pictures_of(instance, field_name, using).defer("content").first()
    if newest is None or newest.state not in UNUSABLE:
        return None
    label: str = newest.get_state_display()
    return (newest.reason or label) if newest.state != PictureState.LOST else label


def add_refusals(form: forms.ModelForm) -> bool:
    """Add an error for each new picture of a saved form that the service refused; return whether there is one.

    Call it once the transaction is committed: before that nothing is sent.
    """
    for name, field in form.fields.items():
        if isinstance(field, NightlightImageFormField) and name in form.changed_data:
            reason = refusal(form.instance, name)
            if reason is not None:
                form.add_error(name, ValidationError(reason, code="refused"))
    return bool(form.errors)


class RefusedPictureMixin:
    """For CreateView and UpdateView: a picture that the service refused is an error of the form."""

    request: HttpRequest

    def form_valid(self, form: forms.ModelForm) -> HttpResponse:
        """Save the form; show it again if the picture is refused. What else it says is saved by then."""
        response: HttpResponse = super().form_valid(form)  # type: ignore[misc]  # of the view
        if add_refusals(form):
            return self.form_invalid(form)  # type: ignore[attr-defined]  # of the view
        return response
