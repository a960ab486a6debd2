"""A connection that breaks in the middle of a commit: what was accepted is, what was claimed and not started is not."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from bgrs_middleware.errors import CommitInDoubt, StoreUnavailable
from bgrs_middleware.ledger import Ledger
from bgrs_middleware.models import Status, new_rid
from bgrs_middleware.orders import Added, Claim, Existing, Idempotency
from bgrs_middleware.pending import in_thread
from bgrs_middleware.reader import Reader
from bgrs_middleware.service import doubt
from bgrs_middleware.service.doubt import DoubtfulClaims, made_sure, sent
from bgrs_middleware.stores.memory import MemoryStore
from bgrs_middleware.waiting import Waiting
from stores.orders import a_batch, an_add


class BrokenOff(Exception):
    """The commit is not made."""


class DoubtfulStore(MemoryStore):
    """A memory store whose commits end in doubt: made or not, as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[bool] = []
        """For each of the next commits: that it is in doubt, and whether it is made."""
        self.away = 0
        """So many calls after that find no store."""

    @contextmanager
    def transaction(self):
        if self.away and not self.made:
            self.away -= 1
            raise StoreUnavailable("away")
        try:
            with super().transaction() as transaction:
                yield transaction
                if self.made and not self.made[0]:
                    raise BrokenOff
        except BrokenOff:
            pass
        if self.made:
            self.made.pop(0)
            raise CommitInDoubt("lost")

    def get(self, rids):
        if self.away and not self.made:
            self.away -= 1
            raise StoreUnavailable("away")
        return super().get(rids)


class House:
    """The parts of a process that these stories need."""

    def __init__(self) -> None:
        self.store = DoubtfulStore()
        self.store.open()
        self.ledger = Ledger(self.store, lambda rids: None)
        self.reader = Reader(self.store)
        self.waiting = Waiting(lambda rids: {}, 10)
        self.held: set[str] = set()
        self.out = False
        self.claims = DoubtfulClaims(
            worker="me",
            ledger=self.ledger,
            reader=self.reader,
            waiting=self.waiting,
            holds=lambda record: record.rid in self.held,
            claims_are_out=lambda: self.out,
        )

    def add(self, **fields):
        order = an_add(rid=new_rid(), **fields)
        return order.rid, in_thread(self.add_surely(order))

    async def add_surely(self, order):
        """As an acceptance does."""
        try:
            return await sent(order, self.ledger)
        except CommitInDoubt as doubt:
            return await made_sure(order, doubt, ledger=self.ledger, reader=self.reader, waiting=self.waiting)

    def claim(self, worker="me", limit=10):
        return self.ledger.claim(Claim(worker=worker, limit=limit, now=1.0, lease_until=60.0)).wait()

    def status(self, rid):
        return self.store.get([rid])[rid].status


@pytest.fixture
def house():
    house = House()
    yield house
    house.waiting.close()
    house.ledger.close()
    house.reader.close()
    house.store.close()


@pytest.mark.parametrize("made", [True, False])
@pytest.mark.parametrize("away", [0, 3])
def test_an_acceptance_in_doubt_is_made_sure_of(house, made, away):
    house.store.made = [made]
    house.store.away = away
    rid, added = house.add()
    assert added is Added.ADDED
    assert house.status(rid) is Status.QUEUED
    assert house.store.count_queued() == 1


@pytest.mark.parametrize("made", [True, False])
def test_a_batch_in_doubt_is_made_sure_of_whole(house, made):
    house.store.made = [made]
    order = a_batch(3)
    added = in_thread(house.add_surely(order))
    assert added is Added.ADDED
    assert [record.rid for record in house.store.with_items(order.rid)[1:]] == [item.rid for item in order.items]
    assert house.store.count_queued() == 3


@pytest.mark.parametrize("made", [[True], [False], [True, True], [False, True], [False, False]])
def test_an_acceptance_with_a_key_is_made_sure_of_and_recorded_once(house, made):
    house.store.made = made
    idempotency = Idempotency(key="k", fingerprint="f")
    rid, added = house.add(idempotency=idempotency)
    assert added in (Added.ADDED, Existing(rid=rid, fingerprint="f"))
    assert house.store.count_queued() == 1
    assert house.add(idempotency=idempotency)[1] == Existing(rid=rid, fingerprint="f")


def test_a_key_that_another_recorded_while_it_was_in_doubt_is_the_others(house):
    house.store.made = [False]
    idempotency = Idempotency(key="k", fingerprint="f")
    other = an_add(rid=new_rid(), idempotency=idempotency)

    def away(rids):
        house.store.get = get
        house.ledger.add(other).wait()
        return get(rids)

    get, house.store.get = house.store.get, away
    rid, added = house.add(idempotency=idempotency)
    assert added == Existing(rid=other.rid, fingerprint="f")
    assert rid not in house.store.get([rid])


def test_a_second_doubt_is_no_other_than_the_first(house):
    house.store.made = [False, True]
    rid, added = house.add()
    assert (added, house.status(rid)) == (Added.ADDED, Status.QUEUED)
    assert house.store.count_queued() == 1


def test_what_is_certainly_not_recorded_is_refused_at_once(house):
    house.store.away = 1
    with pytest.raises(StoreUnavailable) as refused:
        house.add()
    assert not isinstance(refused.value, CommitInDoubt)


def test_a_store_that_does_not_come_back_in_time_leaves_the_doubt(house, monkeypatch):
    monkeypatch.setattr(doubt, "ACCEPT_SECONDS", 0.1)
    house.store.made = [True]
    house.store.away = 1_000_000
    with pytest.raises(CommitInDoubt):
        house.add()


def test_a_process_that_ends_looks_no_further(house):
    house.store.made = [True]
    house.store.away = 1_000_000
    threading.Timer(0.05, house.waiting.close).start()
    with pytest.raises(CommitInDoubt):
        house.add()


def test_a_claim_in_doubt_is_handed_back_as_never_started(house):
    rids = [house.add()[0] for _ in range(3)]
    [running] = house.claim(limit=1)
    house.held.add(running.record.rid)
    house.store.made = [True]
    with pytest.raises(CommitInDoubt):
        house.claim(limit=1)
    assert house.status(rids[1]) is Status.RUNNING
    [another] = house.claim("another", limit=1)
    house.claims.exist = True

    house.out = True
    house.claims.settle()
    assert house.status(rids[1]) is Status.RUNNING, "a claim on its way may bring it"
    house.out = False
    house.claims.settle()
    assert not house.claims.exist
    given_back = house.store.get([rids[1]])[rids[1]]
    assert (given_back.status, given_back.deaths, given_back.worker) == (Status.QUEUED, 0, None)
    assert house.status(running.record.rid) is Status.RUNNING
    assert house.status(another.record.rid) is Status.RUNNING
    assert house.store.details(rids[1], 0, 10)[-1].text == doubt.GIVEN_BACK_NOTE


def test_without_a_doubt_nothing_is_looked_for(house):
    rid, _ = house.add()
    house.claim()
    house.claims.settle()
    assert house.status(rid) is Status.RUNNING


def test_a_process_that_ends_hands_nothing_back_that_it_may_have_started(house):
    rid, _ = house.add()
    house.claim()
    house.claims.exist = True
    house.waiting.close()
    house.claims.settle()
    assert house.status(rid) is Status.RUNNING
