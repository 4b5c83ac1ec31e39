"""Accounts are deactivated: kept, shown to nobody, until a date.

A deleted profile's blocks and proofs go by a trigger from now on, whoever deletes it: a worker that deletes what is
kept no longer may not read or write them itself. Processes of the release before still delete them, and find none.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)
_DEACTIVATED = sa.text("deactivated_at IS NOT NULL")
# What is known of a profile's relations, and means nothing once it is deleted.
_OF_RELATIONS = ("blocks", "proof_revocations")


def upgrade() -> None:
    """Add a column, its index, and a trigger."""
    op.add_column("profiles", sa.Column("deactivated_at", Moment, nullable=True))
    op.create_index(
        op.f("ix_profiles_deactivated_at"),
        "profiles",
        ["deactivated_at"],
        unique=False,
        postgresql_where=_DEACTIVATED,
        sqlite_where=_DEACTIVATED,
    )
    forgotten = " ".join(f"DELETE FROM {table} WHERE profile_id = NEW.profile_id;" for table in _OF_RELATIONS)
    deleted = "WHEN (NEW.state = 'deleted' AND OLD.state <> 'deleted')"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER profiles_deleted AFTER UPDATE OF state ON profiles {deleted} BEGIN {forgotten} END")
        return
    # As the owner of the tables: who may delete a profile need not be able to read who was blocked.
    op.execute(
        "CREATE FUNCTION profiles_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        f"SET search_path = public, pg_temp AS $$ BEGIN {forgotten} RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER profiles_deleted AFTER UPDATE OF state ON profiles FOR EACH ROW {deleted} "
        "EXECUTE FUNCTION profiles_deleted()"
    )
