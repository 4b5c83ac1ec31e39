"""Blocks: who is to see nothing of whom."""

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.tables import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table. A block may come before its profile, and outlive none."""
    op.create_table(
        "blocks",
        sa.Column("viewer_id", sa.String(128), nullable=False),
        sa.Column("profile_id", sa.String(128), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("viewer_id", "profile_id", name="pk_blocks"),
    )
    op.create_index("ix_blocks_profile_id", "blocks", ["profile_id"])
