"""Tables of takedown notices, and of the hashes by which copies of a picture are found.

They belong to the same ``metadata`` as those of ``schema``; a test holds all of them equal to the migrations.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String

from nightlight.catalogue.schema import Json, Serial, UtcDateTime, table

# A notice that asks for a picture and its copies to be taken down. It names no person: ``reference`` is the platform's
# own number for it. ``image_id`` is not a reference to a row, since a notice outlives the picture. ``hashes`` are its
# entries of the own list, 32 bytes each, while it stands; ``aside`` the numbers of those that were set aside.
takedowns = table(
    "takedowns",
    Column("sequence", Serial, primary_key=True, autoincrement=True),
    Column("takedown_id", String(32), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(200)),
    Column("kind", String(32), nullable=False),
    Column("reference", String(200), nullable=False),
    Column("image_id", String(32), index=True),
    Column("copy_key", String(200)),
    Column("sealed_key", String(200)),
    Column("hashes", LargeBinary),
    Column("aside", Json, nullable=False),
    Column("revision", Integer, nullable=False, index=True),
    Column("hidden", Integer, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("due_at", UtcDateTime, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("dark_at", UtcDateTime),
    Column("undone_at", UtcDateTime),
    Index("ix_takedowns_state_due_at", "state", "due_at"),
    sqlite_autoincrement=True,
)

# Images that are near to a notice's picture: as ``matching_schema.hash_list_matches``, of which the service knows
# nothing, while it takes verdicts on these. ``list`` is always the same; ``reference`` is the notice.
takedown_matches = table(
    "takedown_matches",
    Column("image_id", String(32), ForeignKey("images.image_id"), primary_key=True),
    Column("list", String(64), primary_key=True),
    Column("reference", String(200), primary_key=True, index=True),
    Column("distance", Integer, nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("decided_by", String(128)),
    Column("decided_at", UtcDateTime),
)

# One row: it rises by one with each change of the own list. Whoever publishes a picture holds it shared.
takedown_revision = table(
    "takedown_revision",
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("revision", Integer, nullable=False),
)

# The hashes of the views as they are, 32 bytes each, of an image that is published or that a notice keeps dark. Numbers
# are never given twice: an index knows views by them.
view_hashes = table(
    "view_hashes",
    Column("number", Serial, primary_key=True, autoincrement=True),
    Column("image_id", String(32), ForeignKey("images.image_id"), nullable=False, unique=True),
    Column("hashes", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

# Softened pictures that a person compares, each an object for hours: of an image, or of the notice's own picture where
# ``image_id`` is empty.
takedown_reviews = table(
    "takedown_reviews",
    Column("review_id", String(32), primary_key=True),
    Column("takedown_id", String(32), nullable=False, index=True),
    Column("image_id", String(32), index=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(64)),
    Column("object_key", String(200), nullable=False),
    Column("actor", String(128), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("made_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Index("ix_takedown_reviews_state_created_at", "state", "created_at"),
)
