"""Tables of policies: bundles, which is in use, counts of decisions, and how far pictures follow them.

They belong to the same ``metadata`` as those of ``schema``; a test holds all of them equal to the migrations.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Integer, LargeBinary, String

from nightlight.catalogue.schema import Json, UtcDateTime, table

policy_bundles = table(
    "policy_bundles",
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# One row: which bundles are in use. ``revision`` changes with every change, so that polling is one small read.
policy_state = table(
    "policy_state",
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
    Column("highest_version", Integer, nullable=False),
    Column("active_version", Integer),
    Column("previous_version", Integer),
    Column("candidate_version", Integer),
    Column("candidate_permille", Integer, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("activated_at", UtcDateTime),
    # 1: pictures are rendered by the candidate's recipes too, before it decides for anybody.
    Column("candidate_rendered", Integer, nullable=False, server_default="0"),
)

# Versions that may not be activated any more, or be brought back without a new approval.
policy_withdrawals = table(
    "policy_withdrawals",
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("withdrawn_at", UtcDateTime, nullable=False),
)

# One row, while an emergency lasts: the bundle that comes back by itself, when, and in the place of which.
policy_scheduled = table(
    "policy_scheduled",
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("instead_of", Integer, nullable=False),
    Column("restores", Integer),
    Column("due_at", UtcDateTime, nullable=False),
)

decision_counts = table(
    "decision_counts",
    Column("day", Date, primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("cell", String(300), primary_key=True),
    Column("count", BigInteger, nullable=False),
)

# What a tier asked for when pictures were rendered by a recipe: the fields of TierRecipe, by the recipe's digest.
recipes = table(
    "recipes",
    Column("digest", String(16), primary_key=True),
    Column("fields", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# Runs over all pictures, to render again what is not by the recipes of now. ``wanted`` is the digest of those recipes;
# ``cursor`` the last picture that was looked at.
rerenders = table(
    "rerenders",
    Column("rerender_id", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("wanted", String(64), nullable=False),
    Column("scope", Json, nullable=False),
    Column("cursor", String(32), nullable=False),
    Column("pictures", BigInteger),
    Column("looked_at", BigInteger, nullable=False),
    Column("queued", BigInteger, nullable=False),
    Column("rendered", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
)

# Pictures that were asked for while they were not as the policy wants them, and how often: they come first.
rerender_demand = table(
    "rerender_demand",
    Column("image_id", String(32), ForeignKey("images.image_id"), primary_key=True),
    Column("views", BigInteger, nullable=False, index=True),
)
