"""A message carries on the trace of what asked for it: W3C's traceparent, random numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    """Add a column."""
    op.add_column("outbox", sa.Column("traceparent", sa.String(length=55), nullable=True))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("outbox", "traceparent")
