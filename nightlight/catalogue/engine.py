"""Connections to the database, and transactions over them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from nightlight import metrics, telemetry
from nightlight.catalogue.abuse_signals import AbuseSignals
from nightlight.catalogue.audit import AuditLog
from nightlight.catalogue.backlog import Backlog
from nightlight.catalogue.blocks import Blocks
from nightlight.catalogue.deletions_due import DeletionsDue
from nightlight.catalogue.erased_rows import ErasedRows
from nightlight.catalogue.events import Events
from nightlight.catalogue.exports import Exports
from nightlight.catalogue.feed import Feed
from nightlight.catalogue.hash_list_matches import HashListMatches
from nightlight.catalogue.holds import LegalHolds
from nightlight.catalogue.idempotency import IdempotencyKeys
from nightlight.catalogue.images import Images
from nightlight.catalogue.imports import Imports
from nightlight.catalogue.jobs import Jobs
from nightlight.catalogue.known_recipes import Recipes
from nightlight.catalogue.lifecycles import LifecycleRules
from nightlight.catalogue.old_rows import OldRows
from nightlight.catalogue.outbox import Outbox
from nightlight.catalogue.policies import Policies
from nightlight.catalogue.position import Positions
from nightlight.catalogue.profiles import Profiles
from nightlight.catalogue.proof_revocations import ProofRevocations
from nightlight.catalogue.receipts import ReceiptChain
from nightlight.catalogue.rendition_hashes import RenditionHashes
from nightlight.catalogue.rerender_progress import Rerenders
from nightlight.catalogue.revocations import Revocations
from nightlight.catalogue.screenings import Screenings
from nightlight.catalogue.statistics import Statistics
from nightlight.catalogue.sweeps import Sweeps
from nightlight.catalogue.takedown_reviews import TakedownReviews
from nightlight.catalogue.takedown_schema import takedown_matches
from nightlight.catalogue.takedowns import Takedowns
from nightlight.catalogue.tombstones import Tombstones
from nightlight.catalogue.trace_jobs import TraceJobs
from nightlight.catalogue.view_hashes import ViewHashes
from nightlight.catalogue.webhooks import Webhooks
from nightlight_core.errors import CatalogueUnavailable, Conflict, SettingsRefused
from nightlight_core.files import private_file

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import ExceptionContext


# A checkpoint that does not come about at once comes about the next time.
_CHECKPOINT_MS = 100
_READ_ONLY = "nightlight_read_only"
# SQLSTATE of PostgreSQL's `read_only_sql_transaction`: after a fail-over to a replica, say, or on a full disk.
_ONLY_READS = "25006"


class Transaction:
    """Everything that can be done inside one transaction, by subject."""

    __slots__ = (
        "abuse_signals", "audit", "backlog", "blocks", "connection", "deletions_due", "erased_rows", "events",
        "exports", "feed", "hash_list_matches", "idempotency", "images", "imports", "jobs", "legal_holds", "lifecycles",
        "old_rows", "outbox", "policies", "position", "profiles", "proof_revocations", "receipts", "recipes",
        "rendition_hashes", "rerenders", "revocations", "screenings", "statistics", "sweeps", "takedown_matches",
        "takedown_reviews", "takedowns", "tombstones", "trace_jobs", "view_hashes", "webhooks",
    )  # fmt: skip

    def __init__(self, connection: Connection) -> None:
        """Bind every subject to ``connection``."""
        self.connection = connection
        self.profiles = Profiles(connection)
        self.images = Images(connection)
        self.jobs = Jobs(connection)
        self.backlog = Backlog(connection)
        self.old_rows = OldRows(connection)
        self.outbox = Outbox(connection)
        self.idempotency = IdempotencyKeys(connection)
        self.policies = Policies(connection)
        self.position = Positions(connection)
        self.rendition_hashes = RenditionHashes(connection)
        self.trace_jobs = TraceJobs(connection)
        self.blocks = Blocks(connection)
        self.revocations = Revocations(connection)
        self.rerenders = Rerenders(connection)
        self.proof_revocations = ProofRevocations(connection)
        self.events = Events(connection)
        self.abuse_signals = AbuseSignals(connection)
        self.hash_list_matches = HashListMatches(connection)
        self.screenings = Screenings(connection)
        self.audit = AuditLog(connection)
        self.feed = Feed(connection)
        self.lifecycles = LifecycleRules(connection)
        self.receipts = ReceiptChain(connection)
        self.recipes = Recipes(connection)
        self.legal_holds = LegalHolds(connection)
        self.sweeps = Sweeps(connection)
        self.imports = Imports(connection)
        self.deletions_due = DeletionsDue(connection)
        self.exports = Exports(connection)
        self.statistics = Statistics(connection)
        self.takedowns = Takedowns(connection)
        self.takedown_reviews = TakedownReviews(connection)
        self.takedown_matches = HashListMatches(connection, takedown_matches)
        self.view_hashes = ViewHashes(connection)
        self.tombstones = Tombstones(connection)
        self.erased_rows = ErasedRows(connection)
        self.webhooks = Webhooks(connection)


class Catalogue:
    """The database. Safe to share between threads; make it after a fork, not before."""

    def __init__(self, url: str, *, pool_size: int = 10, timeout_s: float = 5.0) -> None:
        """Prepare connections to ``url``; nothing is connected yet."""
        self.engine = make_engine(url, pool_size=pool_size, timeout_s=timeout_s)
        # Raises where nothing may be read or written: see flows.restore.position_watch.
        self.gate: Callable[[Connection], object] = lambda _: None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run the block in one transaction: committed at its end, rolled back if it raises.

        Raises CatalogueUnavailable where the database does not answer in time, CatalogueRestored where it is behind
        what was written, and Conflict where another transaction wrote the same row first.
        """
        with self._begun({}) as connection:
            self.gate(connection)
            yield Transaction(connection)

    @contextmanager
    def reading(self, *, gated: bool = True) -> Iterator[Transaction]:
        """Run the block in one transaction that only reads, and so waits for no writer; raises likewise.

        Not ``gated``, it reads a catalogue too that is behind: for who finds out whether it is.
        """
        with self._begun({_READ_ONLY: True}) as connection:
            if gated:
                self.gate(connection)
            yield Transaction(connection)

    @contextmanager
    def _begun(self, options: dict[str, bool]) -> Iterator[Connection]:
        try:
            with self.engine.connect().execution_options(**options) as connection, connection.begin():
                yield connection
        except IntegrityError as error:
            raise Conflict(type(error).__name__) from error
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            raise CatalogueUnavailable(type(error).__name__) from error
        except DBAPIError as error:
            if error.connection_invalidated or getattr(error.orig, "sqlstate", None) == _ONLY_READS:
                raise CatalogueUnavailable(type(error).__name__) from error
            raise

    def ready(self) -> None:
        """Return if the database answers; raise CatalogueUnavailable if not."""
        with self.reading(gated=False) as tx:
            tx.connection.execute(text("SELECT 1"))

    def drop_removed(self) -> None:
        """Have nothing of removed rows left in SQLite's files: its log is emptied, unless somebody reads at the moment.

        PostgreSQL does so by itself (VACUUM), and its archives are backups.
        """
        if self.engine.dialect.name != "sqlite":
            return
        with self.engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            patience = raw.execute("PRAGMA busy_timeout").fetchone()[0]
            raw.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_MS}")
            try:
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                raw.execute(f"PRAGMA busy_timeout = {patience}")

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def make_engine(url: str, *, pool_size: int, timeout_s: float) -> Engine:
    """Return an engine for PostgreSQL (psycopg) or SQLite (WAL, immediate transactions)."""
    parsed = make_url(url)
    engine = (
        _sqlite(parsed, timeout_s)
        if parsed.get_backend_name() == "sqlite"
        else _postgresql(parsed, pool_size, timeout_s)
    )
    _measure(engine)
    telemetry.watch_engine(engine)
    return engine


