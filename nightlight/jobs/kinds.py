"""The kinds of jobs: what each is called, what it works on, and which lane it waits in.

A kind is said once, here. ``nightlight.wiring`` gives each its handler, ``workers.tasks`` each its Celery task.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from nightlight.jobs.lanes import BACKGROUND, ERASURE, TRACE, UPLOAD, URGENT


class Subject(NamedTuple):
    """What a job is on, and the column of the jobs table that names it."""

    name: str
    column: str


IMAGE = Subject("image", "image_id")
TRACE_REQUEST = Subject("trace", "trace_id")
IMPORTED_KEY = Subject("import", "other_id")
SWEEP_RUN = Subject("sweep", "other_id")
EXPORT_REQUEST = Subject("export", "other_id")
NOTICE = Subject("takedown", "other_id")
REVIEW_PICTURE = Subject("review picture", "other_id")
ERASED_PROFILES = Subject("erased profiles", "other_id")
# The column holds the lists' revision, which only the log reads.
HASH_LISTS = Subject("hash lists", "other_id")


@dataclass(frozen=True, slots=True)
class JobKind:
    """One kind of job.

    ``lane`` is where a job waits and ``delay`` for how long it is put off, unless whoever enqueues it says otherwise;
    None is for kinds that are published at once. A published job that nobody took for ``again`` is published again.
    One that is ``kept_up`` is tried for as long as it takes, however many workers die over it.
    """

    name: str
    subject: Subject
    lane: str
    again: timedelta = timedelta(minutes=1)
    delay: timedelta | None = None
    kept_up: bool = False

    @property
    def task(self) -> str:
        """Return the name of its Celery task."""
        return f"nightlight.{self.name}"


# Every kind, by its name.
KINDS: dict[str, JobKind] = {}


def _kind(kind: JobKind) -> JobKind:
    KINDS[kind.name] = kind
    return kind


# Make every rendition of an upload.
RENDER = _kind(JobKind("render", IMAGE, UPLOAD))
# Delete every object of a picture. Of a message that was lost nobody waits for a minute.
ERASE = _kind(JobKind("erase", IMAGE, ERASURE, again=timedelta(seconds=10), kept_up=True))
# Look again whether anything is left of what was erased.
VERIFY_ERASURE = _kind(JobKind("verify_erasure", IMAGE, ERASURE, delay=timedelta(hours=1), kept_up=True))
# Remove the rows of profiles that are erased and have no images. The column holds a number that says nothing.
REMOVE_ROWS = _kind(JobKind("remove_rows", ERASED_PROFILES, ERASURE, kept_up=True))
# Copy renditions to names that nobody was given.
ROTATE_NAMES = _kind(JobKind("rotate_names", IMAGE, URGENT))
# Tag a picture's objects by its state. No hurry: rules count in days, and the picture may be deleted meanwhile.
RETENTION_TAGS = _kind(JobKind("retention_tags", IMAGE, BACKGROUND, delay=timedelta(minutes=1)))
# Copy what a hold covers into the vault.
COPY_TO_VAULT = _kind(JobKind("copy_to_vault", IMAGE, URGENT))
# Find where a copy comes from.
TRACE_SEARCH = _kind(JobKind("trace_search", TRACE_REQUEST, TRACE))
# Delete the copy that a trace was asked for with.
DELETE_COPY = _kind(JobKind("delete_copy", TRACE_REQUEST, URGENT))
# Import a picture from another bucket. A whole bucket waits for its turn: it is not lost because it takes long.
IMPORT = _kind(JobKind("import", IMPORTED_KEY, UPLOAD, again=timedelta(hours=1)))
# Render a picture again: what it has no rendition of by the recipes of now. Pictures wait here in small numbers.
RERENDER = _kind(JobKind("rerender", IMAGE, BACKGROUND, again=timedelta(minutes=10)))
# Do the next batch of a sweep.
SWEEP = _kind(JobKind("sweep", SWEEP_RUN, URGENT))
# Hold the next published pictures against the hash lists. A worker without lists leaves it to one that has them.
RESCREEN = _kind(JobKind("rescreen", HASH_LISTS, URGENT, again=timedelta()))
# Put a person's own data together.
EXPORT = _kind(JobKind("export", EXPORT_REQUEST, TRACE))
# Delete an export.
DELETE_EXPORT = _kind(JobKind("delete_export", EXPORT_REQUEST, URGENT))
# Carry a takedown notice out, or undo it.
TAKEDOWN = _kind(JobKind("takedown", NOTICE, URGENT))
# Make a softened picture for whoever reviews a notice's matches.
REVIEW = _kind(JobKind("review_picture", REVIEW_PICTURE, TRACE))
# Delete a softened picture.
DELETE_REVIEW = _kind(JobKind("delete_review", REVIEW_PICTURE, URGENT))
