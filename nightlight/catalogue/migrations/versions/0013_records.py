"""Records end: ended jobs, imports and audit lines can be dropped once they are old, in batches that an index finds.

``written_keys`` has the object keys of jobs whose rows are gone. The trigger of the audit log lets lines go that are
older than a year too; which go, and when, the settings say.
"""

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.migrations import steps
from nightlight_core.errors import Conflict

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
phase = "expand"

# Indexes of tables that processes write to meanwhile: they come first, and the rest is one short transaction.
_INDEXES = (
    ("ix_jobs_finished_at", "jobs", "finished_at", sa.text("finished_at IS NOT NULL")),
    (
        "ix_import_items_finished_at",
        "import_items",
        "finished_at",
        sa.text("finished_at IS NOT NULL AND (state <> 'taken' OR key = '')"),
    ),
    ("ix_audit_at", "audit", "at", None),
)
_GONE = (
    "OLD.image_id IS NOT NULL AND OLD.at < {day} "
    "AND NOT EXISTS (SELECT 1 FROM images WHERE images.image_id = OLD.image_id)"
)


def upgrade() -> None:
    """Add indexes and a table, and change a trigger."""
    for name, table, column, where in _INDEXES:
        steps.create_index(name, table, [column], postgresql_where=where, sqlite_where=where)
    op.create_table(
        "written_keys",
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("planned", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_written_keys_image_id")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_written_keys")),
    )
    _audit_trigger(
        sqlite=" AND NOT (OLD.at < strftime('%Y-%m-%d %H:%M:%f', 'now', '-365 days'))",
        postgresql=" AND NOT (OLD.at < now() - interval '365 days')",
    )


def downgrade() -> None:
    """Take them back. The release before would not find the keys that were moved, so there may be none."""
    if op.get_bind().scalar(sa.text("SELECT 1 FROM written_keys LIMIT 1")):
        raise Conflict("jobs were dropped already, and an erasure finds their objects by this release's table alone")
    _audit_trigger(sqlite="", postgresql="")
    op.drop_table("written_keys")
    for name, table, _, _ in _INDEXES:
        steps.drop_index(name, table)


def _audit_trigger(*, sqlite: str, postgresql: str) -> None:
    """Let lines be dropped that are about an image that is gone, or for which a condition more holds."""
    if op.get_bind().dialect.name == "sqlite":
        gone = _GONE.format(day="strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 day')")
        steps.replace_trigger(
            "audit_no_delete",
            f"BEFORE DELETE ON audit WHEN NOT ({gone}){sqlite} BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
        )
        return
    gone = _GONE.format(day="now() - interval '1 day'")
    op.execute(
        "CREATE OR REPLACE FUNCTION audit_kept() RETURNS trigger LANGUAGE plpgsql "
        "SECURITY DEFINER SET search_path = public, pg_temp AS $$ BEGIN "
        f"IF NOT ({gone}){postgresql} THEN RAISE EXCEPTION 'audit is append-only'; END IF; RETURN OLD; END $$"
    )
