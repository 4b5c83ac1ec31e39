"""Template tags: ``{% load nightlight %}``.

::

    {% avatars users as pictures %}                   one call for the whole page
    {% for picture in pictures %}{{ picture }}{% endfor %}
    {% avatar user class="round" context="profile" %}   one picture: of those asked about, or by a call of its own
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template
from django.utils.safestring import SafeString

from nightlight_django.avatars import Avatar
from nightlight_django.avatars import avatars as decided

register = template.Library()


@register.simple_tag
def avatars(owners: Iterable[Any], context: str | None = None) -> list[Avatar]:
    """Return the pictures of accounts for the viewer of the request."""
    return decided(owners, context)


@register.simple_tag
def avatar(owner: Any, context: str | None = None, alt: str | None = None, **attributes: str) -> SafeString:
    """Write the picture of an account as an image element."""
    (picture,) = decided([owner], context)
    if alt is not None:
        picture = Avatar(owner, picture.url, picture.blurhash, picture.capture, alt)
    return picture.html(css_class=str(attributes.pop("class", "")))
