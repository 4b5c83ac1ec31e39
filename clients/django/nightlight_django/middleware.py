"""The middleware that keeps the viewer of a request: for threads and for event loops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.utils.cache import patch_cache_control

from nightlight_django.viewers import RequestPictures, looking

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponseBase


class NightlightMiddleware:
    """Decide as whoever sent the request; a page with pictures is for them alone, so no shared cache keeps it."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """Wrap what answers requests."""
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Answer a request."""
        if self.is_async:
            return self._acall(request)
        with looking(request) as pictures:
            return _private(self.get_response(request), pictures)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        with looking(request) as pictures:
            return _private(await self.get_response(request), pictures)


def _private(response: HttpResponseBase, pictures: RequestPictures) -> HttpResponseBase:
    if pictures.used:
        patch_cache_control(response, private=True)
    return response
