"""Why an image is rejected, in words for its owner."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column."""
    op.add_column("images", sa.Column("reason_detail", sa.String(length=200), nullable=True))
