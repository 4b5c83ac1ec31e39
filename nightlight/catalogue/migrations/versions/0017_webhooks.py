"""Events are kept for a time after the platform took them; endpoints have a state; public keys can be served.

An image that is removed takes the events about it along, as a profile does. Processes of the release before deliver
what is due: an event that was taken is never due again, and they see nothing of it.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.migrations import steps

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None
phase = "expand"

Moment = sa.DateTime(timezone=True)
_COLUMNS: dict[str, sa.types.TypeEngine[Any]] = {
    "taken_at": Moment,
    "last_at": Moment,
    "last_outcome": sa.String(length=16),
    "last_status": sa.Integer(),
}
_ABOUT_IMAGE = sa.text("image_id IS NOT NULL")
_WAITING = sa.text("taken_at IS NULL")
_WITH_IMAGE = "DELETE FROM events WHERE image_id = OLD.image_id;"


def upgrade() -> None:
    """Add columns, tables, indexes and a trigger."""
    existing = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("events")}
    for name, kind in _COLUMNS.items():
        # Indexes are made outside of the migration's transaction: one that was stopped there has the columns already.
        if name not in existing:
            op.add_column("events", sa.Column(name, kind, nullable=True))
    steps.create_index("ix_events_created_at", "events", ["created_at"])
    steps.create_index("ix_events_profile_id", "events", ["profile_id"])
    for name, named, where in (
        ("ix_events_image_id", "image_id", _ABOUT_IMAGE),
        ("ix_events_waiting", "created_at", _WAITING),
    ):
        steps.create_index(name, "events", [named], postgresql_where=where, sqlite_where=where)
    op.create_table(
        "webhook_endpoints",
        sa.Column("endpoint_id", sa.String(length=16), nullable=False),
        sa.Column("url", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", Moment, nullable=True),
        sa.Column("not_before", Moment, nullable=True),
        sa.Column("last_at", Moment, nullable=True),
        sa.Column("last_outcome", sa.String(length=16), nullable=True),
        sa.Column("last_status", sa.Integer(), nullable=True),
        sa.Column("disabled_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("endpoint_id", name=op.f("pk_webhook_endpoints")),
    )
    op.create_table(
        "webhook_public_keys",
        sa.Column("key_id", sa.String(length=64), nullable=False),
        sa.Column("x", sa.String(length=64), nullable=False),
        sa.Column("added_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_webhook_public_keys")),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER images_removed AFTER DELETE ON images BEGIN {_WITH_IMAGE} END")
        return
    # As the owner of the tables: whoever removes images may not remove events.
    op.execute(
        "CREATE OR REPLACE FUNCTION images_removed() RETURNS trigger LANGUAGE plpgsql "
        f"SECURITY DEFINER SET search_path = public, pg_temp AS $$ BEGIN {_WITH_IMAGE} RETURN NULL; END $$"
    )
    op.execute("CREATE TRIGGER images_removed AFTER DELETE ON images FOR EACH ROW EXECUTE FUNCTION images_removed()")


def downgrade() -> None:
    """Drop them, and the events that were taken or given up: the release before would show them as waiting."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER images_removed")
    else:
        op.execute("DROP TRIGGER images_removed ON images")
        op.execute("DROP FUNCTION images_removed()")
    op.execute("DELETE FROM events WHERE taken_at IS NOT NULL OR next_at >= '9999-01-01'")
    for name in ("ix_events_waiting", "ix_events_image_id", "ix_events_profile_id", "ix_events_created_at"):
        steps.drop_index(name, "events")
    for name in reversed(_COLUMNS):
        op.drop_column("events", name)
    op.drop_table("webhook_public_keys")
    op.drop_table("webhook_endpoints")
