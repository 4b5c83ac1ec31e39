"""Tables of policies: bundles, which is in use, and counts of decisions.

They belong to the same ``metadata`` as those of ``schema``; a test holds all of them equal to the migrations.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Integer, LargeBinary, String

from nightlight.catalogue.schema import UtcDateTime, table

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
)

# Versions that may not be activated any more, or be brought back without a new approval.
policy_withdrawals = table(
    "policy_withdrawals",
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("withdrawn_at", UtcDateTime, nullable=False),
)

decision_counts = table(
    "decision_counts",
    Column("day", Date, primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("cell", String(300), primary_key=True),
    Column("count", BigInteger, nullable=False),
)
