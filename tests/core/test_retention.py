"""What waited too long ends, what was kept for its time goes, nothing goes early: on real files, and in memory."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.bodies import FileBodies, MemoryBodies
from bgrs_middleware.errors import BodyNotFound, StoreUnavailable
from bgrs_middleware.ledger import Ledger
from bgrs_middleware.models import Record, Status, new_rid
from bgrs_middleware.orders import Delete, Retry
from bgrs_middleware.reader import Reader
from bgrs_middleware.service import retention as module
from bgrs_middleware.service.retention import CautiousClock, Retention
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores.base import Store
from bgrs_middleware.stores.memory import MemoryStore
from bgrs_middleware.stores.sql import SqlStore
from stores.orders import a_captured, a_finish, a_release, an_add, claimed, texts

HOUR, DAY, YEAR = 3_600.0, 86_400.0, 365 * 86_400.0
SETTINGS = Settings(max_queue_seconds=DAY, retry_seconds=2 * DAY, sweep_seconds=15)
RETENTION_DAYS = 30.0


class Clocks:
    """A wall clock that can be set, and one since the start of the host, which goes as time does."""

    def __init__(self) -> None:
        self.started = self._wall = time.time()
        self._boot = 5_000.0

    def wall(self) -> float:
        return self._wall

    def boot(self) -> float:
        return self._boot

    def pass_by(self, seconds: float) -> None:
        """Time goes by."""
        self._wall += seconds
        self._boot += seconds

    def set_by(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self._wall += seconds


class House:
    """One process's parts, as far as retention needs them."""

    def __init__(self, store: Store, bodies: FileBodies | MemoryBodies, clocks: Clocks) -> None:
        self.store, self.bodies, self.clocks = store, bodies, clocks
        self.woken: list[str] = []
        self.ledger = Ledger(store, self.woken.extend)
        self.reader = Reader(store)
        self.retention = self.new_retention()

    def new_retention(self, drop_body=None, ledger: Ledger | None = None) -> Retention:
        return Retention(
            settings=SETTINGS,
            ledger=ledger or self.ledger,
            reader=self.reader,
            bodies=self.bodies,
            drop_body=drop_body or self.bodies.delete,
            wall=self.clocks.wall,
            boot=self.clocks.boot,
        )

    def close(self) -> None:
        self.ledger.close()
        self.reader.close()

    def sweep_after(self, seconds: float) -> None:
        self.clocks.pass_by(seconds)
        self.retention.sweep()

    def put(self, name: str, data: bytes = b"a body") -> str:
        writer = self.bodies.create(name)
        writer.write(data)
        writer.seal()
        # As the disk would have stamped it.
        if isinstance(self.bodies, FileBodies):
            os.utime(self.bodies._path(name), (self.clocks.wall(), self.clocks.wall()))
        else:
            self.bodies._sealed_at[name] = self.clocks.wall()
        return name

    def has(self, name: str) -> bool:
        try:
            self.bodies.read(name).close()
        except BodyNotFound:
            return False
        return True

    def record(self, rid: str) -> Record | None:
        return self.store.get([rid]).get(rid)

    def status(self, rid: str) -> Status | None:
        found = self.record(rid)
        return None if found is None else found.status

    def queued(self, **changes) -> str:
        """A new request whose body is stored."""
        rid = new_rid()
        changes = {"retention_days": RETENTION_DAYS} | changes
        order = an_add(rid=rid, now=self.clocks.wall(), request_body_name=self.put(f"{rid}.request"), **changes)
        with self.store.transaction() as transaction:
            transaction.add([order])
        return rid

    def ended(self, status: Status = Status.FINISHED, **changes) -> str:
        """A request that has ended now, with a stored response where it finished."""
        rid = self.queued(**changes)
        others = [taken.record.rid for taken in claimed(self.store, now=self.clocks.wall()) if taken.record.rid != rid]
        now, captured = self.clocks.wall(), None
        if status is Status.FINISHED:
            captured = a_captured(inline=None, body_name=self.put(f"{rid}.1.result"))
        order = a_finish(rid, status=status, now=now, captured=captured, keep_request=captured is None, notes=("end",))
        with self.store.transaction() as transaction:
            transaction.finish([order])
            transaction.release([a_release(other, Status.QUEUED, now=now) for other in others])
        if captured is not None:
            self.bodies.delete(f"{rid}.request")
        return rid


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture(params=["files", "memory"])
def house(request: pytest.FixtureRequest, tmp_path: Path, clocks: Clocks) -> Iterator[House]:
    store: Store = MemoryStore() if request.param == "memory" else SqlStore(f"sqlite:///{tmp_path / 'bgrs.sqlite3'}")
    bodies = MemoryBodies() if request.param == "memory" else FileBodies(str(tmp_path / "bodies"), 0)
    store.open()
    bodies.open()
    house = House(store, bodies, clocks)
    yield house
    house.close()
    store.close()


