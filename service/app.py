"""The ASGI application."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

import nightlight
from nightlight import telemetry
from nightlight.settings.process import Environment
from service import problems, webhook_events
from service.client_timeouts import ClientTimeouts
from service.console import review_pages
from service.draining import CloseWhileDraining
from service.fast_path import FastPath
from service.middleware import BodyCap, RequestId, RequestMetrics
from service.openapi import document
from service.profile_ids import EncodedPath
from service.routes import (
    authzen,
    authzen_metadata,
    authzen_search,
    blocks,
    callers,
    canaries,
    decisions,
    edge_avatars,
    exports,
    health,
    holds,
    images,
    imports,
    local_evaluation,
    optout,
    policy,
    profiles,
    rendition_files,
    softbinding,
    takedown_reviews,
    takedowns,
    traces,
    webhook_keys,
)

if TYPE_CHECKING:
    from nightlight.wiring.service_container import ServiceContainer

# What multipart framing may add to the bytes of the file itself.
_MULTIPART_OVERHEAD = 16_384


def create_app(services: ServiceContainer, draining: threading.Event | None = None) -> FastAPI:
    """Return the application over the parts that wiring built; ``draining`` is set once the process is told to end."""
    settings = services.settings
    draining = draining or threading.Event()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = settings.service.threads
        stop = threading.Event()
        runs = {
            "count": services.counter.run,
            "change-feed": services.change_feed.run,
            "emergency": services.emergency.run,
            "keys": services.keys.run,
            "position": services.position.run,
        }
        threads = [threading.Thread(target=run, args=(stop,), name=name, daemon=True) for name, run in runs.items()]
        for thread in threads:
            thread.start()
        yield
        stop.set()
        for thread in threads:
            await to_thread.run_sync(thread.join, 5.0)
        services.close()

    about: dict[str, Any] = {
        "title": "Nightlight",
        "version": nightlight.__version__,
        "summary": "Protects minors' profile pictures: uploads in, policy-decided low-resolution renditions out.",
        "redoc_url": None,
        # A redirect would be made of the request's own Host header: a path with another ending is another path.
        "redirect_slashes": False,
        "lifespan": lifespan,
    }
    docs = settings.service.docs
    if docs if docs is not None else settings.general.environment is not Environment.PRODUCTION:
        app = FastAPIOffline(docs_url="/docs", **about)  # its scripts come from here, not from elsewhere
    else:
        app = FastAPI(docs_url=None, openapi_url=None, **about)
    app.openapi = document(app)  # type: ignore[method-assign]
    app.state.services, app.state.draining = services, draining
    problems.install(app)
    modules = (
        profiles, images, exports, decisions, local_evaluation, authzen, authzen_search, authzen_metadata, blocks,
        callers, canaries, policy, rendition_files, edge_avatars, optout, traces, takedowns, takedown_reviews,
        review_pages, imports, holds, softbinding, webhook_keys, health,
    )  # fmt: skip
    for module in modules:
        app.include_router(module.router)
    app.state.routes = [route for module in modules for route in module.router.routes]
    webhook_events.install(app)
    app.add_middleware(FastPath)
    app.add_middleware(
        BodyCap,
        upload_bytes=settings.upload.max_bytes + _MULTIPART_OVERHEAD,
        pictures=softbinding.BY_CONTENT,
        json_bytes=settings.service.max_json_bytes,
    )
    app.add_middleware(ClientTimeouts, seconds=settings.service.client_s)
    app.add_middleware(RequestId)
    app.add_middleware(RequestMetrics)
    app.add_middleware(EncodedPath)
    app.add_middleware(CloseWhileDraining, draining=draining)
    telemetry.watch_application(app)
    return app
