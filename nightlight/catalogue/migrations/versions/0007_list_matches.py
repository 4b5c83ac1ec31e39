"""Uploads that are on somebody's list of hashes, and what people found on looking at them."""

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.tables import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "list_matches",
        sa.Column("image_id", sa.String(32), nullable=False),
        sa.Column("list", sa.String(64), nullable=False),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("distance", sa.Integer(), nullable=False),
        sa.Column("found_at", UtcDateTime(), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("decided_by", sa.String(128)),
        sa.Column("decided_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("image_id", "list", "reference", name="pk_list_matches"),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name="fk_list_matches_image_id"),
    )
    op.create_index("ix_list_matches_verdict_found_at", "list_matches", ["verdict", "found_at"])
