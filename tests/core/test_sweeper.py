"""The sweeper decides on each abandoned request by itself: one that the store refuses keeps no other from its turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgrs_middleware.bodies import FileBodies
from bgrs_middleware.bodies.names import result_name
from bgrs_middleware.bodies.recorder import Recorder
from bgrs_middleware.errors import BodyNotFound, StoreDataError
from bgrs_middleware.executors.base import Executor, Host
from bgrs_middleware.ledger import Ledger
from bgrs_middleware.models import Rerun, Status
from bgrs_middleware.orders import Cancel, Changed, Finish, Release
from bgrs_middleware.pending import Pending
from bgrs_middleware.reader import Reader
from bgrs_middleware.service.presence import Presence
from bgrs_middleware.service.sealed import SealedResponses
from bgrs_middleware.service.sweeper import KEPT_NOTE, MAX_DEATHS, REFUSED_NOTE, Sweeper
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores.sql import SqlStore
from stores.orders import WORKER, a_release, added, claimed, record, texts

BIG = b"x" * 100_000


class CountingExecutor(Executor):
    """Counts hints; runs nothing."""

    def __init__(self) -> None:
        self.hints = 0

    def start(self, host: Host) -> None:
        raise AssertionError("nothing is run here")

    def notify(self, rids: tuple[str, ...] = ()) -> None:
        self.hints += 1

    def stop(self) -> None:
        """Nothing was started."""


class RefusingLedger(Ledger):
    """Refuses what is about the requests in `refused`, as a database does that cannot take one value."""

    refused: frozenset[str] = frozenset()
    refuses: tuple[type, ...] = ()

    def finish(self, order: Finish) -> Pending[Changed]:
        return self._refusal() if self._is_refused(order) else super().finish(order)

    def release(self, order: Release) -> Pending[Changed]:
        return self._refusal() if self._is_refused(order) else super().release(order)

    def _is_refused(self, order: Finish | Release) -> bool:
        return order.rid in self.refused and isinstance(order, self.refuses)

    def _refusal(self) -> Pending[Changed]:
        pending: Pending[Changed] = Pending()
        pending.fail(StoreDataError("no such value"))
        return pending


class House:
    """One process's parts, as far as a sweeper needs them, and requests of a worker that has died."""

    def __init__(self, folder: Path) -> None:
        self.store = SqlStore(f"sqlite:///{folder}/bgrs.sqlite3")
        self.store.open()
        self.bodies = FileBodies(str(folder / "bodies"), 0)
        self.ledger = RefusingLedger(self.store, lambda rids: None)
        self.reader = Reader(self.store)
        self.executor = CountingExecutor()
        self.sweeper = Sweeper(
            settings=Settings(),
            store=self.store,
            ledger=self.ledger,
            reader=self.reader,
            executor=self.executor,
            presence=Presence(str(folder / "workers"), "a living worker"),
            sealed=SealedResponses(self.bodies, self.bodies.delete),
            drop_body=self.bodies.delete,
            runs_here=lambda rid: False,
        )

    def close(self) -> None:
        self.ledger.close()
        self.reader.close()
        self.store.close()

    def abandoned(self, *, sealed: bool = False, cancelling: bool = False, **changes: Any) -> str:
        """A request whose worker is gone, with its lease over; `sealed`: its response lies there, whole."""
        [rid] = added(self.store, **changes)
        [taken] = claimed(self.store, lease_until=self.store.lease_now() - 1.0)
        if sealed:
            self.seal(result_name(rid, taken.record.attempt))
        if cancelling:
            with self.store.transaction() as transaction:
                transaction.cancel([Cancel(rid=rid, now=1_002.0)])
        return rid

    def seal(self, name: str) -> None:
        recorder = Recorder(
            body_name=name, create_body=self.bodies.create, max_result_bytes=1 << 40, derive_progress=lambda _: None
        )
        recorder.start(201, [(b"content-type", b"text/plain"), (b"x-a", b"1")])
        recorder.write(BIG)
        recorder.finish()

    def has_body(self, rid: str, attempt: int = 1) -> bool:
        try:
            self.bodies.read(result_name(rid, attempt)).close()
        except BodyNotFound:
            return False
        return True


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    built = House(tmp_path)
    yield built
    built.close()


