"""When the active policy became so, and which versions were withdrawn."""

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.tables import UtcDateTime

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the table. What was activated before has no time: its way back needs an approval."""
    op.add_column("policy_state", sa.Column("activated_at", UtcDateTime()))
    op.create_table(
        "policy_withdrawals",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("withdrawn_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_policy_withdrawals"),
    )
