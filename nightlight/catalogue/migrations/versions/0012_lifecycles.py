"""Lifecycle rules that were applied to buckets, and what was there before."""

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.tables import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "lifecycles",
        sa.Column("bucket", sa.String(63), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("seen", sa.String(64), nullable=False),
        sa.Column("applied_at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("bucket", name="pk_lifecycles"),
    )
    op.create_table(
        "lifecycle_snapshots",
        sa.Column(
            "snapshot_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("bucket", sa.String(63), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("ours", sa.JSON(), nullable=False),
        sa.Column("taken_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("snapshot_id", name="pk_lifecycle_snapshots"),
    )
    op.create_index("ix_lifecycle_snapshots_bucket", "lifecycle_snapshots", ["bucket"])
