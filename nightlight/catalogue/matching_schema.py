"""Tables of found copies and of hash lists: traces, matches, and what images were held against.

They belong to the same ``metadata`` as those of ``schema``; a test holds all of them equal to the migrations.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String

from nightlight.catalogue.schema import Json, UtcDateTime, table

# A copy that somebody found, and what it led back to. ``progress`` is in hundredths; ``copy_key`` is None once the
# copy is gone from the store.
trace_jobs = table(
    "trace_jobs",
    Column("trace_id", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("reason", String(200)),
    Column("progress", Integer, nullable=False),
    Column("copy_key", String(200)),
    Column("sha256", String(64)),
    Column("keep", Boolean, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("result", Json),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("sealed_key", String(200)),
    Index("ix_trace_jobs_actor_created_at", "actor", "created_at"),
    Index("ix_trace_jobs_state_created_at", "state", "created_at"),
)

# Which images a trace's result names, so that an erasure finds it.
trace_origins = table(
    "trace_origins",
    Column("trace_id", String(32), ForeignKey("trace_jobs.trace_id"), primary_key=True),
    Column("image_id", String(32), ForeignKey("images.image_id"), primary_key=True, index=True),
)

# Entries of hash lists that an image is near to. ``verdict``: open, cleared or confirmed.
hash_list_matches = table(
    "hash_list_matches",
    Column("image_id", String(32), ForeignKey("images.image_id"), primary_key=True),
    Column("list", String(64), primary_key=True),
    Column("reference", String(200), primary_key=True),
    Column("distance", Integer, nullable=False),
    Column("found_at", UtcDateTime, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("decided_by", String(128)),
    Column("decided_at", UtcDateTime),
    Index("ix_hash_list_matches_verdict_found_at", "verdict", "found_at"),
)

# Hash lists as they were last known: see ``nightlight.catalogue.screenings``.
hash_lists = table(
    "hash_lists",
    Column("name", String(64), primary_key=True),
    Column("hashes", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("sample", LargeBinary, nullable=False),
    Column("modified_ns", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("known_at", UtcDateTime, nullable=False),
    Column("actor", String(128), nullable=False),
)

# The hashes of an image's views, eight turns of 32 bytes each, and the lists' revision that they were held against.
screenings = table(
    "screenings",
    Column("image_id", String(32), ForeignKey("images.image_id"), primary_key=True),
    Column("hashes", LargeBinary, nullable=False),
    Column("revision", Integer, nullable=False, index=True),
)
