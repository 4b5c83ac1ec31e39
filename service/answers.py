"""What routes share: the parts that they call, the bodies that they take, and answers made of what the parts return."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from fastapi import Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from nightlight.wiring.service_container import ServiceContainer

_Answer = TypeVar("_Answer", bound=BaseModel)
# A consistency token is a change's number, which a decision may ask to be no older than, on whatever node. The node
# that made the change needs no token: ``service.auth`` expires its views.
CONSISTENCY = "Nightlight-Consistency"
CONSISTENCY_PATTERN = r"^[1-9][0-9]{0,17}$"
# A word of the policy's vocabulary.
Word = Annotated[str, Field(min_length=1, max_length=32)]


def _in_utc(moment: datetime) -> datetime:
    """Return a moment in UTC; raise ValueError where it is beyond the calendar there."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("the moment is beyond the years 1 to 9999 in UTC") from error


# A moment in a body, with its offset (RFC 3339); read as UTC.
Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class Body(BaseModel):
    """The body of a request; a member that it does not know is refused."""

    model_config = ConfigDict(extra="forbid")


def changed(number: int) -> Response:
    """Return the empty answer to a change that was made, with its token."""
    return Response(status_code=204, headers={CONSISTENCY: str(number)})


def json_response(data: bytes) -> Response:
    """Return the answer with a JSON text that nobody keeps."""
    return Response(data, media_type="application/json", headers={"Cache-Control": "no-store"})


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
