"""Hash lists, and what the catalogue last knew of them: a list that loses something lets nothing through.

An export that is written in place is empty for a moment; a mount goes away; a folder is emptied. What was known of each
list (its count, its content) is in the catalogue, so that every worker and every restart knows it; what was lost has to
be confirmed by an operator, or come back.

::

    missing    a known list has no file
    empty      a list without one entry
    shrunken   more than a tenth of a known list is gone: of its count, or of a sample of its entries
    older      other content in a file that is no newer than the newest known: another host has another copy

A list that grows, or loses little, is taken over, and images are held against it again (flows.pictures.rescreen).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from nightlight import logs, metrics
from nightlight.catalogue.screenings import KnownHashList, revision_of
from nightlight.flows.pictures.hash_list_matches import SCREENED
from nightlight.jobs import kinds
from nightlight.jobs.enqueue import enqueue
from nightlight_core.errors import ListsUnavailable, NotFound

if TYPE_CHECKING:
    from nightlight.catalogue.engine import Catalogue, Transaction
    from nightlight.matching.list_index import HashListIndex, HashListSnapshot, ListIndexMatch
    from nightlight_core.clock import Clock

MISSING, EMPTY, SHRUNKEN, OLDER, NO_LISTS = "missing", "empty", "shrunken", "older", "no_lists"
# A list may lose so much of what is known of it.
MOST_LOST = 0.1
# The row that says that there are to be no lists; no file can have this name.
_NO_LIST = "-"


class Screened(NamedTuple):
    """What a picture is near to, the hashes it was looked for by, and the lists' revision (0: not the newest)."""

    matches: Sequence[ListIndexMatch]
    hashes: bytes
    revision: int


class Reported(NamedTuple):
    """A list as it is on this host and as it is known; ``waits`` says what has to be confirmed, or nothing.

    ``file_at`` is when its file here was changed, ``known_file_at`` when the newest known one was; ``known_by`` is who
    took that one over: ``worker:HOST``, or the operator who confirmed it.
    """

    name: str
    hashes: int | None
    file_at: datetime | None
    known: int | None
    known_at: datetime | None
    known_file_at: datetime | None
    known_by: str | None
    waits: str


def lost_of(last_known: KnownHashList | None, now: HashListSnapshot | None) -> str:
    """Return what a list has lost that has to be confirmed, or nothing."""
    if now is None:
        return MISSING if last_known is not None and last_known.digest else ""
    if last_known is not None and last_known.digest == now.digest:
        return ""
    if now.hashes == 0:
        return EMPTY
    if last_known is None or last_known.hashes == 0:
        return ""
    if now.hashes < (1 - MOST_LOST) * last_known.hashes or now.lost(last_known.sample) > MOST_LOST:
        return SHRUNKEN
    # Another content that is not newer: a copy from before, or one whose time nobody kept. Only people can tell.
    return OLDER if last_known.digest and now.modified_ns <= last_known.modified_ns else ""


@dataclass(frozen=True, slots=True)
class Screening:
    """Holds pictures against the lists as long as the lists are what they should be.

    ``host`` is this machine's name, which is kept with the lists that it takes over.
    """

    catalogue: Catalogue
    lists: HashListIndex
    clock: Clock
    host: str = "unknown"

    def screen(self, hashes: bytes, md5: bytes = b"") -> Screened:
        """Return what hashes (32 bytes each) are near to, and what has the MD5 of the picture's file (16 bytes).

        Raises ListsUnavailable, and then the picture waits.
        """
        searched = self.lists.search_hashes(hashes, md5)
        return Screened(searched.matches, hashes, newest(self._taken_over(searched.lists)))

    def revision(self) -> int:
        """Return the revision of the lists here, 0 where they are older than the newest; raises ListsUnavailable."""
        return self._taken_over(self.lists.state())

    def look(self) -> int:
        """Take over what has changed, and begin to hold images against it; return the revision as ``revision`` does."""
        revision = self.revision()
        if revision:
            with self.catalogue.reading() as tx:
                due = tx.screenings.behind(revision, SCREENED, limit=1) or tx.screenings.unhashed(SCREENED, limit=1)
                running = tx.jobs.open(kinds.RESCREEN.name)
            if due and not running:
                with self.catalogue.transaction() as tx:
                    begin_rescreen(tx, revision, self.clock())
        return revision

    def report(self) -> list[Reported]:
        """Return each list that is here or known. Raises ListsUnavailable where one cannot be read."""
        here = {state.name: state for state in self.lists.state()}
        with self.catalogue.reading() as tx:
            last_known = tx.screenings.lists()
        return [
            _reported(name, last_known.get(name), here.get(name))
            for name in sorted((here.keys() | last_known.keys()) - {_NO_LIST})
        ]

    def confirm(self, name: str | None, *, actor: str) -> list[Reported]:
        """Take over what a list has lost, or every list where none is named; return what was confirmed.

        Raises NotFound where nothing waits to be confirmed, and ListsUnavailable where a list cannot be read.
        """
        waiting = [reported for reported in self.report() if reported.waits and name in {None, reported.name}]
        here = {state.name: state for state in self.lists.state()}
        now = self.clock()
        with self.catalogue.transaction() as tx:
            last_known = tx.screenings.lists(hold="own")
            none = name is None and not here and not last_known
            if not waiting and not none:
                raise NotFound(f"nothing of {'the lists' if name is None else name} waits to be confirmed")
            for waits in waiting:
                tx.screenings.write(tx.screenings.lists(), _known(waits.name, here.get(waits.name), now, actor))
                detail: dict[str, str | int] = {
                    "list": waits.name, "what": waits.waits, "known": waits.known or 0, "hashes": waits.hashes or 0,
                }  # fmt: skip
                tx.audit.append("list.confirmed", now=now, actor=actor, detail=detail)
            if none:
                tx.screenings.write(last_known, _known(_NO_LIST, None, now, actor))
                tx.audit.append("list.confirmed", now=now, actor=actor, detail={"what": NO_LISTS})
        return waiting

    def _taken_over(self, here: Sequence[HashListSnapshot]) -> int:
        states = {hash_list.name: hash_list for hash_list in here}
        with self.catalogue.reading() as tx:
            last_known = tx.screenings.lists()
        _refuse(last_known, states)
        if any(_newer(last_known.get(name), hash_list) for name, hash_list in states.items()):
            last_known = self._take_over(states)
        current = {name: hash_list.digest for name, hash_list in last_known.items() if hash_list.digest}
        digests = {state.name: state.digest for state in here}
        return revision_of(last_known) if current == digests else 0

    def _take_over(self, states: Mapping[str, HashListSnapshot]) -> dict[str, KnownHashList]:
        now = self.clock()
        with self.catalogue.transaction() as tx:
            last_known = tx.screenings.lists(hold="own")
            _refuse(last_known, states)
            for name, state in states.items():
                before = last_known.get(name)
                if not _newer(before, state):
                    continue
                measure = before if before is not None and state.hashes < before.hashes else None  # small losses add up
                after = _known(name, state, now, f"worker:{self.host}", measure=measure)
                tx.screenings.write(last_known, after)
                last_known = tx.screenings.lists()
                detail: dict[str, str | int] = {
                    "list": name, "known": before.hashes if before else 0, "hashes": state.hashes,
                }  # fmt: skip
                tx.audit.append("list.changed", now=now, actor="worker", detail=detail)
                logs.get("screen").info("list.changed", detail=name, count=state.hashes)
            if not tx.jobs.open(kinds.RESCREEN.name):
                begin_rescreen(tx, revision_of(last_known), now)
        return last_known


