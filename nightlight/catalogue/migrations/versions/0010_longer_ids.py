"""Ids of profiles and viewers have up to 256 characters, and an import tells what it leaves out.

PostgreSQL rewrites no row for the length, and checks none. SQLite holds to no length.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("profiles", "profile_id"),
    ("images", "profile_id"),
    ("blocks", "profile_id"),
    ("blocks", "viewer_id"),
    ("proof_revocations", "profile_id"),
    ("proof_revocations", "viewer_id"),
    ("abuse_signals", "who"),
    ("canaries", "profile_id"),
    ("events", "profile_id"),
    ("import_items", "profile_id"),
    ("exports", "profile_id"),
    ("changes", "key"),
)


def upgrade() -> None:
    """Make columns longer, and add one."""
    op.add_column("imports", sa.Column("left_out", sa.JSON(none_as_null=True), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, column in _COLUMNS:
        op.alter_column(table, column, type_=sa.String(256), existing_type=sa.String(128), existing_nullable=False)
