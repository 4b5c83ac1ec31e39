"""Which releases work with this schema: processes of the release before stay ready while the next one is rolled out.

The one row says of the oldest revision whose processes may use the database. An expand step leaves it as it is; a
contract step raises it (docs/operations/upgrade.md).
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    """Add a table with its one row."""
    op.create_table(
        "schema_state",
        sa.Column("only", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("works_for", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("only", name=op.f("pk_schema_state")),
    )
    op.execute("""INSERT INTO schema_state ("only", works_for) VALUES (1, '0012')""")


def downgrade() -> None:
    """Drop it."""
    op.drop_table("schema_state")