def _measure(engine: Engine) -> None:
    """Time every statement, and count those that fail."""

    @event.listens_for(engine, "before_cursor_execute")
    def _before(connection: Connection, *_: object) -> None:
        connection.info["began"] = time.perf_counter()

    @event.listens_for(engine, "after_cursor_execute")
    def _after(connection: Connection, *_: object) -> None:
        metrics.DEPENDENCY_SECONDS.labels(metrics.DATABASE).observe(time.perf_counter() - connection.info["began"])

    @event.listens_for(engine, "handle_error")
    def _error(context: ExceptionContext) -> None:
        # What a constraint refuses is an answer.
        if not isinstance(context.sqlalchemy_exception, IntegrityError):
            metrics.DEPENDENCY_FAILURES.labels(metrics.DATABASE).inc()


def _postgresql(url: URL, pool_size: int, timeout_s: float) -> Engine:
    return create_engine(
        url,
        hide_parameters=True,  # an error's text must not carry a profile id into the log
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout_s,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": max(1, int(timeout_s)),
            # A statement or a lock that takes longer than this is an outage to us, not a wait.
            "options": f"-c lock_timeout={int(timeout_s * 1000)} -c statement_timeout={int(timeout_s * 1000)}",
        },
    )


def _keep_private(database: Path) -> None:
    """Take the database from everybody but its owner; SQLite gives its log and index the mode of the database.

    Raises SettingsRefused where it is somebody else's. Where its folder is not there, connecting says so.
    """
    try:
        if database.parent.is_dir():
            private_file(database)
            for beside in ("-wal", "-shm", "-journal"):
                if (path := database.with_name(database.name + beside)).exists():
                    private_file(path)
    except OSError as error:
        message = f"{database}: {error.strerror}; the catalogue must be this user's own, with mode 0600"
        raise SettingsRefused(message) from error


def _sqlite(url: URL, timeout_s: float) -> Engine:
    if url.database and url.database != ":memory:" and not url.database.startswith("file:"):
        _keep_private(Path(url.database))
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": timeout_s, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we begin transactions ourselves
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        # What is deleted is overwritten, in freed pages too.
        cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Taking the write lock at once means that no transaction fails half-way when it comes to write.
        read_only = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
