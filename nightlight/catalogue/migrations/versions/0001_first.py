"""The first schema: every table, the feed of changes, and an audit log that can only grow."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)
# SQLite numbers rows by itself only in a column typed INTEGER.
Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# The feed of changes. Table, kind, the key of what has changed in terms of the row ({row} is NEW or OLD), and by what.
# What is forgotten of proofs has no effect any more, so a DELETE there need not be told.
_EVERY = ("INSERT", "UPDATE", "DELETE")
_WATCHED = [
    ("profiles", "profile", "{row}.profile_id", _EVERY),
    ("images", "profile", "{row}.profile_id", _EVERY),
    ("renditions", "profile", "(SELECT profile_id FROM images WHERE image_id = {row}.image_id)", _EVERY),
    ("canaries", "profile", "{row}.profile_id", _EVERY),
    ("blocks", "profile", "{row}.profile_id", _EVERY),
    ("proof_revocations", "profile", "{row}.profile_id", ("INSERT", "UPDATE")),
    ("revocations", "name", "{row}.name", ("INSERT",)),
]


def upgrade() -> None:
    """Make every table, and the triggers."""
    _tables()
    op.execute("INSERT INTO receipt_head (\"only\", hash) VALUES (1, '')")
    _append_only("audit")
    for table, kind, key, verbs in _WATCHED:
        if op.get_bind().dialect.name == "postgresql":
            _tell_postgresql(table, kind, key, verbs)
        else:
            _tell_sqlite(table, kind, key, verbs)


def _tables() -> None:
    op.create_table(
        "abuse_signals",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("who", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("first_at", Moment, nullable=False),
        sa.Column("last_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("kind", "who", "reason", name=op.f("pk_abuse_signals")),
    )
    op.create_index(op.f("ix_abuse_signals_last_at"), "abuse_signals", ["last_at"], unique=False)
    op.create_table(
        "audit",
        sa.Column("entry_id", Serial, autoincrement=True, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=True),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_image_id"), "audit", ["image_id"], unique=False)
    op.create_table(
        "blocks",
        sa.Column("viewer_id", sa.String(length=128), nullable=False),
        sa.Column("profile_id", sa.String(length=128), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("viewer_id", "profile_id", name=op.f("pk_blocks")),
    )
    op.create_index(op.f("ix_blocks_profile_id"), "blocks", ["profile_id"], unique=False)
    op.create_table(
        "canaries",
        sa.Column("profile_id", sa.String(length=128), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("profile_id", name=op.f("pk_canaries")),
    )
    op.create_table(
        "changes",
        sa.Column("change_id", Serial, autoincrement=True, nullable=False),
        sa.Column("txid", sa.BigInteger(), nullable=True),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("change_id", name=op.f("pk_changes")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_changes_at"), "changes", ["at"], unique=False)
    op.create_index(op.f("ix_changes_txid"), "changes", ["txid"], unique=False)
    op.create_table(
        "decision_counts",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("cell", sa.String(length=300), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("day", "kind", "cell", name=op.f("pk_decision_counts")),
    )
    op.create_table(
        "events",
        sa.Column("event_id", sa.String(length=32), nullable=False),
        sa.Column("profile_id", sa.String(length=128), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_events")),
    )
    op.create_index(op.f("ix_events_next_at"), "events", ["next_at"], unique=False)
    op.create_table(
        "hash_lists",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("hashes", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("sample", sa.LargeBinary(), nullable=False),
        sa.Column("modified_ns", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("known_at", Moment, nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hash_lists")),
    )
    op.create_table(
        "holds",
        sa.Column("hold_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("until", Moment, nullable=True),
        sa.Column("approvals", sa.JSON(), nullable=False),
        sa.Column("placed_by", sa.String(length=128), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("ended_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("hold_id", name=op.f("pk_holds")),
    )
    op.create_index(op.f("ix_holds_state"), "holds", ["state"], unique=False)
    op.create_table(
        "imports",
        sa.Column("import_id", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=1100), nullable=False),
        sa.Column("template", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("cursor", sa.JSON(), nullable=False),
        sa.Column("keys_found", sa.BigInteger(), nullable=False),
        sa.Column("queued", sa.BigInteger(), nullable=False),
        sa.Column("known", sa.BigInteger(), nullable=False),
        sa.Column("unmatched", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("finished_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("import_id", name=op.f("pk_imports")),
    )
    op.create_index(op.f("ix_imports_created_at"), "imports", ["created_at"], unique=False)
    op.create_table(
        "lifecycle_snapshots",
        sa.Column("snapshot_id", Serial, autoincrement=True, nullable=False),
        sa.Column("bucket", sa.String(length=63), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("ours", sa.JSON(), nullable=False),
        sa.Column("taken_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("snapshot_id", name=op.f("pk_lifecycle_snapshots")),
    )
    op.create_index(op.f("ix_lifecycle_snapshots_bucket"), "lifecycle_snapshots", ["bucket"], unique=False)
    op.create_table(
        "lifecycles",
        sa.Column("bucket", sa.String(length=63), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("applied_at", Moment, nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("bucket", name=op.f("pk_lifecycles")),
    )
    op.create_table(
        "outbox",
        sa.Column("message_id", Serial, autoincrement=True, nullable=False),
        sa.Column("task", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("lane", sa.Integer(), server_default="2", nullable=False),
        sa.Column("claimed_until", Moment, nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_job_id"), "outbox", ["job_id"], unique=False)
    op.create_index("ix_outbox_lane_message_id", "outbox", ["lane", "message_id"], unique=False)
    op.create_table(
        "policy_bundles",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policy_bundles")),
    )
    op.create_table(
        "policy_state",
        sa.Column("only", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("highest_version", sa.Integer(), nullable=False),
        sa.Column("active_version", sa.Integer(), nullable=True),
        sa.Column("previous_version", sa.Integer(), nullable=True),
        sa.Column("candidate_version", sa.Integer(), nullable=True),
        sa.Column("candidate_permille", sa.Integer(), nullable=False),
        sa.Column("changed_at", Moment, nullable=False),
        sa.Column("activated_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("only", name=op.f("pk_policy_state")),
    )
    op.create_table(
        "policy_withdrawals",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("withdrawn_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policy_withdrawals")),
    )
    op.create_table(
        "profiles",
        sa.Column("profile_id", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("band", sa.String(length=32), nullable=False),
        sa.Column("asserted_band", sa.String(length=32), nullable=False),
        sa.Column("assurance", sa.String(length=32), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("choice", sa.String(length=32), nullable=False),
        sa.Column("report_flag", sa.String(length=32), nullable=False),
        sa.Column("asserted_at", Moment, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("uploads", sa.Integer(), nullable=False),
        sa.Column("current_image_id", sa.String(length=32), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("profile_id", name=op.f("pk_profiles")),
    )
    op.create_table(
        "proof_revocations",
        sa.Column("profile_id", sa.String(length=128), nullable=False),
        sa.Column("viewer_id", sa.String(length=128), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("profile_id", "viewer_id", name=op.f("pk_proof_revocations")),
    )
    op.create_index(op.f("ix_proof_revocations_revoked_at"), "proof_revocations", ["revoked_at"], unique=False)
    op.create_table(
        "receipt_head",
        sa.Column("only", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("only", name=op.f("pk_receipt_head")),
    )
    op.create_table(
        "receipts",
        sa.Column("sequence", Serial, autoincrement=True, nullable=False),
        sa.Column("receipt_id", sa.String(length=32), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("envelope", sa.JSON(), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_receipts")),
        sa.UniqueConstraint("receipt_id", name=op.f("uq_receipts_receipt_id")),
    )
    op.create_index(op.f("ix_receipts_image_id"), "receipts", ["image_id"], unique=False)
    op.create_table(
        "sweeps",
        sa.Column("sweep_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("batches", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("finished_at", Moment, nullable=True),
        sa.PrimaryKeyConstraint("sweep_id", name=op.f("pk_sweeps")),
    )
    op.create_index(op.f("ix_sweeps_created_at"), "sweeps", ["created_at"], unique=False)
    op.create_table(
        "trace_jobs",
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("progress", sa.Integer(), nullable=False),
        sa.Column("copy_key", sa.String(length=200), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("keep", sa.Boolean(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("finished_at", Moment, nullable=True),
        sa.Column("sealed_key", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("trace_id", name=op.f("pk_trace_jobs")),
    )
    op.create_index("ix_trace_jobs_actor_created_at", "trace_jobs", ["actor", "created_at"], unique=False)
    op.create_index("ix_trace_jobs_state_created_at", "trace_jobs", ["state", "created_at"], unique=False)
    op.create_table(
        "images",
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("profile_id", sa.String(length=128), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("original_key", sa.String(length=200), nullable=False),
        sa.Column("original_bytes", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(length=8), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("band", sa.String(length=32), nullable=False),
        sa.Column("ceiling_band", sa.String(length=32), nullable=False),
        sa.Column("released_band", sa.String(length=32), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("ready_at", Moment, nullable=True),
        sa.Column("crop", sa.String(length=40), nullable=True),
        sa.Column("blurhash", sa.String(length=64), nullable=True),
        sa.Column("superseded_at", Moment, nullable=True),
        sa.Column("sealed_key", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["profile_id"], ["profiles.profile_id"], name=op.f("fk_images_profile_id")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_images")),
        sa.UniqueConstraint("original_key", name=op.f("uq_images_original_key")),
        sa.UniqueConstraint("profile_id", "sequence", name=op.f("uq_images_profile_id")),
    )
    op.create_index(op.f("ix_images_created_at"), "images", ["created_at"], unique=False)
    op.create_index(op.f("ix_images_profile_id"), "images", ["profile_id"], unique=False)
    op.create_index(op.f("ix_images_superseded_at"), "images", ["superseded_at"], unique=False)
    op.create_table(
        "import_items",
        sa.Column("item_id", sa.String(length=32), nullable=False),
        sa.Column("identity", sa.String(length=64), nullable=False),
        sa.Column("import_id", sa.String(length=32), nullable=True),
        sa.Column("bucket", sa.String(length=63), nullable=False),
        sa.Column("key", sa.String(length=1024), nullable=False),
        sa.Column("profile_id", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("etag", sa.String(length=100), nullable=False),
        sa.Column("written_at", Moment, nullable=True),
        sa.Column("image_id", sa.String(length=32), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("finished_at", Moment, nullable=True),
        sa.ForeignKeyConstraint(["import_id"], ["imports.import_id"], name=op.f("fk_import_items_import_id")),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_import_items")),
        sa.UniqueConstraint("identity", name=op.f("uq_import_items_identity")),
    )
    op.create_index(op.f("ix_import_items_image_id"), "import_items", ["image_id"], unique=False)
    op.create_index("ix_import_items_import_id_state", "import_items", ["import_id", "state"], unique=False)
    op.create_index("ix_import_items_profile_id", "import_items", ["profile_id"], unique=False)
    op.create_table(
        "erasures",
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("objects", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_erasures_image_id")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_erasures")),
    )
    op.create_table(
        "hash_list_matches",
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("list", sa.String(length=64), nullable=False),
        sa.Column("reference", sa.String(length=200), nullable=False),
        sa.Column("distance", sa.Integer(), nullable=False),
        sa.Column("found_at", Moment, nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("decided_by", sa.String(length=128), nullable=True),
        sa.Column("decided_at", Moment, nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_hash_list_matches_image_id")),
        sa.PrimaryKeyConstraint("image_id", "list", "reference", name=op.f("pk_hash_list_matches")),
    )
    op.create_index("ix_hash_list_matches_verdict_found_at", "hash_list_matches", ["verdict", "found_at"], unique=False)
    op.create_table(
        "held",
        sa.Column("hold_id", sa.String(length=32), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["hold_id"], ["holds.hold_id"], name=op.f("fk_held_hold_id")),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_held_image_id")),
        sa.PrimaryKeyConstraint("hold_id", "image_id", name=op.f("pk_held")),
    )
    op.create_index(op.f("ix_held_image_id"), "held", ["image_id"], unique=False)
    op.create_table(
        "idempotency",
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_idempotency_image_id")),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_idempotency")),
    )
    op.create_index(op.f("ix_idempotency_created_at"), "idempotency", ["created_at"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("lane", sa.Integer(), server_default="2", nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=True),
        sa.Column("trace_id", sa.String(length=32), nullable=True),
        sa.Column("other_id", sa.String(length=32), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), nullable=False),
        sa.Column("planned", sa.JSON(), nullable=False),
        sa.Column("lease_until", Moment, nullable=True),
        sa.Column("next_run_at", Moment, nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("finished_at", Moment, nullable=True),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_jobs_image_id")),
        sa.ForeignKeyConstraint(["trace_id"], ["trace_jobs.trace_id"], name=op.f("fk_jobs_trace_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_image_id"), "jobs", ["image_id"], unique=False)
    op.create_index(op.f("ix_jobs_other_id"), "jobs", ["other_id"], unique=False)
    op.create_index("ix_jobs_state_lane_next_run_at", "jobs", ["state", "lane", "next_run_at"], unique=False)
    op.create_index(op.f("ix_jobs_trace_id"), "jobs", ["trace_id"], unique=False)
    op.create_table(
        "renditions",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("tier", sa.String(length=32), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("recipe", sa.String(length=16), nullable=False),
        sa.Column("format", sa.String(length=8), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("face_px", sa.Integer(), nullable=True),
        sa.Column("watermark", sa.BigInteger(), nullable=True),
        sa.Column("short_watermark", sa.Integer(), nullable=True),
        sa.Column("variant", sa.Integer(), nullable=False),
        sa.Column("watermark_agreement", sa.Integer(), nullable=True),
        sa.Column("manifest", sa.String(length=64), nullable=True),
        sa.Column("manifest_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_renditions_image_id")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_renditions")),
        sa.UniqueConstraint("image_id", "tier", "recipe", "variant", name=op.f("uq_renditions_image_id")),
    )
    op.create_index(op.f("ix_renditions_image_id"), "renditions", ["image_id"], unique=False)
    op.create_index(op.f("ix_renditions_manifest_id"), "renditions", ["manifest_id"], unique=False)
    op.create_index(op.f("ix_renditions_short_watermark"), "renditions", ["short_watermark"], unique=False)
    op.create_index(op.f("ix_renditions_watermark"), "renditions", ["watermark"], unique=False)
    op.create_table(
        "revocations",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("format", sa.String(length=8), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_revocations_image_id")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_revocations")),
    )
    op.create_index(op.f("ix_revocations_image_id"), "revocations", ["image_id"], unique=False)
    op.create_table(
        "screenings",
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_screenings_image_id")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_screenings")),
    )
    op.create_index(op.f("ix_screenings_revision"), "screenings", ["revision"], unique=False)
    op.create_table(
        "trace_origins",
        sa.Column("trace_id", sa.String(length=32), nullable=False),
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_trace_origins_image_id")),
        sa.ForeignKeyConstraint(["trace_id"], ["trace_jobs.trace_id"], name=op.f("fk_trace_origins_trace_id")),
        sa.PrimaryKeyConstraint("trace_id", "image_id", name=op.f("pk_trace_origins")),
    )
    op.create_index(op.f("ix_trace_origins_image_id"), "trace_origins", ["image_id"], unique=False)
    op.create_table(
        "vaulted",
        sa.Column("image_id", sa.String(length=32), nullable=False),
        sa.Column("objects", sa.JSON(), nullable=False),
        sa.Column("vaulted_at", Moment, nullable=False),
        sa.ForeignKeyConstraint(["image_id"], ["images.image_id"], name=op.f("fk_vaulted_image_id")),
        sa.PrimaryKeyConstraint("image_id", name=op.f("pk_vaulted")),
    )
    op.create_table(
        "rendition_hashes",
        sa.Column("hash_id", Serial, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("quality", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["name"], ["renditions.name"], name=op.f("fk_rendition_hashes_name")),
        sa.PrimaryKeyConstraint("hash_id", name=op.f("pk_rendition_hashes")),
        sa.UniqueConstraint("name", name=op.f("uq_rendition_hashes_name")),
        sqlite_autoincrement=True,
    )


def _append_only(table: str) -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
    )


def _tell_postgresql(table: str, kind: str, key: str, verbs: tuple[str, ...]) -> None:
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


def _tell_sqlite(table: str, kind: str, key: str, verbs: tuple[str, ...]) -> None:
    for verb in verbs:
        row = "OLD" if verb == "DELETE" else "NEW"
        op.execute(
            f"CREATE TRIGGER {table}_changed_{verb.lower()} AFTER {verb} ON {table} BEGIN "
            "INSERT INTO changes (kind, key, at) "
            f"VALUES ('{kind}', {key.format(row=row)}, CAST(strftime('%s', 'now') AS INTEGER)); END"
        )
