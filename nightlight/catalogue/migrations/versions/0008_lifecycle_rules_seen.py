"""Every lifecycle rule that was there after an application, so that drift names those of somebody else."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column."""
    op.add_column("lifecycles", sa.Column("present", sa.JSON(), nullable=True))
