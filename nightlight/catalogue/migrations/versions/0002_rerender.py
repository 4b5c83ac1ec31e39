"""Pictures follow the policy, and emergencies end.

Recipes by their digest, runs that render again, what is asked for meanwhile, and the bundle that comes back by itself.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add four tables and two columns."""
    op.create_table(
        "recipes",
        sa.Column("digest", sa.String(length=16), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_recipes")),
    )
    op.create_table(
        "rerenders",
        sa.Column("rerender_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("wanted", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.JSON(), nullable=False),
        sa.Column("cursor", sa.String(length=32), nullable=False),
        sa.Column("pictures", sa.BigInteger(), nullable=True),
        sa.Column("looked_at", sa.BigInteger(), nullable=False),
        sa.Column("queued", sa.BigInteger(), nullable=False),
        sa.Column("rendered", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("finished_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("rerender_id", name=op.f("pk_rerenders")),
    )
    op.create_table(
        "rerender_demand",
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("views", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_rerender_demand_image_id")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_rerender_demand")),
    )
    op.create_index(op.f("ix_rerender_demand_views"), "rerender_demand", ["views"], unique=False)
    op.create_table(
        "policy_scheduled",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("instead_of", sa.Integer(), nullable=False),
        sa.Column("restores", sa.Integer(), nullable=True),
        sa.Column("due_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policy_scheduled")),
    )
    op.add_column("renditions", sa.Column("watermark_key", sa.String(length=32), nullable=True))
    op.add_column("policy_state", sa.Column("candidate_rendered", sa.Integer(), nullable=False, server_default="0"))
