"""How far the catalogue is: one row, by which one that was restored from a backup is noticed."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    """Add a table with its one row."""
    op.create_table(
        "catalogue_position",
        sa.Column("only", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("restored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("only", name=op.f("pk_catalogue_position")),
    )
    op.execute("""INSERT INTO catalogue_position ("only", number, state, restored_at) VALUES (1, 0, 'current', 0)""")


def downgrade() -> None:
    """Drop it."""
    op.drop_table("catalogue_position")
