"""Which C2PA manifest is of a rendition."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("renditions", sa.Column("manifest", sa.String(64)))
    op.add_column("renditions", sa.Column("manifest_id", sa.String(64)))
    op.create_index("ix_renditions_manifest_id", "renditions", ["manifest_id"])
