"""One process's connections to the database: a writer's and a reader's, each opened at first use.

Both are held, not pooled: the ledger and the reader are one thread each. A connection that failed is thrown away, and
the next call opens another, so a database that was restarted costs the writer one failed transaction and the reader
nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from ...errors import CommitInDoubt, SettingsError, StoreUnavailable
from . import sqlite
from .failures import is_in_doubt, is_lost, storage_error
from .leftover import Leftover
from .log import Log
from .silence import PATIENT_SECONDS, POSTGRES_ARGUMENTS, POSTGRES_LIMITS, SILENT_SECONDS, Silence, SilenceWatch, Socket

T = TypeVar("T")

KINDS = ("sqlite", "postgresql", "mysql", "mariadb")

DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}


class Target:
    """Which database, and how to reach it. Opens nothing.

    Parameters:
        url: of the database. `postgresql://` means the driver psycopg 3, `mysql://` means PyMySQL.
        engine: where the application made one: connections are opened as it opens them, but in a pool of our own,
            so that its pool keeps its connections, settings and transactions.
        busy_seconds: how long to wait for SQLite's lock.

    Raises:
        SettingsError: the URL cannot be used, or its driver is not installed.
    """

    def __init__(self, *, url: URL, engine: Engine | None, busy_seconds: float) -> None:
        self.url = _with_driver(url)
        self.busy_seconds = busy_seconds
        self._engine = engine
        self.dialect_class = self.url.get_dialect() if engine is None else type(engine.dialect)
        if self.url.get_backend_name() not in KINDS:
            raise SettingsError("store: the database must be SQLite, PostgreSQL or MySQL")
        if self.dialect_class.is_async:
            raise SettingsError("store: an async driver cannot be used; the store works in threads of its own")
        if engine is None:
            self._import_driver()
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.is_postgres = self.url.get_backend_name() == "postgresql"
        self.path: Path | None = sqlite.file_of(self.url) if self.is_sqlite else None
        if self.path is not None:
            self.url = self.url.set(database=str(self.path))

    def _import_driver(self) -> None:
        try:
            self.dialect_class.import_dbapi()
        except ImportError as error:
            raise SettingsError(f"store: the driver for {self.url.drivername} is not installed: {error}") from error

    def positional_dialect(self) -> Dialect:
        """The dialect to compile statements with: their parameters are sent as tuples."""
        make: Callable[..., Dialect] = self.dialect_class
        return make(paramstyle="qmark" if self.is_sqlite else "format")

    def make_engine(self) -> Engine:
        """An engine for this process alone."""
        if self._engine is not None:
            return create_engine(self.url, pool=self._engine.pool.recreate())
        usual: Mapping[str, int] = POSTGRES_ARGUMENTS if self.is_postgres else {}
        arguments = {name: value for name, value in usual.items() if name not in self.url.query}
        return create_engine(self.url, poolclass=NullPool, connect_args=arguments)


def _with_driver(url: URL) -> URL:
    """The drivers that this package's extras install, where the URL names none."""
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


def parse(text: str | URL) -> URL:
    """The URL of a text; one that is a URL already is looked at in the same way.

    Raises:
        SettingsError: it is none. The text is not repeated: it may hold a password.
    """
    try:
        url = _with_driver(make_url(text))
        url.get_dialect()
    except NoSuchModuleError as error:
        raise SettingsError(f"store: no such kind of database: {url.drivername}") from error
    except (ArgumentError, ValueError) as error:
        raise SettingsError("store: not a database URL such as 'postgresql://user@host/name'") from error
    return url


