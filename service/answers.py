"""What routes share: the parts that they call, and answers made of what these return."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import Request
from pydantic import BaseModel

if TYPE_CHECKING:
    from nightlight.wiring.service_container import ServiceContainer

_Answer = TypeVar("_Answer", bound=BaseModel)


def services(request: Request) -> ServiceContainer:
    """Return the parts that wiring built."""
    container: ServiceContainer = request.app.state.services
    return container


def answer(model: type[_Answer], source: object, **others: Any) -> _Answer:
    """Return an answer whose fields are those of ``source`` with the same names, but for ``others``.

    Moments are given as RFC 3339 text.
    """
    fields = {name: getattr(source, name) for name in model.model_fields if name not in others}
    plain = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in fields.items()}
    return model(**plain, **others)
