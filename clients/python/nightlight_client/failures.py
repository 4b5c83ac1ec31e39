"""What went wrong between this client and its service: counted by kind, and in the log.

Decisions fall back to the placeholder whatever happens, so a wrong host would go unnoticed. Everything that is
swallowed for that reason is noted here first.

====================  =====================================================================================
``unresolved``        the host's name is not known (DNS)
``unreachable``       nobody listens there, or there is no way
``tls``               the certificate is not good for the host, or it does not speak TLS
``timeout``           no answer in time
``cut``               the connection broke, or it does not speak HTTP
``busy``              429, 502, 503 or 504: of the service, or of what stands before it
``not_nightlight``    an answer that is none of the service's: a page, a redirect, another shape
``refused``           the service refuses what a LocalClient needs: the token, say
``bad_bundle``        a policy bundle that this process does not trust
====================  =====================================================================================
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from nightlight_client.errors import NotNightlight, Problem, ServiceUnreachable
from nightlight_core.errors import NightlightError, PolicyRefused

_LOG = logging.getLogger("nightlight_client")
# A kind is written again after so many seconds, with how often it was met since.
_AGAIN_S = 60.0
# Errors have causes that have causes; deeper than this nothing is looked for.
_MOST_CAUSES = 10


class Failures:
    """Failures by kind. Safe to share between threads."""

    def __init__(self, base_url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Name the service as ``base_url`` in the log, without what might be secret in it."""
        self._service, self._clock = _named(base_url), clock
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._written: dict[str, tuple[float, int]] = {}

    @property
    def counts(self) -> dict[str, int]:
        """Return how often each kind was met, since the client was made; for the platform's own metrics."""
        with self._lock:
            return dict(self._counts)

    def note(self, kind: str, detail: str) -> None:
        """Count a failure; write an error if its kind was not written lately."""
        with self._lock:
            self._counts[kind] += 1
            now, count = self._clock(), self._counts[kind]
            at, before = self._written.get(kind, (float("-inf"), 0))
            if now - at < _AGAIN_S:
                return
            self._written[kind] = now, count
        _LOG.error("%s fails: %s, %d times since last told (%s)", self._service, kind, count - before, detail)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Count a call that does not reach the service, and raise what it raised; a refusal is an answer."""
        try:
            yield
        except (NotNightlight, ServiceUnreachable) as error:
            self.note_error(error)
            raise

    def note_error(self, error: BaseException) -> None:
        """Count an error by its kind."""
        detail = str(error) if isinstance(error, NightlightError) else f"{type(error).__name__}: {error}"
        self.note(kind_of(error), detail[:300])


def kind_of(error: BaseException) -> str:
    """Return the kind of an error."""
    if isinstance(error, ServiceUnreachable):
        return error.kind
    kinds = ((PolicyRefused, "bad_bundle"), (NotNightlight, "not_nightlight"), (Problem, "refused"))
    return next((name for kind, name in kinds if isinstance(error, kind)), "not_nightlight")


def causes(error: BaseException) -> list[BaseException]:
    """Return an error and what led to it, the nearest first."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and len(chain) < _MOST_CAUSES:
        chain.append(at)
        at = at.__cause__ or at.__context__
    return chain


def kind_of_network_error(error: BaseException) -> str | None:
    """Return ``unresolved`` or ``tls`` where that is what led to an error of an HTTP library; None for another."""
    chain = causes(error)
    if any(isinstance(cause, socket.gaierror) for cause in chain):
        return "unresolved"
    return "tls" if any(isinstance(cause, ssl.SSLError) for cause in chain) or "SSL" in str(error) else None


def _named(base_url: str) -> str:
    try:
        url = urlsplit(base_url)
        port = f":{url.port}" if url.port else ""
    except (ValueError, TypeError, AttributeError):
        return "the service"
    return f"{url.scheme}://{url.hostname}{port}"
