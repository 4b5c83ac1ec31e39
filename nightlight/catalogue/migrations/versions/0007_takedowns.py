"""Takedown notices, the hashes by which copies are found, and events of more than one type."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add four tables and two columns."""
    op.create_table(
        "takedowns",
        sa.Column("sequence", Serial, autoincrement=True, nullable=False),
        sa.Column("takedown_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=True),
        sa.Column("copy_key", sa.String(length=200), nullable=True),
        sa.Column("sealed_key", sa.String(length=200), nullable=True),
        sa.Column("hashes", sa.LargeBinary(), nullable=True),
        sa.Column("aside", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("hidden", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("received_at", Moment, nullable=False),
        sa.Column("due_at", Moment, nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("dark_at", Moment, nullable=True),
        sa.Column("undone_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_takedowns")),
        sa.UniqueConstraint("takedown_id", name=op.f("uq_takedowns_takedown_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_takedowns_image_id"), "takedowns", ["image_id"], unique=False)
    op.create_index(op.f("ix_takedowns_revision"), "takedowns", ["revision"], unique=False)
    op.create_index("ix_takedowns_state_due_at", "takedowns", ["state", "due_at"], unique=False)
    op.create_table(
        "takedown_matches",
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("list", sa.String(length=64), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.Column("distance", sa.Integer(), nullable=False),
        sa.Column("found_at", Moment, nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("decided_by", sa.String(length=128), nullable=True),
        sa.Column("decided_at", Moment, nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_takedown_matches_image_id")),
        sa.PrimaryKeyConstraint("image_id", "list", "reference", name=op.f("pk_takedown_matches")),
    )
    op.create_index(op.f("ix_takedown_matches_reference"), "takedown_matches", ["reference"], unique=False)
    op.create_table(
        "takedown_revision",
        sa.Column("only", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("only", name=op.f("pk_takedown_revision")),
    )
    op.execute("""INSERT INTO takedown_revision ("only", revision) VALUES (1, 0)""")
    op.create_table(
        "view_hashes",
        sa.Column("number", Serial, autoincrement=True, nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_view_hashes_image_id")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_view_hashes")),
        sa.UniqueConstraint("image_id", name=op.f("uq_view_hashes_image_id")),
        sqlite_autoincrement=True,
    )
    op.add_column("events", sa.Column("kind", sa.String(length=32), nullable=False, server_default="picture.changed"))
    op.add_column("events", sa.Column("image_id", sa.String(length=32), nullable=True))