class _Link:
    """One connection and the lock of the thread that uses it."""

    def __init__(self, connect: Callable[[_Link], Connection]) -> None:
        self.lock = threading.Lock()
        self.silence = Silence()
        self.leftover = Leftover()
        self._connect = connect
        self._connection: Connection | None = None

    @property
    def is_open(self) -> bool:
        return self._connection is not None

    def connection(self) -> Connection:
        if self.silence.is_suspect:
            self.discard()
        if self._connection is None:
            self.silence.is_suspect = False
            try:
                self._connection = self._connect(self)
            except BaseException:
                self._close_socket()
                raise
        return self._connection

    def discard(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # It may want to roll back first, and wait for that.
            with suppress(SQLAlchemyError), self.silence.bounded(SILENT_SECONDS):
                connection.close()
            self.leftover.lose()
        self._close_socket()

    def _close_socket(self) -> None:
        handle, self.silence.socket = self.silence.socket, None
        if handle is not None:
            handle.close()


class Links:
    """The connections of one process. Opens nothing until they are used."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._engine: Engine | None = None
        self._engine_lock = threading.Lock()
        self._writer = _Link(partial(self._connect, writer=True))
        self._reader = _Link(partial(self._connect, writer=False))
        self._watch = SilenceWatch(self._writer.silence, self._reader.silence)
        self._log = None if target.path is None else Log(target.path, target.busy_seconds)
        self._turn = None if target.path is None else sqlite.Turn(_turn_path(target.path), target.busy_seconds)

    @contextmanager
    def writing(self, *, patient: bool = False) -> Iterator[Connection]:
        """The writer's connection in a transaction, committed when the block ends, rolled back where it raises.

        Parameters:
            patient: it may take minutes.

        Raises:
            StoreUnavailable, StoreDataError: nothing was committed.
            CommitInDoubt: nobody knows.
        """
        is_over = False
        with self._writer.lock, self._write_turn(), self._writer.silence.bounded(_seconds(patient)):
            try:
                connection = self._writer.connection()
                transaction = connection.begin()
                if self._target.is_sqlite:
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                is_over = True
                transaction.commit()
                if self._log is not None and not self._log.keep_short(connection):
                    self._writer.discard()
            except SQLAlchemyError as error:
                self._writer.discard()
                if is_over and is_in_doubt(error):
                    raise CommitInDoubt("The connection broke during a commit.") from error
                raise storage_error(error) from error
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if not self._writer.is_open:
            return
        try:
            self._writer.connection().rollback()
        except SQLAlchemyError:
            self._writer.discard()

    def read(self, work: Callable[[Connection], T], *, patient: bool = False) -> T:
        """Do something with the reader's connection; once more with a new one, where the old one was broken.

        Parameters:
            patient: it may take minutes.

        Raises:
            StoreUnavailable, StoreDataError: it could not be done.
        """
        with self._reader.lock:
            try:
                try:
                    return self._attempt(work, patient)
                except SQLAlchemyError as error:
                    if not is_lost(error):
                        raise
                return self._attempt(work, patient)
            except SQLAlchemyError as error:
                raise storage_error(error) from error

    def _attempt(self, work: Callable[[Connection], T], patient: bool) -> T:
        try:
            with self._reader.silence.bounded(_seconds(patient)):
                return work(self._reader.connection())
        except SQLAlchemyError:
            self._reader.discard()
            raise

    def close(self) -> None:
        """Close both connections. SQLite then copies its log into the file, hence in our turn to write."""
        with self._writer.lock, self._reader.lock:
            try:
                with self._write_turn() if self._writer.is_open or self._reader.is_open else nullcontext():
                    self._discard_both()
            except StoreUnavailable:
                self._discard_both()
            finally:
                self._watch.stop()
                if self._turn is not None:
                    self._turn.close()
                if self._engine is not None:
                    self._engine.dispose()
                    self._engine = None

    def _discard_both(self) -> None:
        self._reader.discard()
        self._writer.discard()

    def _write_turn(self) -> AbstractContextManager[None]:
        return nullcontext() if self._turn is None else self._turn.taken()

    def _connect(self, link: _Link, *, writer: bool) -> Connection:
        if self._target.path is not None:
            sqlite.create_file(self._target.path)
        with self._engine_lock:
            if self._engine is None:
                self._engine = self._target.make_engine()
            if not self._target.is_sqlite:
                self._watch.start()
        connection = self._engine.connect()
        try:
            link.silence.socket = Socket(connection)
            if self._target.is_sqlite:
                sqlite.prepare(connection, writer=writer, busy_seconds=self._target.busy_seconds)
            else:
                # A reader holds no transaction open: each question sees what is committed, in one trip.
                connection.execution_options(isolation_level="READ COMMITTED" if writer else "AUTOCOMMIT")
                if writer and self._target.is_postgres:
                    _set_up_postgres(connection, link.leftover)
            connection.detach()
            return connection
        except BaseException:
            connection.close()
            raise


def _set_up_postgres(connection: Connection, leftover: Leftover) -> None:
    """A commit that is answered is flushed, and none waits for ever, whatever the defaults; what is stricter stays."""
    if connection.exec_driver_sql("SHOW synchronous_commit").scalar() in ("off", "local"):
        connection.exec_driver_sql("SET synchronous_commit = on")
    connection.exec_driver_sql(POSTGRES_LIMITS)
    leftover.replace(connection)
    connection.commit()


def _seconds(patient: bool) -> float:
    return PATIENT_SECONDS if patient else SILENT_SECONDS


def _turn_path(path: Path) -> Path:
    return path.with_name(path.name + "-turn")
