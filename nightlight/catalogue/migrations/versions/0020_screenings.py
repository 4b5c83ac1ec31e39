"""Hash lists as they were last known, and the hashes that images are held against them by."""

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.tables import UtcDateTime

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "hash_lists",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("hashes", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("sample", sa.LargeBinary(), nullable=False),
        sa.Column("modified_ns", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("known_at", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_hash_lists"),
    )
    op.create_table(
        "screenings",
        sa.Column("image_id", sa.String(32), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name="fk_screenings_image_id"),
        sa.PrimaryKeyConstraint("image_id", name="pk_screenings"),
    )
    op.create_index("ix_screenings_revision", "screenings", ["revision"])
