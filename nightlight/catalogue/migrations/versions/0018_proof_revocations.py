"""Since when relation proofs count, for a viewer of a profile or for all."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table, and the triggers that tell of it by the feed of changes."""
    op.create_table(
        "proof_revocations",
        sa.Column("profile_id", sa.String(128), nullable=False),
        sa.Column("viewer_id", sa.String(128), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("profile_id", "viewer_id", name="pk_proof_revocations"),
    )
    op.create_index("ix_proof_revocations_revoked_at", "proof_revocations", ["revoked_at"])
    # What is forgotten has no effect any more, so a DELETE need not be told.
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION proof_revocations_changed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "INSERT INTO changes (txid, kind, key, at) VALUES (pg_current_xact_id()::text::bigint, 'profile', "
            "NEW.profile_id, extract(epoch from now())::bigint); RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER proof_revocations_changed AFTER INSERT OR UPDATE ON proof_revocations "
            "FOR EACH ROW EXECUTE FUNCTION proof_revocations_changed()"
        )
        return
    for verb in ("insert", "update"):
        op.execute(
            f"CREATE TRIGGER proof_revocations_changed_{verb} AFTER {verb.upper()} ON proof_revocations BEGIN "
            "INSERT INTO changes (kind, key, at) "
            "VALUES ('profile', NEW.profile_id, CAST(strftime('%s', 'now') AS INTEGER)); END"
        )
