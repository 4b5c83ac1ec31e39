"""The client for asyncio: what a feed asks for while it is put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import IO, Any, Self

import httpx

from nightlight_client import paths
from nightlight_client.failures import Failures
from nightlight_client.models import Decision, Image
from nightlight_client.requests import TIMEOUT, Asking, Budget, Items, said


class AsyncNightlightClient:
    """Speaks to one Nightlight service from one event loop. Close it, or use it as a context."""

    def __init__(
        self,
        base_url: str,
        *,
        token: str | Callable[[], str],
        relation_keys: Mapping[str, bytes] | None = None,
        viewer_id: str | None = None,
        budget_s: float = 1.0,
    ) -> None:
        """Take what NightlightClient takes."""
        self._token = token if callable(token) else lambda: token
        self._relation_keys = relation_keys or {}
        self._viewer_id, self._budget_s = viewer_id, budget_s
        self._http = httpx.AsyncClient(base_url=base_url, timeout=TIMEOUT)
        self.failures = Failures(base_url)

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def decide(
        self,
        viewer: str,
        context: str,
        items: Items,
        *,
        viewer_id: str | None = None,
        network: str | None = None,
        budget_s: float | None = None,
    ) -> list[Decision]:
        """Return one decision for each (profile id, relation), in order, as NightlightClient does."""
        asking = Asking.of(viewer, context, items, viewer_id or self._viewer_id, self._relation_keys, network)
        budget = Budget(self._budget_s if budget_s is None else budget_s)
        found = await self._attempt(asking, budget)
        for wait in budget.pauses() if found is None else ():
            await asyncio.sleep(wait)
            found = await self._attempt(asking, budget)
            if found is not None:
                break
        return asking.fallback() if found is None else found

    async def declare(self, profile_id: str, **words: str) -> None:
        """Declare a profile, or assert its band again before it lapses; words as for NightlightClient."""
        await self._call("PUT", paths.path("/v1/profiles/{profile_id}", profile_id=profile_id), json=words)

    async def upload(
        self,
        profile_id: str,
        picture: IO[bytes] | bytes,
        *,
        idempotency_key: str | None = None,
        crop: tuple[int, int, int, int] | None = None,
    ) -> Image:
        """Upload a profile's image, as NightlightClient does."""
        headers = paths.idempotency(idempotency_key)
        files = {"file": ("picture", picture, "application/octet-stream")}
        fields = {"crop": ",".join(map(str, crop))} if crop else {}
        target = paths.path("/v1/profiles/{profile_id}/image", profile_id=profile_id)
        return Image.model_validate(await self._call("POST", target, files=files, data=fields, headers=headers))

    async def image(self, image_id: str) -> Image:
        """Return how an upload is getting on."""
        return Image.model_validate(await self._call("GET", paths.path("/v1/images/{image_id}", image_id=image_id)))

    async def delete_image(self, image_id: str) -> None:
        """Delete one image."""
        await self._call("DELETE", paths.path("/v1/images/{image_id}", image_id=image_id))

    async def delete_profile(self, profile_id: str) -> None:
        """Delete a profile and all its images."""
        await self._call("DELETE", paths.path("/v1/profiles/{profile_id}", profile_id=profile_id))

    async def block(self, profile_id: str, viewer_id: str) -> None:
        """Keep a viewer from seeing a profile, whatever else is said of the two."""
        await self._call("POST", "/v1/blocks", json=paths.ids(profile_id=profile_id, viewer_id=viewer_id))

    async def unblock(self, profile_id: str, viewer_id: str) -> None:
        """Take a block away."""
        await self._call(
            "DELETE", paths.path("/v1/blocks/{profile_id}/{viewer_id}", profile_id=profile_id, viewer_id=viewer_id)
        )

    async def revoke(self, profile_id: str) -> None:
        """Make every URL that was given out of a profile's pictures count for nothing."""
        await self._call("POST", paths.path("/v1/profiles/{profile_id}/revocations", profile_id=profile_id))

    async def _attempt(self, asking: Asking, budget: Budget) -> list[Decision] | None:
        try:
            async with asyncio.timeout(max(budget.left, 0)):
                answer = await self._http.post("/v1/decisions", json=asking.body, headers=self._bearer())
        except (httpx.HTTPError, TimeoutError) as error:
            self.failures.note_error(error)
            return None
        return asking.answered(answer, self.failures)

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        headers = {**self._bearer(), **arguments.pop("headers", {})}
        with self.failures.noting():
            return said(await self._http.request(method, path, headers=headers, **arguments))

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token()}"}