def test_a_sealed_response_becomes_the_result(house: House) -> None:
    rid = house.abandoned(sealed=True, method="POST")
    house.sweeper.sweep()
    found = record(house.store, rid)
    assert (found.status, found.http_status, found.content_type) == (Status.FINISHED, 201, "text/plain")
    assert (found.result_length, found.result_body_name, found.progress) == (len(BIG), result_name(rid, 1), 100.0)
    assert (found.has_request, found.worker, found.attempt) == (False, None, 1)
    captured = house.store.captured([rid])[rid]
    assert captured.headers == ((b"content-type", b"text/plain"), (b"x-a", b"1"))
    assert texts(house.store, rid) == [KEPT_NOTE]
    assert house.executor.hints == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_it_counts_for_one_that_was_to_be_cancelled_and_for_the_last_death_too(house: House, method: str) -> None:
    cancelling = house.abandoned(sealed=True, cancelling=True, method=method)
    rid = house.abandoned(method=method, rerun=Rerun.ALWAYS)
    with house.store.transaction() as transaction:
        transaction.release([a_release(rid, Status.QUEUED, died=True)])
    [again] = claimed(house.store, lease_until=house.store.lease_now() - 1.0)
    assert (again.record.attempt, again.record.deaths) == (2, MAX_DEATHS - 1)
    house.seal(result_name(rid, 2))
    house.sweeper.sweep()
    assert [record(house.store, each).status for each in (cancelling, rid)] == [Status.FINISHED] * 2
    assert record(house.store, rid).result_body_name == result_name(rid, 2)


def test_what_an_earlier_attempt_sealed_is_not_taken_for_this_ones(house: House) -> None:
    rid = house.abandoned(method="POST", rerun=Rerun.ALWAYS)
    with house.store.transaction() as transaction:
        transaction.release([a_release(rid, Status.QUEUED)])
    claimed(house.store, lease_until=house.store.lease_now() - 1.0)
    house.seal(result_name(rid, 1))
    house.sweeper.sweep()
    assert record(house.store, rid).status is Status.QUEUED
    assert house.executor.hints == 1


def test_a_response_that_the_store_refuses_is_a_failure_and_is_removed(house: House) -> None:
    rid, other = house.abandoned(sealed=True, method="POST"), house.abandoned(sealed=True, method="POST")
    house.ledger.refused, house.ledger.refuses = frozenset({rid}), (Finish,)
    house.sweeper.sweep()
    assert record(house.store, rid).status is Status.FAILED
    assert texts(house.store, rid) == [REFUSED_NOTE]
    assert not house.has_body(rid)
    assert record(house.store, other).status is Status.FINISHED


def test_one_that_cannot_be_written_stops_no_other_and_is_tried_again(house: House) -> None:
    rids = [house.abandoned(method="POST") for _ in range(3)]
    house.ledger.refused, house.ledger.refuses = frozenset({rids[0]}), (Release,)
    house.sweeper.sweep()
    assert [record(house.store, rid).status for rid in rids] == [Status.RUNNING, Status.LOST, Status.LOST]
    house.ledger.refused = frozenset()
    house.sweeper.sweep()
    assert record(house.store, rids[0]).status is Status.LOST


def test_a_dead_worker_is_looked_after_until_all_that_it_held_is_settled(house: House, tmp_path: Path) -> None:
    rid = house.abandoned(method="POST")
    lock = tmp_path / "workers" / f"{WORKER}.lock"
    lock.parent.mkdir()
    lock.touch()
    house.ledger.refused, house.ledger.refuses = frozenset({rid}), (Release,)
    house.sweeper.look()
    assert lock.exists()
    house.ledger.refused = frozenset()
    house.sweeper.look()
    assert record(house.store, rid).status is Status.LOST
    assert not lock.exists()


def test_a_response_that_cannot_be_read_is_none(house: House) -> None:
    rid = house.abandoned(sealed=True, method="POST")
    body = Path(house.bodies.folder) / rid[:2] / result_name(rid, 1)
    body.unlink()
    body.mkdir()
    house.sweeper._sealed = SealedResponses(house.bodies, lambda name: None)
    house.sweeper.sweep()
    assert record(house.store, rid).status is Status.LOST
