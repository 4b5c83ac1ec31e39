"""Alembic's entry: runs the migrations on the connection that ``migrate`` passes in.

On PostgreSQL each has a transaction of its own, which steps that must not have one leave for a moment.
"""

from alembic import context

from nightlight.catalogue.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transaction_per_migration=connection.dialect.name != "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
