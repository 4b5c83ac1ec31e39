"""Softened pictures of a takedown notice and its matches, which a person compares; and events about a notice."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add a table and a column."""
    op.create_table(
        "takedown_reviews",
        sa.Column("review_id", sa.String(length=32), nullable=False),
        sa.Column("takedown_id", sa.String(length=32), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("object_key", sa.String(length=200), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("made_at", Moment, nullable=True),
        sa.Column("expires_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("review_id", name=op.f("pk_takedown_reviews")),
    )
    op.create_index(op.f("ix_takedown_reviews_takedown_id"), "takedown_reviews", ["takedown_id"], unique=False)
    op.create_index(op.f("ix_takedown_reviews_image_id"), "takedown_reviews", ["image_id"], unique=False)
    op.add_column("events", sa.Column("takedown_id", sa.String(length=32), nullable=True))
    op.create_index("ix_takedown_reviews_state_created_at", "takedown_reviews", ["state", "created_at"], unique=False)