# What has had its time.


def test_what_waits_longer_than_it_may_expires_and_its_waiters_hear_of_it(house: House) -> None:
    rid = house.queued()
    house.sweep_after(DAY - 1)
    assert house.status(rid) is Status.QUEUED
    young = house.queued()
    house.sweep_after(2)
    found = house.record(rid)
    assert found is not None
    assert (found.status, found.has_request, found.finished_at) == (Status.EXPIRED, False, house.clocks.wall())
    assert texts(house.store, rid) == ["expired: it waited in the queue longer than max_queue_seconds, 86400 s"]
    assert not house.has(f"{rid}.request")
    assert house.woken == [rid]
    assert house.status(young) is Status.QUEUED
    assert house.has(f"{young}.request")


@pytest.mark.parametrize("status", [Status.FAILED, Status.LOST, Status.CANCELLED])
def test_a_request_that_is_kept_for_a_retry_is_wiped_after_its_time(house: House, status: Status) -> None:
    rid = house.ended(status)
    house.sweep_after(2 * DAY - 1)
    found = house.record(rid)
    assert found is not None
    assert found.has_request
    assert house.has(f"{rid}.request")
    house.sweep_after(2)
    found = house.record(rid)
    assert found is not None
    assert (found.status, found.has_request, found.request_body_name) == (status, False, None)
    assert not house.has(f"{rid}.request")
    assert not house.ledger.retry(Retry(rid=rid, now=house.clocks.wall())).wait().done


def test_what_has_ended_goes_after_its_own_retention_with_details_and_bodies(house: House) -> None:
    short, usual = house.ended(retention_days=1.0), house.ended()
    failed = house.ended(Status.FAILED, retention_days=1.0)
    running = house.queued(retention_days=0.001)
    claimed(house.store, now=house.clocks.wall())
    house.sweep_after(DAY - 1)
    assert {house.status(rid) for rid in (short, usual, failed)} == {Status.FINISHED, Status.FAILED}
    house.sweep_after(2)
    assert [house.record(short), house.record(failed)] == [None, None]
    assert texts(house.store, short) == []
    assert not house.has(f"{short}.1.result")
    assert not house.has(f"{failed}.request")
    assert (house.status(usual), house.status(running)) == (Status.FINISHED, Status.RUNNING)
    assert house.has(f"{usual}.1.result")
    assert house.has(f"{running}.request")
    house.sweep_after(RETENTION_DAYS * DAY)
    assert (house.status(usual), house.status(running)) == (None, Status.RUNNING)


def test_a_download_under_way_completes(house: House) -> None:
    rid = house.ended()
    download = house.bodies.read(f"{rid}.1.result")
    assert download.read(0, 2) == b"a "
    house.sweep_after(RETENTION_DAYS * DAY + 1)
    assert not house.has(f"{rid}.1.result")
    assert download.read(2, 100) == b"body"
    download.close()


