"""Which lane a job and its message are in, so that nothing urgent waits behind uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# As nightlight.jobs.lanes had them when this was written.
URGENT = "'erase', 'prove', 'rename', 'vault', 'forget', 'sweep'"


def upgrade() -> None:
    """Add the ranks; what waits already gets the one of its kind."""
    for table in ("jobs", "outbox"):
        op.add_column(table, sa.Column("lane", sa.Integer(), nullable=False, server_default="2"))
    op.execute(f"UPDATE jobs SET lane = 0 WHERE kind IN ({URGENT}) AND state IN ('queued', 'leased')")
    op.execute("UPDATE jobs SET lane = 1 WHERE kind = 'trace' AND state IN ('queued', 'leased')")
    op.execute("UPDATE jobs SET lane = 3 WHERE kind = 'restate' AND state IN ('queued', 'leased')")
    op.execute(
        "UPDATE outbox SET lane = (SELECT jobs.lane FROM jobs WHERE jobs.job_id = outbox.job_id)"
        " WHERE job_id IN (SELECT job_id FROM jobs)"
    )
    op.create_index("ix_outbox_lane_message_id", "outbox", ["lane", "message_id"])
    op.create_index("ix_jobs_state_lane_next_run_at", "jobs", ["state", "lane", "next_run_at"])
    op.drop_index("ix_jobs_state_next_run_at", "jobs")
