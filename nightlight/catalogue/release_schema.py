"""The table that says which releases work with the schema; its ``metadata`` is that of ``schema``."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String

from nightlight.catalogue.schema import table

# One row: the oldest revision whose processes may use this database.
schema_state = table(
    "schema_state",
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("works_for", String(32), nullable=False),
)
