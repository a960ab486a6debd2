"""Whatever happens, in whatever order: no store loses what it acknowledged, or lets it be run twice unasked.

Hypothesis plays histories of processes on one store: they accept, claim, beat, work, finish, sleep, die and sweep;
clients cancel, retry and delete; somebody sets the clocks. After each step all that can be read is compared with what
the oracle knows (`state_oracle.py`). `BGRS_TEST_HISTORIES=1000x100` plays so many other histories, of so many steps.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from bgrs_middleware.models import Rerun, Status
from bgrs_middleware.service import sweeper
from stores.state_batches import BATCH_STEPS, accepts_batch, cancels_batch, deletes_batch
from stores.state_oracle import (
    CANCELLED,
    CANCELLING,
    FAILED,
    GRAPH,
    HELD,
    QUEUED,
    RETRIED,
    RUNNING,
    name_of,
)
from stores.state_play import DAY, LEASE_SECONDS, STEPS, TAKEOVERS, TOO_LATE, Play
from stores.state_recovery import MEANWHILE, RECOVERY_SECONDS, Recovery
from stores.state_stage import InMemory, Place, Process, in_postgres, in_sqlite

HOUR, YEAR = 3_600.0, 365 * DAY
Verb = Callable[[Play, Process, str], None]

picks = st.integers(0, 11)


class StoreMachine(RuleBasedStateMachine):
    """The rules: what may happen next."""

    def __init__(self, place: Place, seen: Counter[str]) -> None:
        super().__init__()
        self.play = Recovery(place, seen)
        self.oracle = self.play.oracle

    def teardown(self) -> None:
        self.play.close()

    @invariant()
    def all_is_as_the_oracle_knows(self) -> None:
        self.play.seen[STEPS] += 1
        self.oracle.compare(self.play.observer.store, self.play.bodies)

    # Clients.

    @rule(
        pick=picks,
        count=st.integers(1, 3),
        method=st.sampled_from(["GET", "GET", "POST"]),
        rerun=st.sampled_from(list(Rerun)),
        owner=st.sampled_from(["alice", "bob", None]),
        retention_days=st.sampled_from([0.5, 30.0]),
    )
    def accept(self, pick: int, count: int, **changes: Any) -> None:
        for _ in range(count):
            self.play.accepts(self.play.one(pick), **changes)

    @rule(pick=picks, count=st.integers(1, 3), owner=st.sampled_from(["alice", None]))
    def accept_a_batch(self, pick: int, count: int, **changes: Any) -> None:
        accepts_batch(self.play, self.play.one(pick), count, **changes)

    @precondition(lambda self: self.oracle.batches)
    @rule(pick=picks, what=st.sampled_from([cancels_batch, deletes_batch]))
    def a_client_asks_for_a_batch(self, pick: int, what: Verb) -> None:
        what(self.play, self.play.one(pick), [*self.oracle.batches][pick % len(self.oracle.batches)])

    @precondition(lambda self: self.oracle.stories)
    @rule(
        pick=picks,
        other_pick=picks,
        what=st.sampled_from([Play.cancels, Play.retries, Play.retries, Play.deletes, Play.wipes, Play.notes]),
    )
    def a_client_asks(self, pick: int, other_pick: int, what: Verb) -> None:
        what(self.play, self.play.one(pick), self.some_rid(other_pick, what))

    @precondition(lambda self: self.oracle.all_in(RUNNING))
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        self.play.cancels(self.play.one(pick), self.some_rid(pick, Play.cancels))

    def some_rid(self, pick: int, what: Verb) -> str:
        """Of a request for which it makes sense; or of any, or of one that was there once."""
        where: dict[Verb, Iterable[Status]] = {
            Play.cancels: (RUNNING, CANCELLING),
            Play.retries: RETRIED,
            Play.wipes: RETRIED,
        }
        states = where.get(what, Status)
        rids = [story.rid for story in self.oracle.all_in(*states)]
        rids += [[*self.oracle.stories][pick % len(self.oracle.stories)], *sorted(self.oracle.gone)[-1:]]
        return rids[pick % len(rids)]

    # Workers.

    @precondition(lambda self: self.oracle.all_in(QUEUED))
    @rule(pick=picks, limit=st.integers(1, 3), starts=st.booleans())
    def claim(self, pick: int, limit: int, starts: bool) -> None:
        self.play.claims(self.play.one(pick), limit, starts=starts)

    @precondition(lambda self: self.play.runs())
    @rule(pick=picks, what=st.sampled_from(["start", "beat", "report"]))
    def work(self, pick: int, what: str) -> None:
        process, run = self.play.one_run(pick)
        if what == "start":
            self.play.starts(run)
        elif what == "beat":
            self.play.beats(process)
        else:
            self.play.reports(process, run, progress=pick)

    @precondition(lambda self: self.play.runs())
    @rule(pick=picks, data=st.sampled_from([b"", b"small", b"rather large"]))
    def answer(self, pick: int, data: bytes) -> None:
        self.play.answers(self.play.one_run(pick)[1], data)

    @precondition(lambda self: self.play.runs())
    @rule(pick=picks, without_answer=st.sampled_from([FAILED, CANCELLED, None]))
    def end(self, pick: int, without_answer: Any) -> None:
        process, run = self.play.one_run(pick)
        if without_answer is None:
            self.play.hands_back(process, run)
        else:
            self.play.finishes(process, run, without_answer)

    # Accidents, and time.

    @precondition(lambda self: self.play.runs())
    @rule(
        pick=picks,
        seconds=st.sampled_from([LEASE_SECONDS - 5, LEASE_SECONDS + 5, LEASE_SECONDS + 5]),
        meanwhile=st.sampled_from(MEANWHILE),
        beats=st.booleans(),
    )
    def sleep(self, pick: int, seconds: float, meanwhile: str, beats: bool) -> None:
        """A worker is stopped for a while; others may take over what it holds."""
        sleeper, _ = self.play.one_run(pick)
        sleeper.asleep = True
        self.play.passes(seconds)
        self.play.sweeps(self.play.one(pick), pick, looks=False, meanwhile=meanwhile, dies_at=None)
        self.play.wakes(sleeper, beats=beats)

    @precondition(lambda self: self.oracle.stories)
    @rule(
        pick=picks,
        what=st.sampled_from(["dies", "dies elsewhere", "dies writing", "connects again", "falls asleep", "wakes up"]),
        verb=st.sampled_from(["add", "claim", "finish", "release"]),
    )
    def an_accident(self, pick: int, what: str, verb: str) -> None:
        process = self.play.one(pick)
        asleep = [process for process in self.play.processes if process.asleep]
        if what == "dies writing":
            self.play.dies_in_a_transaction(process, verb)
        elif what.startswith("dies"):
            self.play.dies(process, same_host=what == "dies")
        elif what == "connects again":
            self.play.connects_again(process)
        elif what == "falls asleep":
            process.asleep = True
        elif asleep:
            self.play.wakes(asleep[0], beats=pick > 0)

    @precondition(lambda self: self.oracle.all_in(*HELD))
    @rule(seconds=st.sampled_from([1.0, 30.0, LEASE_SECONDS + 1, RECOVERY_SECONDS + 1, HOUR]))
    def time_passes(self, seconds: float) -> None:
        self.play.passes(seconds)

    @precondition(lambda self: self.oracle.stories)
    @rule(step=st.sampled_from([-YEAR, -HOUR, HOUR, YEAR]), of_leases=st.booleans())
    def somebody_sets_a_clock(self, step: float, of_leases: bool) -> None:
        """Of a host; or the one that hosts share, by which leases are measured."""
        if of_leases:
            self.play.sets_lease_clock(step)
            self.play.observer_sweeps()
        else:
            self.play.sets_wall_clock(step)
            self.play.retention_sweeps()

    @precondition(lambda self: self.oracle.all_in(*HELD))
    @rule(
        pick=picks,
        looks=st.booleans(),
        meanwhile=st.sampled_from(MEANWHILE),
        dies_at=st.sampled_from([None, None, 1, 2]),
    )
    def sweep(self, pick: int, looks: bool, meanwhile: str, dies_at: int | None) -> None:
        self.play.sweeps(self.play.one(pick), pick, looks=looks, meanwhile=meanwhile, dies_at=dies_at)

    @precondition(lambda self: self.oracle.stories)
    @rule(days=st.sampled_from([None, None, 0.0, 0.0, 0.0, 0.51, 0.51, 1.01, 31.0]), retry_at=st.integers(1, 3))
    def days_pass(self, days: float | None, retry_at: int) -> None:
        if days is None:
            self.play.all_die_and_their_leases_pass()
        else:
            self.play.passes(days * DAY)
            self.play.retention_sweeps(retry_at)


def histories(place: Place) -> settings:
    """A few that are the same each time; or as many others as are asked for."""
    wanted = os.environ.get("BGRS_TEST_HISTORIES")
    count, steps = (int(number) for number in (wanted or place.histories).split("x"))
    return settings(
        max_examples=count,
        stateful_step_count=steps,
        derandomize=wanted is None,
        database=None,
        deadline=None,
        # The first one found is made as short as can be; more of them would take minutes.
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture
def _quietly() -> Iterator[None]:
    """Every death and every clock that is set is logged, as it should be."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(params=["sqlite", "postgresql", "memory"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "memory":
        place: Place = InMemory()
    elif request.param == "sqlite":
        place = in_sqlite(request.getfixturevalue("sqlite_url"))
    else:
        place = in_postgres(request.getfixturevalue("postgres_url"))
    yield place
    place.close()


@pytest.mark.usefixtures("_quietly")
def test_no_history_breaks_a_promise(
    place: Place, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    monkeypatch.setattr(sweeper, "PAGE_SIZE", 2)
    seen: Counter[str] = Counter()
    make: Any = partial(StoreMachine, place, seen)
    run_state_machine_as_test(make, settings=histories(place))
    ways = [name_of(start, end) for start, ends in GRAPH.items() for end in ends]
    gone = sum(seen[way] > 0 for way in ways)
    counts = [f"{seen[what]} {what}" for what in (STEPS, TAKEOVERS, TOO_LATE, BATCH_STEPS)]
    record_property("histories of a store", f"{place.name}: {', '.join(counts)}, {gone} of {len(ways)} ways gone")
    # Far less than is expected: what Hypothesis draws depends on its version.
    assert seen[STEPS] > 500
    assert gone > len(ways) / 2
    assert min(seen[TAKEOVERS], seen[TOO_LATE], seen[BATCH_STEPS]) > 10
