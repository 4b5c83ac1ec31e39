"""Indexes for what grew with the number of profiles although nothing was due: see docs/operations/capacity.md."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_INDEXES = (
    ("ix_profiles_asserted_at", "profiles", ["asserted_at"], "state = 'live' AND band <> 'unknown'"),
    ("ix_images_state_created_at", "images", ["state", "created_at"], "state NOT IN ('ready', 'superseded')"),
    ("ix_audit_deleted", "audit", ["at"], "event = 'image.deleted'"),
)


def upgrade() -> None:
    """Add indexes."""
    for name, table, columns, where in _INDEXES:
        op.create_index(
            name, table, columns, unique=False, postgresql_where=sa.text(where), sqlite_where=sa.text(where)
        )
