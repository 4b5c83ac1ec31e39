"""``python -m service``: the HTTP service, configured by ``NIGHTLIGHT_*`` variables."""

from __future__ import annotations

import sys
import threading

from nightlight import one_thread  # noqa: F401 - before numpy is imported

# isort: split

import uvicorn

from nightlight import logs, telemetry
from nightlight.settings import Settings
from nightlight.wiring.service_container import build_service
from nightlight.wiring.startup import START_ERRORS, refuse_to_start
from service.app import create_app
from service.client_timeouts import TimeoutProtocol
from service.draining import DrainingServer


def main() -> int:
    """Serve until told to stop; 2 if the settings or the policy are refused."""
    try:
        settings = Settings()
        logs.configure(settings.general, settings.log)
        telemetry.configure(settings.tracing, "service")
        services = build_service(settings)
    except START_ERRORS as error:
        return refuse_to_start("service", error)
    logs.get("service").info(
        "service.starting", port=settings.service.port, policy_digest=services.policy.current().digest
    )
    draining = threading.Event()
    config = uvicorn.Config(
        create_app(services, draining),
        host=settings.service.host,
        port=settings.service.port,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_keep_alive=30,
        proxy_headers=False,  # nothing is built from X-Forwarded-*, and nothing is to be
        http=TimeoutProtocol,
        timeout_graceful_shutdown=15,
    )
    DrainingServer(config, draining, settings.drain_s).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
