"""What the hidden mark of a rendition says, and which variant of its tier it is."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. A rendition from before has no mark, and is its tier's only variant."""
    with op.batch_alter_table("renditions") as table:
        table.add_column(sa.Column("mark", sa.BigInteger()))
        table.add_column(sa.Column("short_mark", sa.Integer()))
        table.add_column(sa.Column("variant", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("mark_agreement", sa.Integer()))
        table.drop_constraint("uq_renditions_image_id", type_="unique")
        table.create_unique_constraint("uq_renditions_image_id", ["image_id", "tier", "variant"])
    op.create_index("ix_renditions_mark", "renditions", ["mark"])
    op.create_index("ix_renditions_short_mark", "renditions", ["short_mark"])
    with op.batch_alter_table("renditions") as table:
        table.alter_column("variant", server_default=None)
