"""The parts of one process, put together, opened and closed. What the doors talk to.

Nothing happens in the constructor: `open()` connects, starts threads and begins to take work. It is called before the
first background request or route of a process, or at lifespan startup; when it fails (the disk is full, the database is
away) the caller gets a 503 and the next call tries again.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from ..advice import log_all
from ..batching import Batcher
from ..bodies import make_bodies
from ..bodies.base import BodyReader
from ..errors import BgrsError, BodyNotFound, StorageError, StoreUnavailable
from ..executors import make_executor
from ..ledger import Ledger
from ..protocol.health import Figures, Health
from ..protocol.message import Reply, RequestHead, StoredSlice
from ..protocol.replies import body_removed
from ..protocol.rules import Rules
from ..reader import Reader
from ..sealing import make_keyring
from ..settings import Settings
from ..stores import make_store
from ..waiting import Waiting
from .callers import Caller, caller_of
from .desks import Desks, make_desks
from .figures import HostFigures
from .health import HealthDesk, examine, unopened
from .heartbeat import Heartbeat
from .job import Replayer
from .logs import RunLogHandler
from .presence import Presence
from .process_lock import ProcessLock
from .reporter import Ticker
from .retention import Retention
from .runs import Runs
from .sealed import SealedResponses
from .stopping import heed_signals, ignore_signals
from .sweeper import Sweeper

logger = logging.getLogger("bgrs_middleware.service")


class Service:
    """One process's service. Safe for use from several threads.

    Parameters:
        settings: all of them.
        rules: the settings' rules, compiled.
        replayer: starts replays in the way of the door's gateway.
    """

    desks: Desks

    def __init__(self, settings: Settings, rules: Rules, replayer: Replayer) -> None:
        self.settings = settings
        self.rules = rules
        self.pid = os.getpid()
        self._replayer = replayer
        self._opening = threading.Lock()
        self._open = False
        self._closed = False
        self._advised = False
        self._heeds_signals = False
        self.health = HealthDesk(self._look_at_health, self._figures)

    @property
    def is_open(self) -> bool:
        """Whether it can be used without calling `open()` first."""
        return self._open

    def open(self) -> None:
        """Make it ready. Blocking, idempotent.

        Raises:
            StorageError: store or bodies cannot be used just now; nothing is left half-open.
            SettingsError: a setting turns out to be unusable here.
        """
        with self._opening:
            if self._open:
                return
            settings = self.settings
            self._store = make_store(settings)
            self._lock = None if self._store.shared_between_processes else ProcessLock(settings.data_dir)
            if self._lock is not None:
                self._lock.acquire()
            self._bodies = make_bodies(settings)
            try:
                self._store.open()
                self._bodies.open()
                self._keyring = make_keyring(settings)
            except BgrsError:
                self._store.close()
                if self._lock is not None:
                    self._lock.release()
                raise
            self._put_together()
            self._open, self._closed = True, False
        self._presence.announce()
        self._executor.start(self._runs)
        self._heartbeat.start()
        self._ticker.start()
        self._executor.notify()
        self._advise()

    def _put_together(self) -> None:
        settings = self.settings
        self._executor = make_executor(settings)
        self._janitor: Batcher[str] = Batcher("bgrs-janitor", self._drop_bodies)
        self._waiting = Waiting(
            lambda rids: self._reader.query(lambda store: store.get(rids)).wait(), settings.max_waiters
        )
        self._ledger = Ledger(self._store, self._waiting.changed, self._hint)
        self._reader = Reader(self._store)
        drop_body = self._janitor.put
        self._runs = Runs(
            settings=settings,
            replayer=self._replayer,
            store=self._store,
            ledger=self._ledger,
            reader=self._reader,
            waiting=self._waiting,
            bodies=self._bodies,
            keyring=self._keyring,
            drop_body=drop_body,
        )
        self.desks = make_desks(
            settings=settings,
            rules=self.rules,
            ledger=self._ledger,
            reader=self._reader,
            waiting=self._waiting,
            runs=self._runs,
            bodies=self._bodies,
            keyring=self._keyring,
            drop_body=drop_body,
        )
        self._presence = Presence(os.path.join(settings.data_dir, "workers"), self._runs.worker)
        self._host = HostFigures(self._presence, self._runs.figures)
        self._heartbeat = Heartbeat(settings=settings, runs=self._runs, ledger=self._ledger, store=self._store)
        self._sweeper = Sweeper(
            settings=settings,
            store=self._store,
            ledger=self._ledger,
            reader=self._reader,
            executor=self._executor,
            presence=self._presence,
            sealed=SealedResponses(self._bodies, drop_body),
            drop_body=drop_body,
            runs_here=self._runs.holds,
        )
        self._retention = Retention(
            settings=settings, ledger=self._ledger, reader=self._reader, bodies=self._bodies, drop_body=drop_body
        )
        runs = self._runs
        duties = [self._host.tell, runs.reporter.flush, runs.watch, runs.doubtful_claims.settle, self._sweeper.look]
        self._ticker = Ticker([*duties, self._look_for_work, self._retention.look])
        self._logs = None if settings.capture_logging is None else RunLogHandler(settings.capture_logging)
        if self._logs is not None:
            logging.getLogger().addHandler(self._logs)

    def caller(self, identified: object, head: RequestHead) -> Caller:
        """Who is asking; see `callers.caller_of`."""
        return caller_of(identified, head, self._keyring)

    def open_body(self, reply: Reply, part: StoredSlice) -> BodyReader:
        """Open the stored body of a result.

        Parameters:
            reply: the result; where its body is gone, the error names the request and its state as it does.
            part: which body it is.

        Raises:
            Gone: retention removed it meanwhile.
            BodyError: it cannot be read.
        """
        try:
            return self._bodies.read(part.body_name)
        except BodyNotFound as error:
            raise body_removed(reply) from error

    def heed_signals(self, *, holds: bool) -> None:
        """Learn from its signals that this process is to end; see `stopping.heed_signals`. Idempotent."""
        if self._heeds_signals:
            return
        with self._opening:
            if self._open and not self._heeds_signals:
                self._heeds_signals = True
                heed_signals(self, holds=holds)

    def leave(self) -> None:
        """This process is to end: claim nothing new, answer all who wait. `drain_seconds` count from here. Idempotent.

        Does not block, so that it can be told at the first sign, long before the server has come to its own end.
        """
        if self._open:
            self._executor.stop()
            self._runs.leave(self.settings.drain_seconds)
            self._waiting.let_go()

    def hurry(self) -> None:
        """Let a drain that is under way, or comes, end at once. Does not block."""
        if self._open:
            self._runs.hurry()

    async def drain(self) -> None:
        """Claim nothing new, let what runs finish for `drain_seconds`, stop and hand back the rest.

        The seconds count from `leave`, where that came first.
        """
        if self._open:
            self._executor.stop()
            await self._runs.drain(self.settings.drain_seconds)

    def close(self) -> None:
        """Write what is waiting, end the threads, give back connections. Blocking, idempotent."""
        with self._opening:
            if not self._open:
                return
            self._open, self._closed = False, True
        if self._heeds_signals:
            self._heeds_signals = False
            ignore_signals(self)
        self._executor.stop()
        self._waiting.close()
        self._ticker.stop()
        self._heartbeat.stop()
        try:
            self._runs.reporter.flush()
        except StorageError as error:
            logger.warning("The last progress could not be written: %s", error)
        self.desks.batches.close()
        self._ledger.close()
        self._reader.close()
        self._janitor.close()
        if not self._runs.active():
            self._presence.leave()
        self._store.close()
        if self._logs is not None:
            logging.getLogger().removeHandler(self._logs)
        if self._lock is not None:
            self._lock.release()

    def _look_at_health(self) -> Health:
        if self._closed:
            # Whoever only looks must not begin anew what has ended.
            return unopened(StoreUnavailable(reason="The server is shutting down."))
        try:
            self.open()
            host = self._host.total()
        except BgrsError as error:
            return unopened(error)
        return examine(
            read=lambda: self._reader.query(lambda store: store.backlog()).wait(),
            write=lambda: self._ledger.probe(time.time()).wait(),
            check_room=self._bodies.check_room,
            host=host,
        )

    def _figures(self) -> Figures:
        """Of the host, as far as it is known without asking anybody."""
        return self._host.last_known() if self._open else Figures()

    def _advise(self) -> None:
        """Say once what is not as safe as it could be. Nothing that happens here keeps the service from its work."""
        if self._advised:
            return
        self._advised = True
        try:
            log_all([*self._store.advice(), *self._bodies.advice()])
        except Exception as error:  # noqa: BLE001  # a store of the user's may raise anything
            logger.debug("The store could not be checked: %s", error)

    def _hint(self, rids: tuple[str, ...]) -> None:
        """Tell the executor what was queued. Once per commit, because a hint may cost a system call or a message."""
        try:
            self._executor.notify(rids)
        except Exception as error:  # an executor may be anyone's; `_look_for_work` comes every second
            logger.warning("The executor could not be told of new work: %s", error, exc_info=error)

    def _look_for_work(self) -> None:
        """Work that another process queued, or that was there before this one."""
        if self._reader.query(lambda store: store.count_queued()).wait():
            self._executor.notify()

    def _drop_bodies(self, names: list[str]) -> None:
        for name in names:
            try:
                self._bodies.delete(name)
            except StorageError as error:
                logger.warning("The body %s could not be removed: %s", name, error)
