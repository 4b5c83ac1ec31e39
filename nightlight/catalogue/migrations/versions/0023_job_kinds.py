"""The kinds of jobs by their new names, those that wait included."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

RENAMED = {
    "rename": "rotate_names",
    "prove": "verify_erasure",
    "restate": "retention_tags",
    "take": "import",
    "forget": "delete_copy",
    "vault": "copy_to_vault",
    "trace": "trace_search",
}


def upgrade() -> None:
    """Rename them in the jobs and in the outbox."""
    for old, new in RENAMED.items():
        op.execute(f"UPDATE jobs SET kind = '{new}' WHERE kind = '{old}'")
        op.execute(f"UPDATE outbox SET task = 'nightlight.{new}' WHERE task = 'nightlight.{old}'")
