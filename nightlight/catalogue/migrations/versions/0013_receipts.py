"""Receipts of erasures, each holding the hash of the one before it."""

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.tables import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "receipts",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("receipt_id", sa.String(32), nullable=False),
        sa.Column("image_id", sa.String(32), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("envelope", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_receipts"),
        sa.UniqueConstraint("receipt_id", name="uq_receipts_receipt_id"),
    )
    op.create_index("ix_receipts_image_id", "receipts", ["image_id"])
    op.create_table(
        "receipt_head",
        sa.Column("only", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("only", name="pk_receipt_head"),
    )
    op.execute("INSERT INTO receipt_head (\"only\", hash) VALUES (1, '')")
