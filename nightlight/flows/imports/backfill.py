"""The walk through a whole bucket: a page at a time, resumed after any interruption, and what it leaves out told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nightlight.catalogue.imports import DROPPED, LISTED, ImportItem, ImportRun, SourceObject
from nightlight.flows.imports.left_out_file import LeftOutFile
from nightlight.flows.imports.notifications import NotificationCounts, queue_imports, written
from nightlight_core.errors import InvalidInput, NightlightError, NotFound

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.store.key_template import KeyTemplate
    from nightlight.store.source_buckets import Page, SourceKey
    from nightlight_core.clock import Clock

_MOST_WALKS, _MOST_KEYS = 20, 100


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """A walk, and what became of its keys.

    ``states`` counts them by state, ``held_up`` those that wait after a failed attempt by the code of its error.
    ``refused`` and ``denied`` are some that were refused as pictures, and some that their bucket refuses to give.
    """

    run: ImportRun
    states: Mapping[str, int]
    held_up: Mapping[str, int]
    refused: Sequence[ImportItem] = ()
    denied: Sequence[ImportItem] = ()


@dataclass(frozen=True, slots=True)
class Backfill:
    """Walks through a bucket once, a page at a time: keys, jobs, messages and the place to go on in one transaction."""

    catalogue: Catalogue
    clock: Clock

    def begin(
        self, source: str, template: KeyTemplate, *, actor: str, again: bool = False, unmatched: Path | None = None
    ) -> ImportRun:
        """Return the walk through a source that was interrupted, or a new one (``again``: in any case).

        ``unmatched`` is the file of all keys that are left out. Raises InvalidInput where a walk that goes on was begun
        without it, or with another.
        """
        now, file = self.clock(), str(unmatched.resolve()) if unmatched is not None else None
        with self.catalogue.transaction() as tx:
            unfinished = tx.imports.unfinished(source, template.text)
            if unfinished is not None and not again:
                begun_with = (unfinished.left_out or {}).get("file")
                if file not in {None, begun_with}:
                    message = f"this import was begun with --unmatched {begun_with or 'left away'}: --again begins anew"
                    raise InvalidInput(message)
                return unfinished
            if unfinished is not None:
                tx.imports.end(unfinished.import_id, DROPPED, now)
            run = tx.imports.begin(source, template.text, actor=actor, now=now, file=file)
            tx.audit.append("import.begun", now=now, actor=actor, detail={"import_id": run.import_id})
            return run

    def walk(
        self, import_id: str, bucket: str, template: KeyTemplate, pages: Callable[[dict[str, Any]], Iterator[Page]]
    ) -> Iterator[NotificationCounts]:
        """Go on with a walk to its end; yield what came of each page, once it is written.

        Raises what ``pages`` raises, and InvalidInput where the file of keys that are left out was lost.
        """
        with self.catalogue.transaction() as tx:
            run, summary = tx.imports.walk(import_id), tx.imports.left_out(import_id)
        if run is None:
            raise NotFound(f"no import {import_id}")
        with ExitStack() as stack:
            file = stack.enter_context(LeftOutFile(Path(summary.file), summary.file_bytes)) if summary.file else None
            try:
                for listed, cursor in pages(run.cursor):
                    yield self._write(import_id, bucket, template, listed, cursor, file)
            except NightlightError as error:
                with self.catalogue.transaction() as tx:
                    tx.imports.refuse(import_id, error.code, self.clock())
                raise
        with self.catalogue.transaction() as tx:
            tx.imports.end(import_id, LISTED, self.clock())

    def outcome(self, import_id: str) -> ImportOutcome:
        """Return a walk and what became of its keys; raises NotFound."""
        with self.catalogue.reading() as tx:
            run = tx.imports.walk(import_id)
            if run is None:
                raise NotFound
            return ImportOutcome(
                run,
                tx.imports.counts(import_id),
                tx.imports.held_up(import_id),
                tx.imports.refusals(import_id, limit=_MOST_KEYS),
                tx.imports.denied(import_id, limit=_MOST_KEYS),
            )

    def outcomes(self) -> list[ImportOutcome]:
        """Return the newest walks."""
        with self.catalogue.reading() as tx:
            import_ids = [run.import_id for run in tx.imports.walks(limit=_MOST_WALKS)]
        return [self.outcome(import_id) for import_id in import_ids]

    def waiting(self, import_id: str) -> int:
        """Return how many keys of a source nobody has looked at yet, those of earlier walks through it included."""
        with self.catalogue.reading() as tx:
            return tx.imports.waiting(import_id)

    def denied(self, import_id: str) -> tuple[int, int]:
        """Return how many keys of a walk their bucket refuses to give, and how many have come to an end."""
        with self.catalogue.reading() as tx:
            return tx.imports.denied_and_ended(import_id)

    def _write(
        self,
        import_id: str,
        bucket: str,
        template: KeyTemplate,
        listed: Sequence[SourceKey],
        cursor: dict[str, Any],
        file: LeftOutFile | None,
    ) -> NotificationCounts:
        named = [(entry, template.profile(entry.key)) for entry in listed]
        sources = [SourceObject(bucket, entry.key, profile, entry.etag) for entry, profile in named if profile]
        unmatched = [template.why_not(entry.key) for entry, profile in named if not profile]
        if file is not None:
            file.write(unmatched)

        def write(tx: Transaction) -> NotificationCounts:
            fresh = queue_imports(tx, sources, self.clock, import_id=import_id)
            counts = NotificationCounts(fresh, len(sources) - fresh, len(unmatched))
            summary = tx.imports.left_out(import_id).more(unmatched, file_bytes=file.bytes if file is not None else 0)
            tx.imports.advance(import_id, cursor, {"keys_found": len(listed), **counts._asdict()}, summary)
            return counts

        return written(self.catalogue, write)
