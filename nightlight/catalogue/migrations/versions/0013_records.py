"""Records end: ended jobs, imports and audit lines can be dropped once they are old, in batches that an index finds.

``written_keys`` has the object keys of jobs whose rows are gone. The trigger of the audit log lets lines go that are
older than a year too; which go, and when, the settings say.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_ENDED_IMPORT = "finished_at IS NOT NULL AND (state <> 'taken' OR key = '')"
_GONE = (
    "OLD.image_id IS NOT NULL AND OLD.at < {day} "
    "AND NOT EXISTS (SELECT 1 FROM images WHERE images.image_id = OLD.image_id)"
)


def upgrade() -> None:
    """Add a table and indexes, and change a trigger."""
    op.create_table(
        "written_keys",
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("planned", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_written_keys_image_id")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_written_keys")),
    )
    _partial_index("ix_jobs_finished_at", "jobs", "finished_at", "finished_at IS NOT NULL")
    _partial_index("ix_import_items_finished_at", "import_items", "finished_at", _ENDED_IMPORT)
    op.create_index("ix_audit_at", "audit", ["at"], unique=False)
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_no_delete")
        gone = _GONE.format(day="strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 day')")
        op.execute(
            "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit "
            f"WHEN NOT ({gone}) AND NOT (OLD.at < strftime('%Y-%m-%d %H:%M:%f', 'now', '-365 days')) "
            "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END"
        )
        return
    gone = _GONE.format(day="now() - interval '1 day'")
    op.execute(
        "CREATE OR REPLACE FUNCTION audit_kept() RETURNS trigger LANGUAGE plpgsql "
        "SECURITY DEFINER SET search_path = public, pg_temp AS $$ BEGIN "
        f"IF NOT ({gone}) AND NOT (OLD.at < now() - interval '365 days') "
        "THEN RAISE EXCEPTION 'audit is append-only'; END IF; RETURN OLD; END $$"
    )


def _partial_index(name: str, table: str, column: str, where: str) -> None:
    op.create_index(name, table, [column], unique=False, postgresql_where=sa.text(where), sqlite_where=sa.text(where))
