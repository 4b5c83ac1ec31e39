"""The owner's crop and the BlurHash of an image; the face budget that a rendition was made under."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. A rendition from before has no face budget, and is shown only where none is asked for."""
    op.add_column("images", sa.Column("crop", sa.String(40)))
    op.add_column("images", sa.Column("blurhash", sa.String(64)))
    op.add_column("renditions", sa.Column("face_px", sa.Integer()))
