"""When an image was replaced, so that it can be kept for its time."""

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.tables import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; for what was replaced already its time begins now."""
    op.add_column("images", sa.Column("superseded_at", UtcDateTime()))
    op.create_index("ix_images_superseded_at", "images", ["superseded_at"])
    op.create_index("ix_images_created_at", "images", ["created_at"])
    op.execute("UPDATE images SET superseded_at = CURRENT_TIMESTAMP WHERE state = 'superseded'")
