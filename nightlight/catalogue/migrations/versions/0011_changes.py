"""The feed of changes: triggers write down whatever a decision was made by and is so no longer."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ROWS = {"INSERT": "NEW", "UPDATE": "NEW", "DELETE": "OLD"}
_EVERY = ("INSERT", "UPDATE", "DELETE")
# Table, kind, the key of what has changed in terms of the row ({row} is NEW or OLD), and by what.
_WATCHED = [
    ("profiles", "profile", "{row}.profile_id", _EVERY),
    ("images", "profile", "{row}.profile_id", _EVERY),
    ("renditions", "profile", "(SELECT profile_id FROM images WHERE image_id = {row}.image_id)", _EVERY),
    ("canaries", "profile", "{row}.profile_id", _EVERY),
    ("blocks", "profile", "{row}.profile_id", _EVERY),
    ("revocations", "name", "{row}.name", ("INSERT",)),
]


def upgrade() -> None:
    """Add the table, and the triggers that fill it."""
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "changes",
        sa.Column("change_id", serial, autoincrement=True, nullable=False),
        sa.Column("txid", sa.BigInteger()),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("change_id", name="pk_changes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_changes_txid", "changes", ["txid"])
    op.create_index("ix_changes_at", "changes", ["at"])
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table, kind, key, verbs in _WATCHED:
        if postgresql:
            _postgresql(table, kind, key, verbs)
        else:
            _sqlite(table, kind, key, verbs)


def _postgresql(table: str, kind: str, key: str, verbs: tuple[str, ...]) -> None:
    def write(row: str) -> str:
        return (
            "INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, "
            f"'{kind}', {key.format(row=row)}, extract(epoch from now())::bigint);"
        )

    op.execute(
        f"CREATE FUNCTION {table}_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF TG_OP = 'DELETE' THEN {write('OLD')} ELSE {write('NEW')} END IF; RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_changed AFTER {' OR '.join(verbs)} ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_changed()"
    )


def _sqlite(table: str, kind: str, key: str, verbs: tuple[str, ...]) -> None:
    for verb in verbs:
        row = _ROWS[verb]
        op.execute(
            f"CREATE TRIGGER {table}_changed_{verb.lower()} AFTER {verb} ON {table} BEGIN "
            "INSERT INTO changes (kind, key, at) "
            f"VALUES ('{kind}', {key.format(row=row)}, CAST(strftime('%s', 'now') AS INTEGER)); END"
        )
