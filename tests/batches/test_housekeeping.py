"""What the parts around a batch do: wake who waits for it, remove it whole, and leave no file of what was refused."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import pytest

from bgrs_middleware.bodies import MemoryBodies
from bgrs_middleware.errors import BodyNotFound
from bgrs_middleware.ledger import Ledger
from bgrs_middleware.models import Status
from bgrs_middleware.orders import AddBatch, Added, Cancel, Claim, Delete
from bgrs_middleware.reader import Reader
from bgrs_middleware.service import retention as module
from bgrs_middleware.service.purge import purge
from bgrs_middleware.service.retention import Retention
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores.memory import MemoryStore
from doors.door import Door
from stores.orders import LEASE_UNTIL, WORKER, a_batch, a_captured, a_finish

DAY = 86_400.0
RETENTION_DAYS = 30.0


class House:
    """A ledger on a store in memory, and what it told of."""

    def __init__(self) -> None:
        self.store, self.bodies = MemoryStore(), MemoryBodies()
        self.woken: list[set[str]] = []
        self.hinted: list[tuple[str, ...]] = []
        self.hint = threading.Event()
        self.ledger = Ledger(self.store, self.wake, self.queued)
        self.reader = Reader(self.store)

    def wake(self, rids: Collection[str]) -> None:
        self.woken.append(set(rids))

    def queued(self, rids: tuple[str, ...]) -> None:
        self.hinted.append(rids)
        self.hint.set()

    def close(self) -> None:
        self.ledger.close()
        self.reader.close()

    def batch(self, count: int, now: float = 0.0) -> AddBatch:
        order = a_batch(count, now=now)
        assert self.ledger.add_batch(order).wait() is Added.ADDED
        return order

    def run_all(self, now: float) -> None:
        """Claim and finish what is queued, each with a body of its own."""
        for claimed in self.ledger.claim(Claim(worker=WORKER, limit=99, now=now, lease_until=LEASE_UNTIL)).wait():
            rid = claimed.record.rid
            writer = self.bodies.create(f"{rid}.1.result")
            writer.write(b"a body")
            writer.seal()
            captured = a_captured(inline=None, body_name=f"{rid}.1.result")
            self.ledger.finish(a_finish(rid, now=now, captured=captured)).wait()

    def has_body(self, rid: str) -> bool:
        try:
            self.bodies.read(f"{rid}.1.result").close()
        except BodyNotFound:
            return False
        return True

    def retention(self, now: float) -> Retention:
        return Retention(
            settings=Settings(),
            ledger=self.ledger,
            reader=self.reader,
            bodies=self.bodies,
            drop_body=self.bodies.delete,
            wall=lambda: now,
            boot=lambda: 1_000_000.0,
        )


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


def rids_of(order: AddBatch) -> list[str]:
    return [item.rid for item in order.items]


def test_the_executor_is_told_of_the_items_and_not_of_the_batch(house: House) -> None:
    order = house.batch(3)
    assert house.hint.wait(10)
    assert house.hinted == [tuple(rids_of(order))]


def test_who_waits_for_a_batch_is_woken_by_what_its_items_do(house: House) -> None:
    order = house.batch(2)
    first, second = rids_of(order)
    house.run_all(now=5.0)
    assert {first, order.rid} in house.woken
    assert {second, order.rid} in house.woken


def test_who_waits_for_an_item_is_woken_when_its_batch_is_cancelled_or_removed(house: House) -> None:
    order = house.batch(2)
    house.ledger.cancel(Cancel(rid=order.rid, now=5.0)).wait()
    assert house.woken[-1] == {order.rid, *rids_of(order)}
    house.ledger.delete(Delete(rid=order.rid)).wait()
    assert house.woken[-1] == {order.rid, *rids_of(order)}


def test_retention_removes_a_batch_with_its_items_and_their_bodies(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_SIZE", 2)
    old = [house.batch(3) for _ in range(3)]
    house.run_all(now=10.0)
    young = house.batch(1)
    house.run_all(now=20.0 * DAY)
    rids = [rid for order in old for rid in (order.rid, *rids_of(order))]
    house.retention(now=10.0 + RETENTION_DAYS * DAY).sweep()
    assert len(house.store.get(rids)) == 12
    house.retention(now=11.0 + RETENTION_DAYS * DAY).sweep()
    assert house.store.get(rids) == {}
    assert not any(house.has_body(rid) for rid in rids)
    assert all(house.has_body(rid) for rid in rids_of(young))
    assert set(house.store.get([young.rid, *rids_of(young)])) == {young.rid, *rids_of(young)}


def test_each_batch_is_removed_in_a_commit_of_its_own(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE_SIZE", 4)
    for _ in range(3):
        house.batch(4)
    house.run_all(now=10.0)
    retention = house.retention(now=11.0 + RETENTION_DAYS * DAY)
    left = []
    for _ in retention._remove():
        left.append(sum(status is Status.FINISHED for status in statuses(house)))
    assert left[:3] == [10, 5, 0]


def statuses(house: House) -> list[Status]:
    return [row.record.status for row in house.store._data.rows.values()]


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_purge_counts_and_takes_a_batch_with_its_items(house: House, dry_run: bool) -> None:
    order = house.batch(3)
    house.run_all(now=10.0)
    counts = purge(house.store, house.bodies, now=20.0, older_than_days=0.0, dry_run=dry_run)
    assert counts == Counter({Status.FINISHED: 4})
    assert len(statuses(house)) == (4 if dry_run else 0)
    assert any(house.has_body(rid) for rid in rids_of(order)) == dry_run


@pytest.fixture
def door(tmp_path: Any) -> Iterator[Door]:
    door = Door("wsgi", tmp_path / "data", concurrency=1, max_queued=5)
    yield door
    door.close()


@pytest.mark.parametrize("last", [{"method": "GET", "path": "/a"}, {"method": "GET", "path": "a"}])
def test_what_is_refused_leaves_no_file(door: Door, last: dict[str, str]) -> None:
    large = {"method": "POST", "path": "/items", "body": "x" * 100_000}
    door.hold("first")
    door.ask("/items")
    answer = door.call("POST", "/bgrs", (), json.dumps({"requests": [large, large, last]}).encode())
    assert answer.status == (503 if last["path"] == "/a" else 400)
    door.release("first")
    door.clean_up()
    assert list((door.data_dir / "bodies").rglob("*.request")) == []


def test_an_items_large_body_comes_whole(door: Door) -> None:
    large = {"method": "POST", "path": "/items", "body": "x" * 100_000}
    rid = door.call("POST", "/bgrs", (), json.dumps({"requests": [large]}).encode()).rid
    [item] = door.ended(rid)["items"]
    assert door.result(item["name"]).json()["length"] == 100_000
