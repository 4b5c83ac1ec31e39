"""Traces that are asked for over HTTP: found copies, and what they led back to."""

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.tables import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables; a job is on an image or on a trace from now on."""
    op.create_table(
        "traces",
        sa.Column("trace_id", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(200)),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("copy_key", sa.String(200)),
        sa.Column("sha256", sa.String(64)),
        sa.Column("keep", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("result", sa.JSON()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("trace_id", name="pk_traces"),
    )
    op.create_index("ix_traces_actor_created_at", "traces", ["actor", "created_at"])
    op.create_index("ix_traces_state_created_at", "traces", ["state", "created_at"])
    op.create_table(
        "trace_origins",
        sa.Column("trace_id", sa.String(32), nullable=False),
        sa.Column("image_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("trace_id", "image_id", name="pk_trace_origins"),
        sa.ForeignKeyConstraint(["trace_id"], ["traces.trace_id"], name="fk_trace_origins_trace_id"),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name="fk_trace_origins_image_id"),
    )
    op.create_index("ix_trace_origins_image_id", "trace_origins", ["image_id"])
    with op.batch_alter_table("jobs") as table:
        table.alter_column("image_id", existing_type=sa.String(32), nullable=True)
        table.add_column(sa.Column("trace_id", sa.String(32)))
        table.create_foreign_key("fk_jobs_trace_id", "traces", ["trace_id"], ["trace_id"])
        table.create_index("ix_jobs_trace_id", ["trace_id"])
