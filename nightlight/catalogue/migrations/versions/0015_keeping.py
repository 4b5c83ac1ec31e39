"""Holds, sweeps, what erasures found, sealed keys, and pictures that come from other buckets."""

import sqlalchemy as sa
from alembic import op

from nightlight.catalogue.tables import UtcDateTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables; a job may be on a row of one of them from now on."""
    op.add_column("images", sa.Column("sealed_key", sa.String(200)))
    op.add_column("jobs", sa.Column("other_id", sa.String(32)))
    op.create_index("ix_jobs_other_id", "jobs", ["other_id"])
    _holds()
    _arrivals()
    op.create_table(
        "erasures",
        sa.Column("image_id", sa.String(32), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="pk_erasures"),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name="fk_erasures_image_id"),
    )
    op.create_table(
        "sweeps",
        sa.Column("sweep_id", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("batches", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("sweep_id", name="pk_sweeps"),
    )
    op.create_index("ix_sweeps_created_at", "sweeps", ["created_at"])


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("hold_id", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("until", UtcDateTime()),
        sa.Column("approvals", sa.JSON(), nullable=False),
        sa.Column("placed_by", sa.String(128), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("hold_id", name="pk_holds"),
    )
    op.create_index("ix_holds_state", "holds", ["state"])
    op.create_table(
        "held",
        sa.Column("hold_id", sa.String(32), nullable=False),
        sa.Column("image_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("hold_id", "image_id", name="pk_held"),
        sa.ForeignKeyConstraint(["hold_id"], ["holds.hold_id"], name="fk_held_hold_id"),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name="fk_held_image_id"),
    )
    op.create_index("ix_held_image_id", "held", ["image_id"])
    op.create_table(
        "vaulted",
        sa.Column("image_id", sa.String(32), nullable=False),
        sa.Column("objects", sa.JSON(), nullable=False),
        sa.Column("vaulted_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="pk_vaulted"),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name="fk_vaulted_image_id"),
    )


def _arrivals() -> None:
    op.create_table(
        "imports",
        sa.Column("import_id", sa.String(32), nullable=False),
        sa.Column("source", sa.String(1100), nullable=False),
        sa.Column("template", sa.String(300), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cursor", sa.JSON(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("found", "queued", "known", "unmatched")),
        sa.Column("actor", sa.String(128), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("import_id", name="pk_imports"),
    )
    op.create_index("ix_imports_created_at", "imports", ["created_at"])
    op.create_table(
        "arrivals",
        sa.Column("arrival_id", sa.String(32), nullable=False),
        sa.Column("identity", sa.String(64), nullable=False),
        sa.Column("import_id", sa.String(32)),
        sa.Column("bucket", sa.String(63), nullable=False),
        sa.Column("key", sa.String(1024), nullable=False),
        sa.Column("profile_id", sa.String(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64)),
        sa.Column("etag", sa.String(100), nullable=False),
        sa.Column("written_at", UtcDateTime()),
        sa.Column("image_id", sa.String(32)),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime()),
        sa.PrimaryKeyConstraint("arrival_id", name="pk_arrivals"),
        sa.UniqueConstraint("identity", name="uq_arrivals_identity"),
        sa.ForeignKeyConstraint(["import_id"], ["imports.import_id"], name="fk_arrivals_import_id"),
    )
    op.create_index("ix_arrivals_image_id", "arrivals", ["image_id"])
    op.create_index("ix_arrivals_import_id_state", "arrivals", ["import_id", "state"])
    op.create_index("ix_arrivals_profile_id", "arrivals", ["profile_id"])
