"""Tables of what is kept and for how long: lifecycle rules, receipts, holds, sweeps; and of pictures from elsewhere.

They belong to the same ``metadata`` as those of ``schema``; a test holds all of them equal to the migrations.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, false, text

from nightlight.catalogue.schema import Json, PlatformId, Serial, UtcDateTime, table

# What was erased and when, signed; each holds the hash of the one before it. ``receipt_head`` is one row: the last.
receipts = table(
    "receipts",
    Column("sequence", Serial, primary_key=True, autoincrement=True),
    Column("receipt_id", String(32), nullable=False, unique=True),
    Column("image_id", String(32), nullable=False, index=True),
    Column("hash", String(64), nullable=False),
    Column("envelope", Json, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # Whose erasure it was, as ErasureSubject.text; a receipt of a profile has an empty image_id.
    Column("subject", String(96), index=True),
)

# That somebody was erased, by a keyed hash of who it was.
tombstones = table(
    "tombstones",
    Column("key_id", String(16), primary_key=True),
    Column("hash", String(64), primary_key=True),
    Column("erased_at", UtcDateTime, nullable=False, index=True),
)

receipt_head = table(
    "receipt_head",
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
)

# What was applied to a bucket last: our rules, and everything that was there afterwards (``present``, which releases
# before wrote as a fingerprint alone).
lifecycles = table(
    "lifecycles",
    Column("bucket", String(63), primary_key=True),
    Column("rules", Json, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("applied_at", UtcDateTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("present", Json),
)

lifecycle_snapshots = table(
    "lifecycle_snapshots",
    Column("snapshot_id", Serial, primary_key=True, autoincrement=True),
    Column("bucket", String(63), nullable=False, index=True),
    Column("rules", Json, nullable=False),
    Column("ours", Json, nullable=False),
    Column("taken_at", UtcDateTime, nullable=False),
)

# What an erasure has found of an image's objects before it deleted them, so that its receipt names all of it.
erasures = table(
    "erasures",
    Column("image_id", String(32), ForeignKey("images.image_id"), primary_key=True),
    Column("objects", Json, nullable=False),
)

# A legal or safeguarding hold. ``approvals`` are of its end: who, and when. ``may_be_told`` is to the pictures' owner.
holds = table(
    "holds",
    Column("hold_id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("reference", String(200), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("until", UtcDateTime),
    Column("approvals", Json, nullable=False),
    Column("placed_by", String(128), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("may_be_told", Boolean, nullable=False, server_default=false()),
)

# Which images a hold covers.
held = table(
    "held",
    Column("hold_id", String(32), ForeignKey("holds.hold_id"), primary_key=True),
    Column("image_id", String(32), ForeignKey("images.image_id"), primary_key=True, index=True),
)

# What the vault holds of an image, whatever holds cover it.
vaulted = table(
    "vaulted",
    Column("image_id", String(32), ForeignKey("images.image_id"), primary_key=True),
    Column("objects", Json, nullable=False),
    Column("vaulted_at", UtcDateTime, nullable=False),
)

# One run of the sweep, in batches; ``counts`` are by what was done.
sweeps = table(
    "sweeps",
    Column("sweep_id", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("counts", Json, nullable=False),
    Column("batches", Integer, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("finished_at", UtcDateTime),
)

# One walk through a bucket or an inventory of it; ``cursor`` is where it goes on, ``left_out`` what it tells of keys
# that are nobody's picture: see ``catalogue.imports.LeftOut``.
imports = table(
    "imports",
    Column("import_id", String(32), primary_key=True),
    Column("source", String(1100), nullable=False),
    Column("template", String(300), nullable=False),
    Column("state", String(16), nullable=False),
    Column("cursor", Json, nullable=False),
    Column("keys_found", BigInteger, nullable=False),
    Column("queued", BigInteger, nullable=False),
    Column("known", BigInteger, nullable=False),
    Column("unmatched", BigInteger, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("finished_at", UtcDateTime),
    Column("left_out", JSON(none_as_null=True)),
)

# Imported keys that nothing is made of any more, but for those that led to a picture.
ENDED_IMPORT = "finished_at IS NOT NULL AND (state <> 'taken' OR key = '')"

# A key of another bucket that is to be looked at: because it was listed, or because an event told of it. ``identity``
# is a hash of what was told, so that it is told once. After an erasure neither key nor profile is kept.
import_items = table(
    "import_items",
    Column("item_id", String(32), primary_key=True),
    Column("identity", String(64), nullable=False, unique=True),
    Column("import_id", String(32), ForeignKey("imports.import_id")),
    Column("bucket", String(63), nullable=False),
    Column("key", String(1024), nullable=False),
    Column("profile_id", PlatformId, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(64)),
    Column("etag", String(100), nullable=False),
    Column("written_at", UtcDateTime),
    Column("image_id", String(32), index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Index("ix_import_items_import_id_state", "import_id", "state"),
    Index("ix_import_items_profile_id", "profile_id"),
    Index(
        "ix_import_items_finished_at",
        "finished_at",
        postgresql_where=text(ENDED_IMPORT),
        sqlite_where=text(ENDED_IMPORT),
    ),
)

# A person's own data, asked for and made by a worker. ``object_key`` is empty once the object is gone; after an erasure
# ``profile_id`` is empty too.
exports = table(
    "exports",
    Column("export_id", String(32), primary_key=True),
    Column("profile_id", PlatformId, nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(64)),
    Column("seal_to", String(100)),
    Column("object_key", String(200)),
    Column("bytes", BigInteger),
    Column("sha256", String(64)),
    Column("actor", String(128), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Index("ix_exports_state_created_at", "state", "created_at"),
)

# One row: how far the catalogue is, by which one that was restored from a backup is noticed (catalogue.position).
catalogue_position = table(
    "catalogue_position",
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    # In Unix seconds of the database; 0 if it never was.
    Column("restored_at", BigInteger, nullable=False),
)
