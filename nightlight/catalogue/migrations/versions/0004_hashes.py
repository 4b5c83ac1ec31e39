"""Perceptual hashes of renditions."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table. Renditions from before have no hash, and are not found by one."""
    op.create_table(
        "rendition_hashes",
        sa.Column("hash_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["name"], ["renditions.name"], name="fk_rendition_hashes_name"),
        sa.PrimaryKeyConstraint("hash_id", name="pk_rendition_hashes"),
        sa.UniqueConstraint("name", name="uq_rendition_hashes_name"),
        sqlite_autoincrement=True,
    )
