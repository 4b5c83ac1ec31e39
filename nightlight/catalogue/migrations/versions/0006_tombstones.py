"""An erasure leaves a keyed hash and nothing else.

Rows of erased profiles and images can be removed, and no others: triggers refuse. What a profile said of its owner goes
the moment it is deleted. Lines of the audit log about an image that is gone may be dropped a day after they were
written; which are, and when, the policy says. What the release before erased is removed by the sweep.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)
_DELETED = sa.text("state = 'deleted'")
# A deletion takes with it what is known of a profile's relations, and that it was a canary. The row, later, takes what
# is kept under its id until then.
_WITH_DELETION = ("blocks", "proof_revocations", "canaries")
_SCRUBBED = {
    "profiles": "band = 'unknown', asserted_band = 'unknown', assurance = 'unknown', region = 'unknown', "
    "choice = 'unknown' WHERE profile_id = NEW.profile_id",
    "images": "band = 'unknown', ceiling_band = 'unknown', released_band = NULL, width = 0, height = 0, "
    "original_bytes = 0, blurhash = NULL, crop = NULL "
    "WHERE image_id = NEW.image_id",
}
_WITH_ROW = (
    "DELETE FROM events WHERE profile_id = OLD.profile_id; "
    "DELETE FROM abuse_signals WHERE kind = 'viewer' AND who = OLD.profile_id; "
    "DELETE FROM proof_revocations WHERE profile_id = OLD.profile_id OR viewer_id = OLD.profile_id; "
)
_NO_IMAGE = "NOT EXISTS (SELECT 1 FROM images WHERE images.image_id = OLD.image_id)"


def upgrade() -> None:
    """Add a table, a column, indexes and triggers."""
    op.create_table(
        "tombstones",
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("erased_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("key_id", "hash", name=op.f("pk_tombstones")),
    )
    op.create_index(op.f("ix_tombstones_erased_at"), "tombstones", ["erased_at"], unique=False)
    op.add_column("receipts", sa.Column("subject", sa.String(length=96), nullable=True))
    op.create_index(op.f("ix_receipts_subject"), "receipts", ["subject"], unique=False)
    for table, column in (("profiles", "profile_id"), ("images", "image_id")):
        op.create_index(op.f(f"ix_{table}_deleted"), table, [column], postgresql_where=_DELETED, sqlite_where=_DELETED)
    if op.get_bind().dialect.name == "sqlite":
        _sqlite()
    else:
        _postgresql()


def _forgotten() -> str:
    return " ".join(f"DELETE FROM {table} WHERE profile_id = NEW.profile_id;" for table in _WITH_DELETION)


def _sqlite() -> None:
    op.execute("DROP TRIGGER profiles_deleted")
    for table, scrubbed in _SCRUBBED.items():
        also = _forgotten() if table == "profiles" else ""
        op.execute(
            f"CREATE TRIGGER {table}_deleted AFTER UPDATE OF state ON {table} "
            f"WHEN (NEW.state = 'deleted' AND OLD.state <> 'deleted') BEGIN {also} UPDATE {table} SET {scrubbed}; END"
        )
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} WHEN OLD.state <> 'deleted' "
            f"BEGIN SELECT RAISE(ABORT, 'only rows of {table} that were deleted may be removed'); END"
        )
        # Whoever decides was told when it was deleted.
        op.execute(f"DROP TRIGGER {table}_changed_delete")
    op.execute(f"CREATE TRIGGER profiles_removed AFTER DELETE ON profiles BEGIN {_WITH_ROW} END")
    op.execute("DROP TRIGGER audit_no_delete")
    op.execute(
        "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit WHEN NOT (OLD.image_id IS NOT NULL "
        f"AND OLD.at < strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 day') AND {_NO_IMAGE}) "
        "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END"
    )


def _function(name: str, body: str, *, owner: bool = False) -> None:
    """Make a trigger's function; ``owner``: it runs as the owner of the tables, whose rights whoever fires it lacks."""
    rights = "SECURITY DEFINER SET search_path = public, pg_temp " if owner else ""
    op.execute(
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql {rights}AS $$ BEGIN {body} END $$"
    )


def _postgresql() -> None:
    op.execute("DROP TRIGGER profiles_deleted ON profiles")
    for table, scrubbed in _SCRUBBED.items():
        also = _forgotten() if table == "profiles" else ""
        _function(f"{table}_deleted", f"{also} UPDATE {table} SET {scrubbed}; RETURN NULL;", owner=True)
        op.execute(
            f"CREATE TRIGGER {table}_deleted AFTER UPDATE OF state ON {table} FOR EACH ROW "
            f"WHEN (NEW.state = 'deleted' AND OLD.state <> 'deleted') EXECUTE FUNCTION {table}_deleted()"
        )
        _function(f"{table}_kept", f"RAISE EXCEPTION 'only rows of {table} that were deleted may be removed';")
        op.execute(
            f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} FOR EACH ROW WHEN (OLD.state <> 'deleted') "
            f"EXECUTE FUNCTION {table}_kept()"
        )
        # Whoever decides was told when it was deleted.
        op.execute(f"DROP TRIGGER {table}_changed ON {table}")
        op.execute(
            f"CREATE TRIGGER {table}_changed AFTER INSERT OR UPDATE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_changed()"
        )
    _function("profiles_removed", f"{_WITH_ROW} RETURN NULL;", owner=True)
    op.execute(
        "CREATE TRIGGER profiles_removed AFTER DELETE ON profiles FOR EACH ROW EXECUTE FUNCTION profiles_removed()"
    )
    op.execute("DROP TRIGGER audit_append_only ON audit")
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()"
    )
    gone = f"OLD.image_id IS NOT NULL AND OLD.at < now() - interval '1 day' AND {_NO_IMAGE}"
    _function(
        "audit_kept", f"IF NOT ({gone}) THEN RAISE EXCEPTION 'audit is append-only'; END IF; RETURN OLD;", owner=True
    )
    op.execute("CREATE TRIGGER audit_kept BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_kept()")
