"""Keeps a verified copy of the active policy in a client: ``pip install nightlight[local]``.

::

    watcher = PolicyWatcher(client, PublicKeys.read(Path("publisher.jwks.json")))
    watcher.poll()                  # now and then; True if the policy has changed
    watcher.table.decide({...})     # None until a good bundle has been seen
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

from nightlight.client.http import NightlightClient
from nightlight.client.models import Problem
from nightlight.errors import PolicyRefused
from nightlight.policy.bundle import Bundle, open_bundle

if TYPE_CHECKING:
    from nightlight.policy.signing import PublicKeys
    from nightlight.policy.table import Table


class PolicyWatcher:
    """Polls the service with an ETag; verifies, refuses what is older, and keeps the last good bundle."""

    def __init__(self, client: NightlightClient, keys: PublicKeys) -> None:
        """Trust bundles that ``keys`` signed."""
        self._client = client
        self._keys = keys
        self._etag: str | None = None
        self._bundle: Bundle | None = None
        self.problem: str | None = None

    @property
    def table(self) -> Table | None:
        """Return the table of the last good bundle, or None before there was one: then show nothing."""
        return self._bundle.table if self._bundle else None

    @property
    def version(self) -> int | None:
        """Return the version of the last good bundle."""
        return self._bundle.version if self._bundle else None

    def poll(self) -> bool:
        """Look once; return whether the policy has changed. What went wrong, if anything, is in ``problem``."""
        self.problem = None
        try:
            found = self._client.policy_bundle(self._etag)
            if found is None:
                return False
            etag, data = found
            bundle = open_bundle(data, self._keys)
            if self._bundle is not None and bundle.version < self._bundle.version:
                message = f"version {bundle.version} is older than {self._bundle.version}, which was seen"
                raise PolicyRefused(message)
        except (Problem, PolicyRefused, httpx.HTTPError) as error:
            self.problem = f"{type(error).__name__}: {error}"
            return False
        changed = self._bundle is None or bundle.digest != self._bundle.digest
        self._etag, self._bundle = etag, bundle
        return changed
