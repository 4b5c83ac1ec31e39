"""Indexes for what grew with the number of profiles although nothing was due: see docs/operations/capacity.md."""

import sqlalchemy as sa

from nightlight.catalogue.migrations import steps

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None
phase = "expand"

_INDEXES = (
    ("ix_profiles_asserted_at", "profiles", ["asserted_at"], "state = 'live' AND band <> 'unknown'"),
    ("ix_images_state_created_at", "images", ["state", "created_at"], "state NOT IN ('ready', 'superseded')"),
    ("ix_audit_deleted", "audit", ["at"], "event IN ('image.deleted', 'image.let_go', 'image.verified')"),
)


def upgrade() -> None:
    """Add indexes."""
    for name, table, columns, where in _INDEXES:
        steps.create_index(name, table, columns, postgresql_where=sa.text(where), sqlite_where=sa.text(where))


def downgrade() -> None:
    """Drop them."""
    for name, table, _, _ in _INDEXES:
        steps.drop_index(name, table)
