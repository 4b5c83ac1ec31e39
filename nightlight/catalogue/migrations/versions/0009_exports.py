"""Exports of a person's own data; and whether a person may be told of a hold: of those that there are, not."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add a table and a column."""
    op.create_table(
        "exports",
        sa.Column("export_id", sa.String(length=32), nullable=False),
        sa.Column("profile_id", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("seal_to", sa.String(length=100), nullable=True),
        sa.Column("object_key", sa.String(length=200), nullable=True),
        sa.Column("bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("finished_at", Moment, nullable=True),
        sa.Column("expires_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("export_id", name=op.f("pk_exports")),
    )
    op.create_index(op.f("ix_exports_profile_id"), "exports", ["profile_id"], unique=False)
    op.create_index("ix_exports_state_created_at", "exports", ["state", "created_at"], unique=False)
    op.add_column("holds", sa.Column("may_be_told", sa.Boolean(), nullable=False, server_default=sa.false()))
