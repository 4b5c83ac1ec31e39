"""A release to come: today's migrations and one more, which does all that an expand step may.

python -m tests.support.next_migration FOLDER     the service as that release's: its newest migration is the one more
"""

import shutil
import sys
from pathlib import Path

from nightlight.catalogue import migrate

TEXT = '''"""What an expand step may do: a table, columns, indexes of tables that are in use, rows changed in batches."""

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.migrations import steps

revision = "9001"
down_revision = "{before}"
branch_labels = None
depends_on = None
phase = "expand"


def upgrade() -> None:
    """Add them."""
    op.create_table(
        "notes",
        sa.Column("note_id", sa.String(length=32), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_notes_image_id")),
        sa.PrimaryKeyConstraint("note_id", name=op.f("pk_notes")),
    )
    op.create_index(op.f("ix_notes_image_id"), "notes", ["image_id"], unique=False)
    for table in ("profiles", "images", "renditions", "jobs"):
        op.add_column(table, sa.Column("noted", sa.Integer(), nullable=True))
        op.add_column(table, sa.Column("worth", sa.Integer(), nullable=False, server_default="0"))
    steps.create_index("ix_profiles_noted", "profiles", ["noted"])
    steps.create_index("ix_images_noted", "images", ["noted"])
    steps.backfill("profiles", "profile_id", "noted = 1", "noted IS NULL", rows=200)


def downgrade() -> None:
    """Drop them."""
    steps.drop_index("ix_images_noted", "images")
    steps.drop_index("ix_profiles_noted", "profiles")
    for table in ("jobs", "renditions", "images", "profiles"):
        op.drop_column(table, "worth")
        op.drop_column(table, "noted")
    op.drop_table("notes")
'''


def scripts_with(folder, text=TEXT):
    """Write today's migrations and one more into a folder; return it, for ``migrate._SCRIPTS``."""
    to = Path(folder) / "migrations"
    shutil.copytree(migrate._SCRIPTS, to)
    newest = max(path.name.partition("_")[0] for path in (to / "versions").glob("[0-9]*_*.py"))
    (to / "versions/9001_more.py").write_text(text.replace("{before}", newest))
    return to


if __name__ == "__main__":
    migrate._SCRIPTS = Path(sys.argv[1])
    from service.__main__ import main

    sys.exit(main())