def test_one_sweep_goes_through_all_pages(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_SIZE", 2)
    failed = [house.ended(Status.FAILED) for _ in range(5)]
    waiting = [house.queued() for _ in range(5)]
    house.sweep_after(2 * DAY + 1)
    assert {house.status(rid) for rid in waiting} == {Status.EXPIRED}
    assert not any(house.has(f"{rid}.request") for rid in waiting + failed)
    house.sweep_after(RETENTION_DAYS * DAY + 1)
    assert house.store.get(waiting + failed) == {}


def test_all_of_many_pages_go_also_where_two_do_it_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_SIZE", 5)
    failed = [house.ended(Status.FAILED) for _ in range(12)]
    waiting = [house.queued() for _ in range(12)]
    house.clocks.pass_by(DAY + 1)
    dropped: list[str] = []
    others = [house.new_retention(dropped.append) for _ in range(3)]
    for seconds in (0, 2 * DAY, RETENTION_DAYS * DAY):
        house.clocks.pass_by(seconds)
        threads = [threading.Thread(target=one.sweep) for one in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert house.store.get(waiting + failed) == {}
    for rid in waiting + failed:
        assert f"{rid}.request" in dropped


def test_what_its_owner_retries_meanwhile_stays(house: House) -> None:
    rid = house.ended(Status.FAILED, retention_days=1.0)

    class Retried(Ledger):
        """Between the look and the removal, the owner is quicker."""

        def delete(self, order: Delete):
            assert super().retry(Retry(rid=order.rid, now=house.clocks.wall())).wait().done
            return super().delete(order)

    ledger = Retried(house.store, lambda rids: None)
    house.clocks.pass_by(DAY + 1)
    house.new_retention(ledger=ledger).sweep()
    ledger.close()
    assert house.status(rid) is Status.QUEUED
    assert house.has(f"{rid}.request")


# Files that nobody names.


def test_bodies_that_no_record_names_go_after_an_hour(house: House) -> None:
    finished, failed, waiting = house.ended(), house.ended(Status.FAILED), house.queued()
    needed = [f"{finished}.1.result", f"{failed}.request", f"{waiting}.request"]
    unwritten = house.put(f"{waiting}.1.result")
    orphans = [
        house.put(f"{new_rid()}.request"),
        house.put(f"{finished}.request"),
        house.put(f"{failed}.3.result"),
    ]
    house.sweep_after(HOUR - 60)
    assert all(house.has(name) for name in orphans)
    house.sweep_after(HOUR)
    assert [name for name in orphans if house.has(name)] == []
    assert [name for name in (*needed, unwritten) if not house.has(name)] == []


@pytest.mark.parametrize("house", ["files"], indirect=True)
def test_what_a_record_that_cannot_be_read_names_stays_and_no_orphan_stays_with_it(house: House) -> None:
    rid, orphan = house.ended(), house.put(f"{new_rid()}.request")
    assert isinstance(house.store, SqlStore)
    with house.store._links().writing() as connection:
        connection.exec_driver_sql("UPDATE bgrs_request SET items = '['")
    house.sweep_after(2 * HOUR)
    assert house.has(f"{rid}.1.result")
    assert not house.has(orphan)


def test_files_are_looked_through_once_an_hour(house: House) -> None:
    house.retention.sweep()
    orphan = house.put(f"{new_rid()}.request")
    house.clocks.pass_by(HOUR - 1)
    late = house.put(f"{new_rid()}.request")
    house.retention.sweep()
    assert house.has(orphan)
    house.sweep_after(120)
    assert not house.has(orphan)
    house.sweep_after(HOUR - 60)
    assert house.has(late)
    house.sweep_after(120)
    assert not house.has(late)


def test_one_that_dies_between_row_and_file_leaves_what_the_next_one_removes(house: House) -> None:
    expiring, finished, failed = house.queued(), house.ended(retention_days=1.0), house.ended(Status.FAILED)
    house.clocks.pass_by(3 * DAY)
    house.new_retention(lambda name: None).sweep()
    assert (house.status(expiring), house.record(finished)) == (Status.EXPIRED, None)
    names = [f"{expiring}.request", f"{finished}.1.result", f"{failed}.request"]
    assert all(house.has(name) for name in names)
    house.new_retention().sweep()
    assert [name for name in names if house.has(name)] == []


def test_bodies_of_another_store_in_the_same_folder_are_left_alone(
    house: House, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = house.put(f"{new_rid()}.1.result")
    assert house.bodies.belong_to("another store")
    house.sweep_after(DAY)
    assert house.has(theirs)
    if isinstance(house.bodies, FileBodies):
        assert "another store's" in caplog.text


def test_unfinished_bodies_that_nobody_writes_go_after_a_day(tmp_path: Path, clocks: Clocks) -> None:
    store, bodies = MemoryStore(), FileBodies(str(tmp_path), 0)
    bodies.open()
    house = House(store, bodies, clocks)
    left = tmp_path / "incomplete" / f"{new_rid()}.1.result.{'0' * 16}.tmp"
    left.write_bytes(b"half of")
    writing = bodies.create(f"{new_rid()}.1.result")
    house.sweep_after(DAY - 60)
    assert left.exists()
    house.sweep_after(HOUR)
    assert os.listdir(tmp_path / "incomplete") != []
    assert not left.exists()
    writing.discard()
    house.close()


# Clocks that are set.


@pytest.mark.parametrize(
    "steps", [[HOUR], [-HOUR], [YEAR], [-YEAR], [YEAR, -YEAR], [-YEAR, YEAR], [-HOUR, HOUR], [-YEAR, 2 * YEAR]], ids=str
)
def test_a_clock_that_is_set_removes_nothing_early(house: House, steps: list[float]) -> None:
    """Whatever was there before, and whatever comes while it is set wrong."""
    waiting, done, orphans = [], [], []
    for step in [0.0, *steps]:
        house.clocks.set_by(step)
        house.retention.look()
        done += [house.ended(), house.ended(Status.FAILED)]
        waiting.append(house.queued())
        orphans.append(house.put(f"{new_rid()}.request"))
        house.clocks.pass_by(60)
        house.retention.sweep()
    house.sweep_after(HOUR / 4)
    records = house.store.get(waiting + done)
    assert {records[rid].status for rid in done} == {Status.FINISHED, Status.FAILED}
    assert {records[rid].status for rid in waiting} == {Status.QUEUED}
    assert all(record.has_request for record in records.values() if record.status is not Status.FINISHED)
    assert [name for name in orphans if not house.has(name)] == []


def test_after_the_clock_was_set_what_was_there_before_goes_in_its_time(house: House) -> None:
    rid = house.queued()
    house.clocks.set_by(YEAR)
    house.sweep_after(DAY - 1)
    assert house.status(rid) is Status.QUEUED
    house.sweep_after(2)
    assert house.status(rid) is Status.EXPIRED


def test_each_step_is_logged_once_and_drifting_is_none(clocks: Clocks, caplog: pytest.LogCaptureFixture) -> None:
    clock = CautiousClock(clocks.wall, clocks.boot)
    for _ in range(20):
        clocks.pass_by(15)
        clocks.set_by(0.01)
        clock.now()
    assert caplog.text == ""
    clocks.set_by(-HOUR)
    for _ in range(3):
        clock.now()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "set by -3600 s" in caplog.text


@given(st.lists(st.tuples(st.floats(0, YEAR), st.floats(-YEAR, YEAR), st.booleans()), max_size=20))
def test_nothing_ever_seems_older_than_it_is(history: list[tuple[float, float, bool]]) -> None:
    clocks = Clocks()
    clock = CautiousClock(clocks.wall, clocks.boot)
    stamped = [(clocks.wall(), clocks.boot())]
    for passed, step, is_set in history:
        clocks.pass_by(passed)
        if is_set:
            clocks.set_by(step)
        clock.now()
        stamped.append((clocks.wall(), clocks.boot()))
        for wall, boot in stamped:
            assert clock.now() - wall <= clocks.boot() - boot + 1e-3
    if not any(is_set for _, _, is_set in history):
        assert clock.now() == pytest.approx(clocks.wall(), abs=1e-3)


# When it is done.


def test_a_look_begins_a_round_every_sweep_seconds(house: House) -> None:
    house.retention.look()
    rid = house.queued()
    house.clocks.pass_by(14)
    young = house.queued()
    house.retention._settings = Settings(max_queue_seconds=5, sweep_seconds=15)
    house.retention.look()
    assert house.status(rid) is Status.QUEUED
    house.clocks.pass_by(1)
    house.retention.look()
    assert (house.status(rid), house.status(young)) == (Status.EXPIRED, Status.QUEUED)


def test_a_look_that_takes_long_leaves_the_rest_to_the_next_ones(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_LOOK_SECONDS", -1.0)
    monkeypatch.setattr(module, "PAGE_SIZE", 2)
    rids = [house.ended() for _ in range(5)]
    house.clocks.pass_by(RETENTION_DAYS * DAY + 1)
    left = []
    for _ in range(10):
        house.retention.look()
        left.append(len(house.store.get(rids)))
    assert left[:6] == [5, 5, 3, 1, 0, 0]
    assert not any(house.has(f"{rid}.1.result") for rid in rids)


class Away(MemoryStore):
    """A store that cannot be written, or not be read, for a time."""

    cannot_write = cannot_read = False

    @contextmanager
    def transaction(self):
        if self.cannot_write:
            raise StoreUnavailable("away")
        with super().transaction() as transaction:
            yield transaction

    def wipeable(self, finished_before: float, limit: int):
        if self.cannot_read:
            raise StoreUnavailable("away")
        return super().wipeable(finished_before, limit)


@pytest.mark.parametrize("fault", ["cannot_write", "cannot_read"])
def test_a_store_that_is_away_stops_only_what_needs_it_and_the_next_round_goes_on(
    clocks: Clocks, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    store = Away()
    house = House(store, MemoryBodies(), clocks)
    waiting, failed = house.queued(), house.ended(Status.FAILED)
    orphan = house.put(f"{new_rid()}.request")
    clocks.pass_by(3 * DAY)
    setattr(store, fault, True)
    house.retention.look()
    assert "the next sweep tries again" in caplog.text
    assert not house.has(orphan)
    assert house.status(waiting) is (Status.QUEUED if fault == "cannot_write" else Status.EXPIRED)
    setattr(store, fault, False)
    clocks.pass_by(15)
    house.retention.look()
    found = house.record(failed)
    assert house.status(waiting) is Status.EXPIRED
    assert found is not None
    assert not found.has_request
    house.close()
