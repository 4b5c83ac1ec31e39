"""What a rendition's recipe allowed a picture without a face."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column."""
    op.add_column("renditions", sa.Column("no_face_px", sa.Integer(), nullable=True))
