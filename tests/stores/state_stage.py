"""The stage of the state machine: clocks that a rule can set, places where data live, and processes that share them.

A process here has all that touches the store in a real one: a connection of its own, the ledger, the reader, and the
sweeper. Only their threads are left out: an order is committed, a question answered, before the call returns. So a
history is the same each time it is played.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import NullPool, create_engine

from bgrs_middleware.bodies import MemoryBodies
from bgrs_middleware.executors.base import Executor
from bgrs_middleware.ledger import Ledger, _Job
from bgrs_middleware.models import Captured, Record
from bgrs_middleware.pending import Pending
from bgrs_middleware.reader import Reader
from bgrs_middleware.service.presence import Presence
from bgrs_middleware.service.sealed import SealedResponses
from bgrs_middleware.service.sweeper import Sweeper
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores.base import Store
from bgrs_middleware.stores.memory import MemoryStore
from bgrs_middleware.stores.sql import SqlStore

FAR_FUTURE = 4_000_000_000.0
"""Where the wall clock begins: bodies, which are stamped with the real time, are old by it and thought forgotten."""


@dataclass
class Clocks:
    """The three clocks of a host, and what time has really passed. Somebody may set the first two."""

    elapsed: float = 0.0
    wall_ahead: float = FAR_FUTURE
    lease_ahead: float = 5_000.0

    def wall(self) -> float:
        return self.elapsed + self.wall_ahead

    def monotonic(self) -> float:
        return self.elapsed

    def lease_now(self) -> float:
        return self.elapsed + self.lease_ahead


class Place(ABC):
    """Where data live."""

    name: str
    histories: str
    """How many are played, and of how many steps: what takes some seconds."""

    @abstractmethod
    def clear(self) -> None:
        """Let there be no data."""

    @abstractmethod
    def connect(self) -> Store:
        """An opened store on the data, for one process."""

    @abstractmethod
    def leave(self, store: Store) -> None:
        """A process does not use this store any more."""

    @abstractmethod
    def close(self) -> None:
        """Give back all connections."""


class InMemory(Place):
    """All processes have the one store; it is gone with them all."""

    name = "memory"
    histories = "300x60"

    def clear(self) -> None:
        self._store = MemoryStore()

    def connect(self) -> Store:
        return self._store

    def leave(self, store: Store) -> None: ...

    def close(self) -> None: ...


class InDatabase(Place):
    """A database, emptied for each history. To save time, the connections of one process are another's after it."""

    def __init__(self, name: str, histories: str, url: str, *clearing: str) -> None:
        self.name = name
        self.histories = histories
        self._url = url
        self._clearing = clearing
        self._left: list[Store] = []
        self.leave(self.connect())

    def clear(self) -> None:
        engine = create_engine(self._url, poolclass=NullPool)
        with engine.begin() as connection:
            for statement in self._clearing:
                connection.exec_driver_sql(statement)

    def connect(self) -> Store:
        if self._left:
            return self._left.pop()
        store = SqlStore(self._url)
        store.open()
        return store

    def leave(self, store: Store) -> None:
        self._left.append(store)

    def close(self) -> None:
        for store in self._left:
            store.close()


def in_sqlite(url: str) -> Place:
    tables = ("bgrs_request", "bgrs_detail", "sqlite_sequence")
    return InDatabase("SQLite", "60x60", url, *(f"DELETE FROM {table}" for table in tables))


def in_postgres(url: str) -> Place:
    return InDatabase("PostgreSQL", "25x60", url, "TRUNCATE bgrs_request, bgrs_detail RESTART IDENTITY")


class Dies(BaseException):
    """The process is gone at this point: nothing after it happens."""


class DirectLedger(Ledger):
    """The ledger without its thread. Tells of each order before it is committed."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, lambda rids: None)
        self.before: Callable[[str], None] = lambda verb: None

    def _put(self, verb: str, order: Any) -> Pending[Any]:
        self.before(verb)
        pending: Pending[Any] = Pending()
        self._handle([_Job(verb, order, pending)])
        return pending


class DirectReader(Reader):
    """The reader without its thread. Tells when a question was answered and its asker does not know it yet."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.after: Callable[[], None] = lambda: None

    def _put(self, job: Any) -> None:
        self._handle([job])
        self.after()


class Morgue(Presence):
    """Who has died on a host, told by the machine instead of by locks on files."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    @contextmanager
    def dead(self) -> Iterator[list[str]]:
        yield list(self.tokens)

    def forget(self, token: str) -> None:
        self.tokens.remove(token)


class NoExecutor(Executor):
    """The rules of the machine decide when something is claimed."""

    def start(self, host: object) -> None: ...

    def notify(self, rids: tuple[str, ...] = ()) -> None: ...

    def stop(self) -> None: ...


@dataclass(eq=False)
class Held:
    """One run of a process, as the process sees it: its claim may be another's by now."""

    record: Record
    started: bool = False
    captured: Captured | None = None

    @property
    def rid(self) -> str:
        return self.record.rid

    @property
    def attempt(self) -> int:
        return self.record.attempt


class LeaseTime:
    """A store's clock of leases, and nothing else of it."""

    def __init__(self, clocks: Clocks) -> None:
        self.lease_now = clocks.lease_now


@dataclass(eq=False)
class Process:
    """One process: what it holds, and its parts."""

    token: str
    place: Place
    clocks: Clocks
    bodies: MemoryBodies
    morgue: Morgue
    settings: Settings
    runs: list[Held] = field(default_factory=list)
    asleep: bool = False
    overslept: bool = False
    """It woke up, and has not looked after its claims yet."""

    def __post_init__(self) -> None:
        self.connect()

    def connect(self) -> None:
        """Open a store of its own, and put together what uses it."""
        self.store = self.place.connect()
        self.ledger = DirectLedger(self.store)
        self.reader = DirectReader(self.store)
        self.sweeper = Sweeper(
            settings=self.settings,
            store=cast(Store, LeaseTime(self.clocks)),
            ledger=self.ledger,
            reader=self.reader,
            executor=NoExecutor(),
            presence=self.morgue,
            sealed=SealedResponses(self.bodies, self.bodies.delete),
            drop_body=self.bodies.delete,
            runs_here=self.runs_here,
            wall=self.clocks.wall,
            monotonic=self.clocks.monotonic,
        )

    def runs_here(self, record: Record) -> bool:
        """As the service tells its sweeper."""
        runs = [(self.token, run.rid, run.attempt) for run in self.runs]
        return (record.worker, record.rid, record.attempt) in runs
