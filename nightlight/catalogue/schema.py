"""The tables of pictures, of who may see them, and of jobs.

Migrations in ``migrations/`` make them; a test holds the two equal. ``matching_schema``, ``policy_schema``,
``retention_schema``, ``takedown_schema`` and ``webhook_schema`` have the others.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.sql.schema import SchemaItem

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: ``timestamptz`` on PostgreSQL, UTC text without a zone on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; give SQLite the UTC wall clock."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back an aware time."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


# SQLite numbers rows by itself only in a column typed INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")
Json: Any = JSON
# The platform's id of a profile, a viewer or a network. SQLite holds to no length, and its tables stay as they were.
PlatformId = String(256).with_variant(String(128), "sqlite")


def table(name: str, *columns: SchemaItem, sqlite_autoincrement: bool = False) -> Table:
    """Return a table of the catalogue; ``sqlite_autoincrement`` is for numbers that are never given twice."""
    return Table(name, metadata, *columns, sqlite_autoincrement=sqlite_autoincrement)


def _partial(name: str, columns: tuple[str, ...], where: str) -> Index:
    return Index(name, *columns, postgresql_where=text(where), sqlite_where=text(where))


def _of_deleted(name: str, column: str) -> Index:
    """Return the index of what is being erased: few rows of many."""
    return _partial(name, (column,), "state = 'deleted'")


# Profiles whose band may lapse; images in a state that few are in; the last lines about images.
ASSERTED = "state = 'live' AND band <> 'unknown'"
RARE_STATE = "state NOT IN ('ready', 'superseded')"
DELETION_STEPS = "event IN ('image.deleted', 'image.let_go', 'image.verified')"


profiles = table(
    "profiles",
    Column("profile_id", PlatformId, primary_key=True),
    Column("state", String(16), nullable=False),
    # The band that counts: what was asserted last, or unknown since that has lapsed.
    Column("band", String(32), nullable=False),
    # What the platform asserted last, which a lapse leaves as it is.
    Column("asserted_band", String(32), nullable=False),
    Column("assurance", String(32), nullable=False),
    Column("region", String(32), nullable=False),
    Column("choice", String(32), nullable=False),
    Column("report_flag", String(32), nullable=False),
    Column("asserted_at", UtcDateTime, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("uploads", Integer, nullable=False),
    Column("current_image_id", String(32)),
    Column("created_at", UtcDateTime, nullable=False),
    # Since when the account is deactivated; empty while it is not.
    Column("deactivated_at", UtcDateTime),
    _partial("ix_profiles_deactivated_at", ("deactivated_at",), "deactivated_at IS NOT NULL"),
    _partial("ix_profiles_asserted_at", ("asserted_at",), ASSERTED),
    _of_deleted("ix_profiles_deleted", "profile_id"),
)

images = table(
    "images",
    Column("image_id", String(32), primary_key=True),
    Column("profile_id", PlatformId, ForeignKey("profiles.profile_id"), nullable=False, index=True),
    Column("sequence", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", String(64)),
    Column("reason_detail", String(200)),
    Column("original_key", String(200), nullable=False, unique=True),
    Column("original_bytes", Integer, nullable=False),
    Column("format", String(8), nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("band", String(32), nullable=False),
    # The most protective band that the platform asserted since the upload; the band up to which the owner opened the
    # picture, until a correction takes that back.
    Column("ceiling_band", String(32), nullable=False),
    Column("released_band", String(32)),
    Column("created_at", UtcDateTime, nullable=False, index=True),
    Column("ready_at", UtcDateTime),
    Column("crop", String(40)),
    Column("blurhash", String(64)),
    Column("superseded_at", UtcDateTime, index=True),
    Column("sealed_key", String(200)),
    UniqueConstraint("profile_id", "sequence"),
    _of_deleted("ix_images_deleted", "image_id"),
    _partial("ix_images_state_created_at", ("state", "created_at"), RARE_STATE),
)

# A block may come before its profile.
blocks = table(
    "blocks",
    Column("viewer_id", PlatformId, primary_key=True),
    Column("profile_id", PlatformId, primary_key=True, index=True),
    Column("created_at", UtcDateTime, nullable=False),
)

# Relation proofs that were issued before count for nothing: of one viewer, or, where ``viewer_id`` is empty, of all.
# ``revoked_at`` is in Unix seconds.
proof_revocations = table(
    "proof_revocations",
    Column("profile_id", PlatformId, primary_key=True),
    Column("viewer_id", PlatformId, primary_key=True),
    Column("revoked_at", BigInteger, nullable=False, index=True),
)

# Names of renditions that count for nothing any more, until their objects are gone.
revocations = table(
    "revocations",
    Column("name", String(64), primary_key=True),
    Column("format", String(8), nullable=False),
    Column("image_id", String(32), ForeignKey("images.image_id"), nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
)

abuse_signals = table(
    "abuse_signals",
    Column("kind", String(16), primary_key=True),
    Column("who", PlatformId, primary_key=True),
    Column("reason", String(32), primary_key=True),
    Column("times", Integer, nullable=False),
    Column("first_at", UtcDateTime, nullable=False),
    Column("last_at", UtcDateTime, nullable=False, index=True),
)

# Profiles that nobody has a reason to ask for.
canaries = table(
    "canaries",
    Column("profile_id", PlatformId, primary_key=True),
    Column("created_at", UtcDateTime, nullable=False),
)

# What the platform is told of: until it has taken it, and for a time after that, so that it can be sent again.
events = table(
    "events",
    Column("event_id", String(32), primary_key=True),
    Column("profile_id", PlatformId, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False, index=True),
    # What it is called, and the image that it is about where it is about one.
    Column("kind", String(32), nullable=False, server_default="picture.changed"),
    Column("image_id", String(32)),
    # The takedown notice that it is about, where it is about no profile: that is empty then.
    Column("takedown_id", String(32)),
    # When the platform took it; and how the last delivery ended, in a word of flows.webhooks.post and an HTTP status.
    Column("taken_at", UtcDateTime),
    Column("last_at", UtcDateTime),
    Column("last_outcome", String(16)),
    Column("last_status", Integer),
    Index("ix_events_created_at", "created_at"),
    Index("ix_events_profile_id", "profile_id"),
    _partial("ix_events_image_id", ("image_id",), "image_id IS NOT NULL"),
    _partial("ix_events_waiting", ("created_at",), "taken_at IS NULL"),
)

renditions = table(
    "renditions",
    Column("name", String(64), primary_key=True),
    Column("image_id", String(32), ForeignKey("images.image_id"), nullable=False, index=True),
    Column("tier", String(32), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("recipe", String(16), nullable=False),
    Column("format", String(8), nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("face_px", Integer),
    # What its invisible watermark says, of 56 bits; the 16 of them that a small rendition carries; its variant; how
    # well the watermark read back, in thousandths.
    Column("watermark", BigInteger, index=True),
    Column("short_watermark", Integer, index=True),
    Column("variant", Integer, nullable=False),
    Column("watermark_agreement", Integer),
    # Its C2PA manifest: its name, from which its key follows, and its own label.
    Column("manifest", String(64)),
    Column("manifest_id", String(64), index=True),
    Column("created_at", UtcDateTime, nullable=False),
    # The id of the key that its invisible watermark was written with.
    Column("watermark_key", String(32)),
    # What its recipe allowed a picture without a face. Whether it was one is written nowhere.
    Column("no_face_px", Integer),
    UniqueConstraint("image_id", "tier", "recipe", "variant"),
)

# Numbers are never given twice (a sequence; AUTOINCREMENT): an index knows hashes by them.
rendition_hashes = table(
    "rendition_hashes",
    Column("hash_id", Serial, primary_key=True, autoincrement=True),
    Column("name", String(64), ForeignKey("renditions.name"), nullable=False, unique=True),
    Column("hash", LargeBinary, nullable=False),
    Column("quality", Integer, nullable=False),
    sqlite_autoincrement=True,
)

# A job is on an image, on a trace, or on a row of ``nightlight.catalogue.retention_schema``.
jobs = table(
    "jobs",
    Column("job_id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    # The rank of its lane: the lower, the more urgent.
    Column("lane", Integer, nullable=False, server_default="2"),
    Column("image_id", String(32), ForeignKey("images.image_id"), index=True),
    Column("trace_id", String(32), ForeignKey("trace_jobs.trace_id"), index=True),
    Column("other_id", String(32), index=True),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("planned", Json, nullable=False),
    Column("lease_until", UtcDateTime),
    Column("next_run_at", UtcDateTime, nullable=False),
    Column("reason", String(200)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Index("ix_jobs_state_lane_next_run_at", "state", "lane", "next_run_at"),
    _partial("ix_jobs_finished_at", ("finished_at",), "finished_at IS NOT NULL"),
)

# Object keys that jobs on an image may have written whose own rows are gone.
written_keys = table(
    "written_keys",
    Column("image_id", String(32), ForeignKey("images.image_id"), primary_key=True),
    Column("planned", Json, nullable=False),
)

outbox = table(
    "outbox",
    Column("message_id", Serial, primary_key=True, autoincrement=True),
    Column("task", String(64), nullable=False),
    Column("job_id", String(32), nullable=False, index=True),
    Column("lane", Integer, nullable=False, server_default="2"),
    Column("claimed_until", UtcDateTime),
    Column("created_at", UtcDateTime, nullable=False),
    # The span that asked for it, as W3C Trace Context writes it: two random numbers.
    Column("traceparent", String(55)),
    Index("ix_outbox_lane_message_id", "lane", "message_id"),
)

idempotency = table(
    "idempotency",
    Column("key_hash", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("image_id", String(32), ForeignKey("images.image_id"), nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)

# What decisions were made by and is so no longer: a profile, a rendition's name. Triggers made by
# the migration fill it. ``txid`` is PostgreSQL's transaction; ``at`` is in Unix seconds of the database.
changes = table(
    "changes",
    Column("change_id", Serial, primary_key=True, autoincrement=True),
    Column("txid", BigInteger, index=True),
    Column("kind", String(8), nullable=False),
    Column("key", PlatformId, nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)

# Triggers made by the migrations refuse UPDATE here, and DELETE of all but what is about an image that is gone or older
# than a year.
audit = table(
    "audit",
    Column("entry_id", Serial, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False, index=True),
    Column("event", String(64), nullable=False),
    Column("image_id", String(32), index=True),
    Column("actor", String(128), nullable=False),
    Column("detail", Json, nullable=False),
    _partial("ix_audit_deleted", ("at",), DELETION_STEPS),
)
