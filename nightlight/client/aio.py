"""The client for asyncio: what a feed asks for while it is put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import IO, Any, Self

import httpx

from nightlight.client.asking import TIMEOUT, Asking, Budget, Items, raise_for
from nightlight.client.models import Decision, Image


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

    async def declare(self, profile_id: str, **said: str) -> None:
        """Declare a profile, or assert its band again before it lapses; words as for NightlightClient."""
        await self._call("PUT", f"/v1/profiles/{profile_id}", json=said)

    async def upload(
        self,
        profile_id: str,
        picture: IO[bytes] | bytes,
        *,
        idempotency_key: str | None = None,
        crop: tuple[int, int, int, int] | None = None,
    ) -> Image:
        """Upload a profile's image, as NightlightClient does."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        files = {"file": ("picture", picture, "application/octet-stream")}
        fields = {"crop": ",".join(map(str, crop))} if crop else {}
        path = f"/v1/profiles/{profile_id}/image"
        return Image.model_validate(await self._call("POST", path, files=files, data=fields, headers=headers))

    async def image(self, image_id: str) -> Image:
        """Return how an upload is getting on."""
        return Image.model_validate(await self._call("GET", f"/v1/images/{image_id}"))

    async def delete_image(self, image_id: str) -> None:
        """Delete one image."""
        await self._call("DELETE", f"/v1/images/{image_id}")

    async def delete_profile(self, profile_id: str) -> None:
        """Delete a profile and all its images."""
        await self._call("DELETE", f"/v1/profiles/{profile_id}")

    async def block(self, profile_id: str, viewer_id: str) -> None:
        """Keep a viewer from seeing a profile, whatever else is said of the two."""
        await self._call("POST", "/v1/blocks", json={"profile_id": profile_id, "viewer_id": viewer_id})

    async def unblock(self, profile_id: str, viewer_id: str) -> None:
        """Take a block away."""
        await self._call("DELETE", f"/v1/blocks/{profile_id}/{viewer_id}")

    async def revoke(self, profile_id: str) -> None:
        """Make every URL that was given out of a profile's pictures count for nothing."""
        await self._call("POST", f"/v1/profiles/{profile_id}/revocations")

    async def _attempt(self, asking: Asking, budget: Budget) -> list[Decision] | None:
        try:
            async with asyncio.timeout(max(budget.left, 0)):
                answer = await self._http.post("/v1/decisions", json=asking.body, headers=self._bearer())
        except (httpx.HTTPError, TimeoutError):
            return None
        return asking.answered(answer)

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        headers = {**self._bearer(), **arguments.pop("headers", {})}
        answer = await self._http.request(method, path, headers=headers, **arguments)
        raise_for(answer)
        return answer.json() if answer.content else None

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token()}"}