def newest(revision: int) -> int:
    """Return a revision of the lists; raise ListsUnavailable for 0, which is of lists that are not the newest."""
    if not revision:
        message = "the lists here are older than those that are known: another worker does it, or newer files"
        raise ListsUnavailable(message)
    return revision


def begin_rescreen(tx: Transaction, revision: int, now: datetime) -> None:
    """Queue the next batch of images to be held against the lists."""
    enqueue(tx, kinds.RESCREEN, f"{revision:032d}", now)


def _newer(last_known: KnownHashList | None, now: HashListSnapshot) -> bool:
    """Say whether a list here is to be taken over: a copy that is older than what is known is not."""
    if last_known is None or not last_known.digest:
        return True
    return last_known.digest != now.digest and now.modified_ns > last_known.modified_ns


def _refuse(last_known: Mapping[str, KnownHashList], states: Mapping[str, HashListSnapshot]) -> None:
    """Raise ListsUnavailable where a list has lost what nobody has confirmed."""
    lost = {name: lost_of(last_known.get(name), states.get(name)) for name in last_known.keys() | states.keys()}
    lost = {name: what for name, what in sorted(lost.items()) if what}
    metrics.HASH_LISTS_UNCONFIRMED.set(len(lost))
    confirm = "confirm it with `nightlight lists confirm-change"
    if not last_known and not states:
        message = f"NIGHTLIGHT_MATCHING_LISTS_DIR holds no list at all: put one there, unset it, or {confirm}`"
        raise ListsUnavailable(message)
    if lost:
        problems = "; ".join(_fault(name, what, last_known.get(name), states.get(name)) for name, what in lost.items())
        raise ListsUnavailable(f"{problems}: bring it back, or {confirm} NAME`")


def _fault(name: str, what: str, last_known: KnownHashList | None, now: HashListSnapshot | None) -> str:
    """Return what is wrong with a list, and whose copy is newer where its file here is no newer than the newest."""
    problem = f"the hash list {name!r} is {what}"
    if last_known is None or now is None or now.modified_ns > last_known.modified_ns:
        return problem
    here, newest = _moment(now.modified_ns), _moment(last_known.modified_ns)
    return f"{problem} here (its file is of {here}, the newest known of {newest}, by {last_known.actor})"


def _reported(name: str, last_known: KnownHashList | None, now: HashListSnapshot | None) -> Reported:
    return Reported(
        name,
        now.hashes if now else None,
        _moment(now.modified_ns) if now else None,
        last_known.hashes if last_known else None,
        last_known.known_at if last_known else None,
        _moment(last_known.modified_ns) if last_known and last_known.digest else None,
        last_known.actor if last_known else None,
        lost_of(last_known, now),
    )


def _moment(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 10**9, UTC)


def _known(
    name: str, now: HashListSnapshot | None, at: datetime, actor: str, *, measure: KnownHashList | None = None
) -> KnownHashList:
    """Return a list as it is known from now on; ``measure`` is what it goes on to be measured by."""
    if now is None:
        return KnownHashList(name, 0, "", b"", 0, 0, at, actor)
    by: Any = measure or now
    return KnownHashList(name, by.hashes, now.digest, by.sample, now.modified_ns, 0, at, actor)
