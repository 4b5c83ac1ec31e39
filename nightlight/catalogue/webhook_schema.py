"""Tables of webhooks: how the platform's endpoints do, and the public keys that events are signed with.

They belong to the same ``metadata`` as those of ``schema``; a test holds all of them equal to the migrations.
"""

from __future__ import annotations

from sqlalchemy import Column, Integer, String

from nightlight.catalogue.schema import UtcDateTime, table

# An address that events are sent to: ``endpoint_id`` is of its whole URL, ``url`` is without what may be a secret.
webhook_endpoints = table(
    "webhook_endpoints",
    Column("endpoint_id", String(16), primary_key=True),
    Column("url", String(300), nullable=False),
    Column("state", String(16), nullable=False),
    # Why it is disabled, in a word of catalogue.webhooks.
    Column("reason", String(16)),
    Column("created_at", UtcDateTime, nullable=False),
    # Deliveries that failed one after the other, and when the first of them did.
    Column("failures", Integer, nullable=False),
    Column("failing_since", UtcDateTime),
    # It asked to be left alone until then (Retry-After).
    Column("not_before", UtcDateTime),
    Column("last_at", UtcDateTime),
    Column("last_outcome", String(16)),
    Column("last_status", Integer),
    Column("disabled_at", UtcDateTime),
)

# Public halves alone: whoever serves them has no key to sign with. ``x`` is base64url, as in a JWK.
webhook_public_keys = table(
    "webhook_public_keys",
    Column("key_id", String(64), primary_key=True),
    Column("x", String(64), nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
)
