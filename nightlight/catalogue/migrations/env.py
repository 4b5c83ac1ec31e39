"""Alembic's entry: runs the migrations on the connection that ``migrate.upgrade`` passes in."""

from alembic import context

from nightlight.catalogue.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()
