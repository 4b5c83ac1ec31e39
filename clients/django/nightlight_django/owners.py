"""Whose picture an object has: the account's primary key, as text, is the profile's id."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from django.db.models import FileField, Model

from nightlight_core.ids import is_profile_id

# What is asked about where an account has no id, or one that no profile can have: no profile can have this one either.
NO_PROFILE = "."


class OwnedField(FileField):
    """A field of an account's, or of an object whose foreign key ``owner`` leads to the account."""

    owner: str | None = None

    def owner_attribute(self) -> str | None:
        """Return the attribute of an object that holds the account's key; None if the object is the account."""
        if self.owner is None:
            return None
        return cast("str", self.model._meta.get_field(self.owner).attname)  # noqa: SLF001 - documented for this


def picture_fields(model: type[Model]) -> list[OwnedField]:
    """Return the fields of a model that are protected pictures."""
    return [field for field in model._meta.concrete_fields if isinstance(field, OwnedField)]  # noqa: SLF001 - likewise


def profile_id_of(owner: Any) -> str:
    """Return the profile id of an account, of an object with a picture, or of what is such an id itself."""
    if isinstance(owner, Model):
        attribute = _owner_attribute(cast("Any", type(owner)))
        owner = owner.pk if attribute is None else getattr(owner, attribute)
    text = str(owner)
    return NO_PROFILE if owner is None or not is_profile_id(text) else text


@cache
def _owner_attribute(model: Any) -> str | None:
    """Return the attribute that holds the account's key, where the objects of a model are no accounts themselves."""
    fields = picture_fields(model)
    return fields[0].owner_attribute() if fields else None
