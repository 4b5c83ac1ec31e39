"""``/review``: pages on which a person compares a notice's picture with each match, both softened, and decides."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from nightlight.delivery.access_tokens import TokenScope
from nightlight.flows.takedowns.make_review_picture import MEDIA_TYPE
from nightlight.flows.takedowns.review import MOST_AT_ONCE
from nightlight_core.errors import InvalidInput, Unauthenticated
from nightlight_core.ids import IMAGE_ID_PATTERN, parse_image_id
from service.answers import services
from service.auth import caller, verified
from service.console.html_response import HEADERS, page
from service.console.session import SIGN_IN, ConsoleRoute, form, form_token, sign_in, sign_out

# Pages are for people, not for programs: they stand in no document of the API.
router = APIRouter(prefix="/review", route_class=ConsoleRoute, include_in_schema=False)

IdPath = Annotated[str, Path(pattern=IMAGE_ID_PATTERN)]
_NOTICES = "/review/takedowns"
_SEE_OTHER = 303


@router.get("/sign-in")
async def sign_in_page() -> Response:
    """Ask for a token."""
    return page("sign_in.html", action=SIGN_IN, refused=False)


@router.post("/sign-in")
async def take_token(request: Request) -> Response:
    """Begin a session with a token that may review."""
    token = (await form(request)).get("token", "").strip()
    try:
        await verified(request, token, TokenScope.REVIEW)
    except Unauthenticated:
        return page("sign_in.html", status=Unauthenticated.status, action=SIGN_IN, refused=True)
    return sign_in(RedirectResponse(_NOTICES, _SEE_OTHER, HEADERS), token)


@router.post("/sign-out")
async def end_session() -> Response:
    """End the session."""
    return sign_out(RedirectResponse(SIGN_IN, _SEE_OTHER, HEADERS))


@router.get("/takedowns")
def notices(request: Request) -> Response:
    """Show the notices that have not ended."""
    listed = services(request).takedown_review.listed(open_only=True)
    return page("notices.html", notices=listed, form_token=form_token(request))


@router.get("/takedowns/{takedown_id}")
def notice(request: Request, takedown_id: IdPath) -> Response:
    """Show the matches that wait, each beside the notice's picture."""
    review = services(request).review_softened.status(takedown_id)
    entries = review.waiting[:MOST_AT_ONCE]
    rows = [review.picture, *(entry.picture for entry in entries)]
    return page(
        "notice.html",
        notice=review.takedown,
        notice_picture=review.picture,
        entries=entries,
        waiting=len(review.waiting),
        preparing=any(row is not None and row.state == "pending" for row in rows),
        folder=f"{_NOTICES}/{takedown_id}",
        form_token=form_token(request),
    )


@router.post("/takedowns/{takedown_id}/prepare")
def prepare(request: Request, takedown_id: IdPath) -> Response:
    """Ask for the softened pictures of the next matches."""
    services(request).review_softened.ask(takedown_id, actor=caller(request).subject)
    return RedirectResponse(f"{_NOTICES}/{takedown_id}", _SEE_OTHER, HEADERS)


@router.post("/takedowns/{takedown_id}/matches/{image_id}")
async def decide(request: Request, takedown_id: IdPath, image_id: IdPath) -> Response:
    """Confirm or clear a match."""
    flow, verdict = services(request).takedown_review, (await form(request)).get("verdict")
    verdicts = {"confirmed": flow.confirm, "cleared": flow.clear}
    if verdict not in verdicts:
        raise InvalidInput("a verdict is confirmed or cleared")
    await run_in_threadpool(verdicts[verdict], takedown_id, parse_image_id(image_id), actor=caller(request).subject)
    return RedirectResponse(f"{_NOTICES}/{takedown_id}", _SEE_OTHER, HEADERS)


@router.get("/takedowns/{takedown_id}/pictures/{review_id}")
def picture(request: Request, takedown_id: IdPath, review_id: IdPath) -> Response:
    """Give a softened picture."""
    data = services(request).review_softened.give(takedown_id, review_id, actor=caller(request).subject)
    return Response(data, media_type=MEDIA_TYPE, headers=HEADERS)
