"""Which keys processes and edges have read: asked at ``/readyz``, and at the purge hook of an edge."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

_ASK_S = 10.0
Loaded = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class ProcessKeys:
    """The keys that a process has read, by ring; ``failure`` where it could not be asked."""

    address: str
    keys: Loaded
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class ProcessList:
    """The processes (``http://host:port``) and edges (their purge hooks) that have keys.

    A name stands for each of its addresses: a headless service of Kubernetes for all of its pods.
    """

    processes: Sequence[str]
    edges: Sequence[str]
    edge_token: str | None

    def ask(self) -> list[ProcessKeys]:
        """Return what each says."""
        headers = {"Authorization": f"Bearer {self.edge_token}"} if self.edge_token else {}
        asked = [_ask(f"{url.rstrip('/')}/readyz", {}) for address in self.processes for url in every_address(address)]
        return asked + [_ask(url, headers) for hook in self.edges for url in every_address(hook)]


def every_address(url: str) -> list[str]:
    """Return a URL for each address that the host of an ``http://`` URL has; the URL itself where it cannot be told."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return [url]  # a certificate is for the name
    try:
        infos = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    except OSError:
        return [url]
    hosts = dict.fromkeys(str(address[0]) for _, _, _, _, address in infos)
    named = [f"[{host}]" if ":" in host else host for host in hosts]
    return [parts._replace(netloc=f"{host}:{parts.port or 80}").geturl() for host in named]


def _ask(url: str, headers: Mapping[str, str]) -> ProcessKeys:
    try:
        answer = httpx.get(url, headers=headers, timeout=_ASK_S, follow_redirects=False)
        keys = {str(ring): [str(key) for key in ids] for ring, ids in answer.json()["keys"].items()}
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return ProcessKeys(url, {}, type(error).__name__)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ProcessKeys(url, {}, "it does not say which keys it has")
    return ProcessKeys(url, keys)
