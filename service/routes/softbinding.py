"""``/v1/c2pa``: the C2PA Soft Binding Resolution API (2.4), and where it is. For investigators."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from nightlight.delivery.access_tokens import TokenScope
from nightlight.flows.traces.manifest_lookup import ManifestMatch
from nightlight.provenance.manifest import HASH_ALGORITHM, LABEL_PATTERN, WATERMARK_ALGORITHM
from service.answers import Body, services
from service.auth import ScopedRoute, caller, public, requires
from service.multipart import picture, picture_body

router = APIRouter(tags=["provenance"], route_class=ScopedRoute)

_API, _VERSION = "/v1/c2pa", "2.4.0"
# The one path that takes a picture as its body.
BY_CONTENT = f"{_API}/matches/byContent"
_MANIFEST_TYPE = "application/c2pa"
_MOST_VALUE, _MOST_URL = 200, 2_000
Algorithm = Annotated[str, Field(min_length=1, max_length=100)]
Value = Annotated[str, Field(min_length=1, max_length=_MOST_VALUE, description="Base64.")]
MostResults = Annotated[int, Query(ge=1, le=100)]


class Discovery(BaseModel):
    """Where the API is."""

    apiEndpoint: str  # noqa: N815 - the specification's names, here and below
    c2paSpecificationVersion: str  # noqa: N815
    capabilitiesEndpoint: str  # noqa: N815
    statusEndpoint: str  # noqa: N815


class Capabilities(BaseModel):
    """Which of the specification's optional parts there are."""

    c2paSpecificationVersion: str  # noqa: N815
    supportedCapabilities: list[str]  # noqa: N815


class Status(BaseModel):
    """Whether it works."""

    status: str
    timestamp: str


class AlgorithmAnswer(BaseModel):
    """One soft binding algorithm."""

    alg: str


class Algorithms(BaseModel):
    """What bindings are known here."""

    watermarks: list[AlgorithmAnswer]
    fingerprints: list[AlgorithmAnswer]


class BindingBody(Body):
    """One soft binding."""

    alg: Algorithm
    value: Value


class ReferenceBody(Body):
    """A picture of this deployment, by its URL."""

    referenceUrl: str = Field(max_length=_MOST_URL, pattern="^https?://", description="Nothing is fetched from it.")  # noqa: N815
    assetLength: int = Field(ge=0)  # noqa: N815
    assetType: str | None = Field(default=None, max_length=100)  # noqa: N815


class MatchAnswer(BaseModel):
    """One manifest."""

    manifestId: str  # noqa: N815
    similarityScore: int = Field(ge=0, le=100)  # noqa: N815


class MatchesAnswer(BaseModel):
    """Manifests, the likeliest first."""

    matches: list[MatchAnswer]


@router.get("/.well-known/c2pa-soft-binding-resolution")
@public
def discovery(request: Request) -> Discovery:
    """Say where the Soft Binding Resolution API is."""
    base = f"{services(request).settings.delivery.base_url.rstrip('/')}{_API}"
    return Discovery(
        apiEndpoint=base,
        c2paSpecificationVersion=_VERSION,
        capabilitiesEndpoint=f"{base}/services/capabilities",
        statusEndpoint=f"{base}/services/status",
    )


@router.get(f"{_API}/services/capabilities")
@public
def capabilities() -> Capabilities:
    """Say which optional parts there are."""
    return Capabilities(c2paSpecificationVersion=_VERSION, supportedCapabilities=["queryByContent", "queryByReference"])


@router.get(f"{_API}/services/status")
@public
def status() -> Status:
    """Say that it answers; how its parts do is for operators, at `/readyz`."""
    return Status(status="ok", timestamp=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"))


@router.get(f"{_API}/services/supportedAlgorithms")
@public
def supported() -> Algorithms:
    """Say which soft bindings are known here."""
    return Algorithms(
        watermarks=[AlgorithmAnswer(alg=WATERMARK_ALGORITHM)], fingerprints=[AlgorithmAnswer(alg=HASH_ALGORITHM)]
    )


@router.get(f"{_API}/matches/byBinding")
@requires(TokenScope.TRACE)
def by_binding(
    request: Request,
    alg: Annotated[str, Query(min_length=1, max_length=100)],
    value: Annotated[str, Query(min_length=1, max_length=_MOST_VALUE, description="Base64.")],
    maxResults: MostResults = 10,  # noqa: N803
) -> MatchesAnswer:
    """Return the manifests that a soft binding leads to."""
    return _answer(_by_binding(request, alg, value), maxResults)


@router.post(f"{_API}/matches/byBinding")
@requires(TokenScope.TRACE)
def by_large_binding(request: Request, body: BindingBody, maxResults: MostResults = 10) -> MatchesAnswer:  # noqa: N803
    """Return the manifests that a soft binding leads to."""
    return _answer(_by_binding(request, body.alg, body.value), maxResults)


@router.post(BY_CONTENT, openapi_extra=picture_body())
@requires(TokenScope.TRACE)
async def by_content(
    request: Request,
    alg: Annotated[str | None, Query(min_length=1, max_length=100)] = None,
    maxResults: MostResults = 10,  # noqa: N803
) -> MatchesAnswer:
    """Return the manifests of what a copy may come from: by its invisible watermark, then by its perceptual hash.

    With `alg` by the one or the other alone. It waits for a worker, up to 15 seconds. It counts as a trace; the copy is
    deleted afterwards.
    """
    async with picture(request) as file:
        actor = caller(request).subject
        matches = await run_in_threadpool(services(request).resolve.by_content, file, algorithm=alg, actor=actor)
    return _answer(matches, maxResults)


@router.post(f"{_API}/matches/byReference")
@requires(TokenScope.TRACE)
def by_reference(request: Request, body: ReferenceBody, maxResults: MostResults = 10) -> MatchesAnswer:  # noqa: N803
    """Return the manifest of a picture that this deployment gave out, by its URL, expired or not.

    The URL's name is looked up; nothing is fetched, from here or elsewhere. A picture that was renamed since, as after
    a block, is found by its content.
    """
    return _answer(services(request).resolve.by_reference(body.referenceUrl, actor=caller(request).subject), maxResults)


@router.get(
    f"{_API}/manifests/{{manifestId}}", response_class=Response, responses={200: {"content": {_MANIFEST_TYPE: {}}}}
)
@requires(TokenScope.TRACE)
def manifest(
    request: Request,
    manifestId: Annotated[str, Path(pattern=f"^{LABEL_PATTERN}$")],  # noqa: N803
    returnActiveManifest: bool = False,  # noqa: ARG001, FBT001, FBT002, N803 - there is one manifest in each store
) -> Response:
    """Return a manifest store, as C2PA readers take it beside a picture."""
    data = services(request).resolve.manifest(manifestId, actor=caller(request).subject)
    return Response(data, media_type=_MANIFEST_TYPE, headers={"Cache-Control": "no-store"})


def _by_binding(request: Request, alg: str, value: str) -> list[ManifestMatch]:
    return services(request).resolve.by_binding(alg, value, actor=caller(request).subject)


def _answer(matches: list[ManifestMatch], most: int) -> MatchesAnswer:
    return MatchesAnswer(
        matches=[MatchAnswer(manifestId=match.manifest_id, similarityScore=match.score) for match in matches[:most]]
    )
