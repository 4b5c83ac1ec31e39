"""The platform's endpoints, and whether they are well; and the public keys that events are signed with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from nightlight.catalogue.rows import Rows, add_if_absent
from nightlight.catalogue.webhook_schema import webhook_endpoints, webhook_public_keys

ENABLED, DISABLED = "enabled", "disabled"
# Why an endpoint is disabled: deliveries failed for too long, or it answered 410 (Gone).
FAILING, GONE = "failing", "gone"


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An address that events are sent to.

    ``failures`` are those since the last delivery that was taken, ``failing_since`` is when the first was.
    ``last_outcome`` is a word of ``flows.webhooks.post``, and ``url`` has neither a user nor a query.
    """

    endpoint_id: str
    url: str
    state: str
    reason: str | None
    created_at: datetime
    failures: int = 0
    failing_since: datetime | None = None
    not_before: datetime | None = None
    last_at: datetime | None = None
    last_outcome: str | None = None
    last_status: int | None = None
    disabled_at: datetime | None = None


class Webhooks(Rows):
    """Endpoint and key rows, inside one transaction."""

    def configured(self, endpoint_id: str, url: str, now: datetime) -> WebhookEndpoint:
        """Return the endpoint of today's settings, and write it down; every other is forgotten."""
        known = {endpoint.endpoint_id: endpoint for endpoint in self.endpoints()}
        if known.keys() - {endpoint_id}:
            self._execute(delete(webhook_endpoints).where(webhook_endpoints.c.endpoint_id != endpoint_id))
        if endpoint_id in known:
            return known[endpoint_id]
        fresh = WebhookEndpoint(endpoint_id, url, ENABLED, None, now)
        self._execute(add_if_absent(self._connection, webhook_endpoints), asdict(fresh))
        return fresh

    def forget_endpoints(self) -> None:
        """Forget every endpoint: none is set."""
        if self.endpoints():
            self._execute(delete(webhook_endpoints))

    def endpoints(self) -> list[WebhookEndpoint]:
        """Return every endpoint."""
        query = select(webhook_endpoints).order_by(webhook_endpoints.c.created_at)
        return [WebhookEndpoint(*row) for row in self._execute(query)]

    def locked(self, endpoint_id: str) -> WebhookEndpoint | None:
        """Return an endpoint and hold its row until the transaction ends."""
        query = select(webhook_endpoints).where(webhook_endpoints.c.endpoint_id == endpoint_id).with_for_update()
        row = self._execute(query).one_or_none()
        return WebhookEndpoint(*row) if row is not None else None

    def write(self, endpoint: WebhookEndpoint) -> None:
        """Write how an endpoint does."""
        values = asdict(endpoint)
        by = webhook_endpoints.c.endpoint_id == values.pop("endpoint_id")
        self._execute(update(webhook_endpoints).where(by).values(values))

    def public_keys(self) -> dict[str, str]:
        """Return the public keys, the oldest first: base64url by key id."""
        query = select(webhook_public_keys).order_by(webhook_public_keys.c.added_at, webhook_public_keys.c.key_id)
        return {row.key_id: row.x for row in self._execute(query)}

    def publish_keys(self, keys: Mapping[str, str], now: datetime) -> bool:
        """Have these public keys and no others; say whether anything was another."""
        known = self.public_keys()
        if known == dict(keys):
            return False
        gone = known.keys() - keys.keys()
        if gone:
            self._execute(delete(webhook_public_keys).where(webhook_public_keys.c.key_id.in_(gone)))
        fresh = [{"key_id": key_id, "x": keys[key_id], "added_at": now} for key_id in keys if key_id not in known]
        if fresh:
            self._execute(insert(webhook_public_keys), fresh)
        return True
