"""The sealed key of a found copy, which is stored beside the originals."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("traces", sa.Column("sealed_key", sa.String(200)))
