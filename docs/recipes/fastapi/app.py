"""A page of people with FastAPI: one client for the event loop, one question for each page."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Request, UploadFile
from fastapi.responses import JSONResponse

from nightlight_client import AsyncNightlightClient, NightlightError, Problem

# Your own: who is on the page, and who is connected with whom.
PEOPLE = ["ada", "ben", "eve"]
FRIENDS = {("ada", "ben"), ("ben", "ada")}
# What the owner of a picture is told as the service says it: too large, of no known format, refused.
OWNER_ERRORS = {413, 415, 422}


def signed_in(x_user: Annotated[str, Header()]) -> str:
    """Return who is signed in: whoever your session says. Never take it from a header that a viewer can set."""
    if x_user not in PEOPLE:
        raise HTTPException(401)
    return x_user


def relation(viewer: str, profile: str) -> str:
    """Return what a viewer is to a profile, by your own graph."""
    return "self" if viewer == profile else "connection" if (viewer, profile) in FRIENDS else "stranger"


def create_app(client: AsyncNightlightClient) -> FastAPI:
    """Return the application; its tests give it a client of the fake."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with client:
            await client.check("ingest", "decide")  # a wrong host, token or key ends the start here
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/people")
    async def people(viewer: Annotated[str, Depends(signed_in)]) -> list[dict[str, Any]]:
        pairs = [(profile, relation(viewer, profile)) for profile in PEOPLE]
        decisions = await client.decide("peer", "list", pairs, viewer_id=viewer)  # placeholders after its budget
        return [{"id": d.profile_id, "picture": d.url, "blurhash": d.blurhash} for d in decisions]

    @app.put("/me/picture", status_code=202)
    async def picture(viewer: Annotated[str, Depends(signed_in)], file: UploadFile) -> dict[str, str]:
        return {"image_id": (await client.upload(viewer, await file.read())).image_id}

    @app.exception_handler(NightlightError)
    async def failed(_: Request, error: NightlightError) -> JSONResponse:
        if isinstance(error, Problem) and error.status in OWNER_ERRORS:
            return JSONResponse({"detail": error.detail}, error.status)
        return JSONResponse({"detail": "try again later"}, 503, {"Retry-After": "5"} if error.retryable else None)

    return app


def from_environment() -> FastAPI:
    """Return the application of this deployment: ``uvicorn --factory app:from_environment``."""
    token, keys = os.environ["NIGHTLIGHT_TOKEN"], os.environ["NIGHTLIGHT_RELATIONS_KEYS"]
    return create_app(AsyncNightlightClient(os.environ["NIGHTLIGHT_URL"], token=token, relation_keys=keys))
