"""``/v1/takedowns/{takedown_id}/review``: a notice's matches for whoever reviews them, with both pictures softened."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field

from nightlight.catalogue.takedown_reviews import READY, ReviewPicture
from nightlight.delivery.access_tokens import TokenScope
from nightlight.flows.takedowns.make_review_picture import MEDIA_TYPE
from nightlight.flows.takedowns.review import TakedownReview
from nightlight_core.ids import IMAGE_ID_PATTERN
from service.answers import answer, services
from service.auth import ScopedRoute, caller, requires
from service.routes.takedowns import TakedownIdPath

router = APIRouter(prefix="/v1/takedowns", tags=["takedowns"], route_class=ScopedRoute)

# It may be a picture of abuse: no cache keeps it, and no page of another site shows it.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class SoftenedPicture(BaseModel):
    """A softened picture."""

    review_id: str
    state: str = Field(description="pending, ready or failed.")
    reason: str | None = Field(description="Why there is none: a code.")
    path: str | None = Field(description="Where it is given, once it is ready.")
    expires_at: str | None = Field(description="From then on it cannot be fetched (RFC 3339).")


class ReviewedMatchAnswer(BaseModel):
    """A match as a reviewer needs it: it names no profile."""

    image_id: str
    state: str
    distance: int = Field(description="Between perceptual hashes, of 256 bits.")
    verdict: str = Field(description="open or confirmed (hidden), aside (not hidden until confirmed) or cleared.")
    found_at: str
    picture: SoftenedPicture | None = Field(description="null: not asked for.")


class TakedownReviewAnswer(BaseModel):
    """A notice and its matches; those that wait for a person come first."""

    takedown_id: str
    state: str
    kind: str
    reference: str
    picture: SoftenedPicture | None = Field(
        description="The notice's picture, or an image that a person said is that picture. null: not asked for, or "
        "there is nothing that could stand for it any more."
    )
    matches: list[ReviewedMatchAnswer]


def _picture(row: ReviewPicture | None) -> SoftenedPicture | None:
    if row is None:
        return None
    path = f"/v1/takedowns/{row.takedown_id}/review/pictures/{row.review_id}" if row.state == READY else None
    return answer(SoftenedPicture, row, path=path)


def _review(review: TakedownReview) -> TakedownReviewAnswer:
    matches = [answer(ReviewedMatchAnswer, entry.match, picture=_picture(entry.picture)) for entry in review.matches]
    return answer(TakedownReviewAnswer, review.takedown, picture=_picture(review.picture), matches=matches)


@router.post("/{takedown_id}/review", status_code=202)
@requires(TokenScope.REVIEW)
def ask(request: Request, takedown_id: TakedownIdPath) -> TakedownReviewAnswer:
    """Ask for softened pictures of the notice and of the next 25 matches that wait for a person.

    A worker makes them; each is there for some hours. 409: the notice does not stand.
    """
    return _review(services(request).review_softened.ask(takedown_id, actor=caller(request).subject))


@router.get("/{takedown_id}/review")
@requires(TokenScope.REVIEW)
def status(request: Request, takedown_id: TakedownIdPath) -> TakedownReviewAnswer:
    """Return a notice and its matches, with the softened pictures that there are."""
    return _review(services(request).review_softened.status(takedown_id))


@router.get(
    "/{takedown_id}/review/pictures/{review_id}",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {}}, "description": "The softened picture."}},
)
@requires(TokenScope.REVIEW)
def picture(
    request: Request, takedown_id: TakedownIdPath, review_id: Annotated[str, Path(pattern=IMAGE_ID_PATTERN)]
) -> Response:
    """Give a softened picture while it is there."""
    data = services(request).review_softened.give(takedown_id, review_id, actor=caller(request).subject)
    return Response(data, media_type=MEDIA_TYPE, headers=_HEADERS)
