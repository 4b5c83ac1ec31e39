"""``/v1/profiles/{profile_id}/export``: a person's own data, for that person."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from nightlight import logs
from nightlight.catalogue.exports import ExportRow
from nightlight.delivery.access_tokens import TokenScope
from nightlight.flows.exports.requests import SEALED, ZIP, GivenExport
from nightlight.store.age_sealing import RECIPIENT_PATTERN
from nightlight_core.ids import parse_profile_id
from service.answers import Body, answer, services
from service.auth import ScopedRoute, caller, requires
from service.profile_ids import ProfileIdPath

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

router = APIRouter(prefix="/v1/profiles", tags=["exports"], route_class=ScopedRoute)

# It is somebody's own picture at full size: no cache keeps it, and no browser shows it in place of the platform's page.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# It is sent in pieces, so that no more than one waits in the server's buffer for a reader. One who takes longer than a
# minute and a second for each 50 kB (400 kbit/s) is cut off: others wait for the place.
_PIECE, _GRACE_S, _LEAST_RATE = 262_144, 60.0, 50_000


class ExportBody(Body):
    """How the export is wanted."""

    seal_to: Annotated[str, Field(pattern=RECIPIENT_PATTERN)] | None = Field(
        default=None,
        description="An age recipient (`age1...`): the archive is encrypted to it, and opened by `age -d`.",
    )


class ExportAnswer(BaseModel):
    """The export of a profile."""

    export_id: str
    state: str = Field(description="pending, ready or failed.")
    reason: str | None = Field(description="Why it failed: a code.")
    sealed_to: str | None = Field(description="The age recipient that was asked for.")
    bytes: int | None
    sha256: str | None = Field(description="Of the bytes that are given, in hexadecimal.")
    created_at: str = Field(description="RFC 3339.")
    finished_at: str | None = Field(description="RFC 3339.")
    expires_at: str | None = Field(description="From then on it cannot be fetched (RFC 3339).")


def _answer(row: ExportRow) -> ExportAnswer:
    return answer(ExportAnswer, row, sealed_to=row.seal_to)


@router.post("/{profile_id}/export", status_code=202)
@requires(TokenScope.EXPORT)
def ask(
    request: Request, response: Response, profile_id: ProfileIdPath, body: ExportBody | None = None
) -> ExportAnswer:
    """Ask for a person's own data: originals, what was declared, renditions, receipts. A worker puts it together.

    It takes the place of an earlier export of the profile. A deactivated account has one too. Give it to nobody but the
    person: the original is in it. It is deleted after a day, and with the profile.
    """
    row = services(request).exports.ask(
        parse_profile_id(profile_id), seal_to=body.seal_to if body else None, actor=caller(request).subject
    )
    response.headers["Location"] = f"/v1/profiles/{profile_id}/export"
    return _answer(row)


@router.get("/{profile_id}/export")
@requires(TokenScope.EXPORT)
def status(request: Request, profile_id: ProfileIdPath) -> ExportAnswer:
    """Say how the export of a profile gets on. 404: there is none, it has expired, or there is no such profile."""
    return _answer(services(request).exports.status(parse_profile_id(profile_id)))


@router.get(
    "/{profile_id}/export/file",
    response_class=Response,
    responses={200: {"content": {ZIP: {}, SEALED: {}}, "description": "The archive; sealed where that was asked for."}},
)
@requires(TokenScope.EXPORT)
async def give(request: Request, profile_id: ProfileIdPath) -> Response:
    """Give the archive, a ZIP file, once it is ready; `application/octet-stream` where it is sealed."""
    flow, who = services(request).exports, caller(request).subject
    return ExportFile(await run_in_threadpool(flow.give, parse_profile_id(profile_id), actor=who))


class ExportFile(StreamingResponse):
    """The archive. It keeps its place among those that are given at once until it has been sent."""

    def __init__(self, given: GivenExport, *, within_s: float | None = None) -> None:
        """Take an export; ``within_s``: the seconds that sending it may take, by its size unless given."""
        digest = base64.b64encode(bytes.fromhex(given.row.sha256 or "")).decode()
        name = "export.zip.age" if given.sealed else "export.zip"
        headers = {
            **_HEADERS,
            "Content-Disposition": f'attachment; filename="{name}"',
            "Content-Length": str(len(given.data)),
            "Repr-Digest": f"sha-256=:{digest}:",  # RFC 9530
        }
        super().__init__(_pieces(given), media_type=SEALED if given.sealed else ZIP, headers=headers)
        self._given = given
        self._within_s = _GRACE_S + len(given.data) / _LEAST_RATE if within_s is None else within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and give its place back however that ends."""
        try:
            async with asyncio.timeout(self._within_s):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            logs.get("service").warning("export.reader_too_slow", detail=f"{self._within_s:.0f} s")
        finally:
            self._given.release()


async def _pieces(given: GivenExport) -> AsyncIterator[memoryview]:
    """Yield the bytes of an export, piece by piece."""
    data = memoryview(given.data)
    for at in range(0, len(data), _PIECE):
        yield data[at : at + _PIECE]


@router.delete("/{profile_id}/export", status_code=204)
@requires(TokenScope.EXPORT)
def remove(request: Request, profile_id: ProfileIdPath) -> Response:
    """Remove the export of a profile before its day is over."""
    services(request).exports.remove(parse_profile_id(profile_id), actor=caller(request).subject)
    return Response(status_code=204)
