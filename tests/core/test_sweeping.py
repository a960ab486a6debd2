"""A sweep comes to its end: past what it skips, past what it cannot read, and after the sweeper's own death."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bgrs_middleware.bodies import MemoryBodies
from bgrs_middleware.models import Rerun, Status
from bgrs_middleware.orders import Cancel
from bgrs_middleware.service import sweeper
from bgrs_middleware.service.presence import Presence
from bgrs_middleware.service.sweeper import MAX_DEATHS, verdict
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores.base import Store
from protocol import samples
from stores.orders import added, claimed, record
from stores.state_stage import Clocks, Dies, InMemory, Morgue, Place, Process, in_sqlite

CLOCKS = Clocks()


@pytest.fixture(params=["sqlite", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = in_sqlite(f"sqlite:///{tmp_path / 'bgrs.sqlite3'}") if request.param == "sqlite" else InMemory()
    place.clear()
    yield place
    place.close()


@pytest.fixture
def process(place: Place) -> Iterator[Process]:
    process = a_process(place)
    yield process
    place.leave(process.store)


def a_process(place: Place, morgue: Morgue | None = None) -> Process:
    return Process(
        token="sweeping",
        place=place,
        clocks=CLOCKS,
        bodies=MemoryBodies(),
        morgue=Morgue() if morgue is None else morgue,
        settings=Settings(),
    )


def held(store: Store, worker: str, count: int, *, is_over: bool, **changes: object) -> list[str]:
    """Requests that a worker holds, by leases that are over or are not."""
    rids = added(store, count, **changes)
    lease_until = CLOCKS.lease_now() + (-1.0 if is_over else 1.0)
    assert {taken.record.rid for taken in claimed(store, worker=worker, lease_until=lease_until)} == set(rids)
    return rids


def statuses(store: Store, rids: list[str]) -> list[Status]:
    return [record(store, rid).status for rid in rids]


def test_what_becomes_of_a_request_whose_worker_died() -> None:
    running = replace(samples.record(), status=Status.RUNNING, method="POST", rerun=Rerun.SAFE, deaths=0)
    cases = [
        (running, Status.LOST),
        (replace(running, method="GET"), Status.QUEUED),
        (replace(running, method="GET", rerun=Rerun.NEVER), Status.LOST),
        (replace(running, rerun=Rerun.ALWAYS), Status.QUEUED),
        (replace(running, rerun=Rerun.ALWAYS, deaths=MAX_DEATHS - 1), Status.FAILED),
        (replace(running, deaths=MAX_DEATHS - 1), Status.FAILED),
        (replace(running, status=Status.CANCELLING, method="GET"), Status.CANCELLED),
        (replace(running, status=Status.CANCELLING, deaths=MAX_DEATHS - 1), Status.CANCELLED),
    ]
    assert [verdict(found)[0] for found, _ in cases] == [status for _, status in cases]


def test_two_deaths_and_there_is_no_third_try(process: Process) -> None:
    [rid] = held(process.store, "one", 1, is_over=True)
    process.sweeper.sweep()
    [again] = claimed(process.store, worker="two", lease_until=CLOCKS.lease_now() - 1)
    process.sweeper.sweep()
    found = record(process.store, rid)
    assert (again.record.attempt, found.status, found.deaths) == (2, Status.FAILED, 2)
    assert claimed(process.store) == []


@pytest.mark.parametrize("skipped", range(7))
def test_a_sweep_pages_past_what_it_skips(process: Process, monkeypatch: pytest.MonkeyPatch, skipped: int) -> None:
    monkeypatch.setattr(sweeper, "PAGE_SIZE", 3)
    alive = held(process.store, "alive", skipped, is_over=False, method="POST") if skipped else []
    dead = held(process.store, "dead", 7 - skipped, is_over=True, method="POST")
    more = held(process.store, "alive", 1, is_over=False, method="POST")
    process.sweeper.sweep()
    assert set(statuses(process.store, alive + more)) == {Status.RUNNING}
    assert set(statuses(process.store, dead)) == {Status.LOST}


@pytest.mark.parametrize("dies_at", range(1, 6))
@pytest.mark.parametrize("looks", [True, False])
def test_a_sweeper_that_dies_at_any_write_leaves_the_rest_to_the_next_and_counts_no_death_twice(
    place: Place, monkeypatch: pytest.MonkeyPatch, dies_at: int, looks: bool
) -> None:
    monkeypatch.setattr(sweeper, "PAGE_SIZE", 2)
    morgue = Morgue()
    first, second = a_process(place, morgue), a_process(place, morgue)
    # By the lock where the others look, by the lease where they sweep.
    unsafe = held(first.store, "dead", 2, is_over=not looks, method="POST")
    safe = held(first.store, "dead", 2, is_over=not looks)
    [cancelling] = held(first.store, "dead", 1, is_over=not looks, method="POST")
    with first.store.transaction() as transaction:
        transaction.cancel([Cancel(rid=cancelling, now=1.0)])
    if looks:
        morgue.tokens.append("dead")
    writes = iter(range(1, 100))

    def before(verb: str) -> None:
        if next(writes) == dies_at:
            raise Dies

    first.ledger.before = before
    with pytest.raises(Dies):
        first.sweeper.look() if looks else first.sweeper.sweep()
    assert morgue.tokens == (["dead"] if looks else []), "nobody forgets who is not settled"
    second.sweeper.look() if looks else second.sweeper.sweep()
    assert statuses(second.store, [*unsafe, *safe, cancelling]) == [
        *[Status.LOST] * 2, *[Status.QUEUED] * 2, Status.CANCELLED,
    ]  # fmt: skip
    assert {record(second.store, rid).deaths for rid in [*unsafe, *safe, cancelling]} == {1}
    assert morgue.tokens == []
    for process in (first, second):
        place.leave(process.store)


@pytest.mark.parametrize("unreadable", range(6))
def test_a_sweep_goes_on_past_a_row_that_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unreadable: int
) -> None:
    monkeypatch.setattr(sweeper, "PAGE_SIZE", 2)
    place = in_sqlite(f"sqlite:///{tmp_path / 'bgrs.sqlite3'}")
    process = a_process(place)
    rids = held(process.store, "dead", 6, is_over=True, method="POST")
    with process.store._links().writing() as connection:  # type: ignore[attr-defined]  # an SqlStore
        connection.exec_driver_sql(f"UPDATE bgrs_request SET items = '[' WHERE rid = '{rids[unreadable]}'")
    process.sweeper.sweep()
    readable = [rid for rid in rids if rid != rids[unreadable]]
    assert set(statuses(process.store, readable)) == {Status.LOST}
    place.leave(process.store)
    place.close()


def test_locks_that_cannot_be_looked_at_keep_nobody_from_the_leases(place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = a_process(place)
    process.sweeper._presence = Presence(str(tmp_path / "file" / "workers"), "me")
    [rid] = held(process.store, "dead", 1, is_over=True, method="POST")
    process.sweeper.look()
    assert record(process.store, rid).status is Status.LOST
    place.leave(process.store)


def test_a_lock_that_cannot_be_opened_says_nothing_of_its_worker(tmp_path: Path) -> None:
    folder = tmp_path / "workers"
    folder.mkdir()
    # Whoever opens it, root included, cannot: it leads to itself.
    os.symlink(folder / "loop.lock", folder / "loop.lock")
    (folder / "gone.lock").touch()
    with Presence(str(folder), "me").dead() as tokens:
        assert tokens == ["gone"]
