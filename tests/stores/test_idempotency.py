"""Orders with an `Idempotency-Key`: of all who add one key, one does, and the others are told which record has it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.dialects import mysql

from bgrs_middleware.errors import StoreDataError, StoreUnavailable
from bgrs_middleware.orders import Add, Added, Cancel, Delete, Existing, Idempotency, Retry
from bgrs_middleware.stores.base import Store
from bgrs_middleware.stores.sql import SqlStore, adding
from bgrs_middleware.stores.sql.statements import Statements
from stores.orders import a_finish, a_release, added, an_add, claimed, record

KEY = "a" * 64
NOBODY: Any = None
"""Where no connection is needed."""


def keyed(key: str = KEY, fingerprint: str = "f" * 64, former: tuple[str, ...] = (), **changes: Any) -> Add:
    """A new request with a key."""
    return an_add(idempotency=Idempotency(key=key, fingerprint=fingerprint, former_keys=former), **changes)


def add(store: Store, *orders: Add) -> list[Added | Existing]:
    with store.transaction() as transaction:
        return list(transaction.add(orders))


def existing(order: Add) -> Existing:
    """What is said of an order to who repeats it."""
    assert order.idempotency is not None
    return Existing(rid=order.rid, fingerprint=order.idempotency.fingerprint)


class Back(Exception):
    """Rolls a transaction back."""


# The contract.


def test_a_key_is_recorded_once_and_a_repeat_is_told_of_it(store: Store) -> None:
    first = keyed()
    assert add(store, first) == [Added.ADDED]
    assert add(store, keyed(), keyed(fingerprint="0" * 64)) == [existing(first)] * 2
    assert add(store, keyed("b" * 64), an_add()) == [Added.ADDED] * 2
    assert store.count_queued() == 3


def test_repeats_in_one_call_are_repeats(store: Store) -> None:
    first, second, other = keyed(), keyed(fingerprint="0" * 64), keyed("b" * 64)
    assert add(store, first, second, other, keyed()) == [Added.ADDED, existing(first), Added.ADDED, existing(first)]
    assert set(store.get([first.rid, second.rid, other.rid])) == {first.rid, other.rid}


def test_a_key_of_a_former_identity_counts_and_the_order_is_recorded_under_the_present_one(store: Store) -> None:
    old = keyed("old")
    add(store, old)
    assert add(store, keyed("new", former=("older", "old"))) == [existing(old)]
    fresh = keyed("newer", former=("elder",))
    assert add(store, fresh, keyed("elder"), keyed("newer")) == [Added.ADDED, Added.ADDED, existing(fresh)]


def test_a_repeat_is_never_refused_for_a_full_queue_and_takes_no_place_in_it(store: Store) -> None:
    first = keyed(max_queued=2)
    add(store, first)
    outcomes = add(store, *(keyed(max_queued=2) for _ in range(3)), an_add(max_queued=2), an_add(max_queued=2))
    assert outcomes == [existing(first)] * 3 + [Added.ADDED, Added.QUEUE_FULL]
    assert add(store, keyed(max_queued=1), keyed("b", max_queued=1)) == [existing(first), Added.QUEUE_FULL]


def test_a_repeat_is_never_refused_for_its_callers_limit(store: Store) -> None:
    fields: dict[str, Any] = {"owner": "alice", "max_queued_per_caller": 1}
    first = keyed(**fields)
    assert add(store, first, keyed(**fields), keyed("b", **fields)) == [
        Added.ADDED,
        existing(first),
        Added.CALLER_QUEUE_FULL,
    ]
    assert add(store, keyed(**fields), keyed("b", **fields)) == [existing(first), Added.CALLER_QUEUE_FULL]


def test_what_was_refused_leaves_its_key_free(store: Store) -> None:
    assert add(store, keyed(max_queued=0), keyed(max_queued=0)) == [Added.QUEUE_FULL] * 2
    assert add(store, keyed()) == [Added.ADDED]


def test_the_same_order_again_is_told_of_itself(store: Store) -> None:
    order = keyed()
    assert add(store, order, order) == [Added.ADDED, existing(order)]
    assert add(store, order) == [existing(order)]
    assert store.count_queued() == 1


def test_a_rid_that_is_there_under_another_key_is_still_refused(store: Store) -> None:
    first = keyed()
    add(store, first)
    for order in (keyed("b", rid=first.rid), an_add(rid=first.rid)):
        with pytest.raises(StoreDataError):
            add(store, keyed("c"), order)
    assert store.count_queued() == 1


def test_a_key_lives_as_long_as_its_record_through_all_its_states(store: Store) -> None:
    first = keyed()
    add(store, first)
    claimed(store)
    assert add(store, keyed()) == [existing(first)]
    with store.transaction() as transaction:
        transaction.release([a_release(first.rid, record(store, first.rid).status.QUEUED)])
        transaction.cancel([Cancel(rid=first.rid, now=1.0)])
        transaction.retry([Retry(rid=first.rid, now=1.0)])
    claimed(store)
    with store.transaction() as transaction:
        transaction.finish([a_finish(first.rid)])
    assert add(store, keyed()) == [existing(first)]
    with store.transaction() as transaction:
        transaction.delete([Delete(rid=first.rid)])
    assert add(store, keyed()) == [Added.ADDED]


def test_a_key_is_free_in_the_transaction_that_deletes_its_record(store: Store) -> None:
    first, second = keyed(), keyed()
    add(store, first)
    with store.transaction() as transaction:
        transaction.delete([Delete(rid=first.rid)])
        assert list(transaction.add([second, keyed()])) == [Added.ADDED, existing(second)]
    assert add(store, keyed()) == [existing(second)]


def test_a_key_of_a_transaction_that_was_rolled_back_is_free(store: Store) -> None:
    with pytest.raises(Back), store.transaction() as transaction:
        transaction.add([keyed()])
        raise Back
    assert add(store, keyed()) == [Added.ADDED]


def test_orders_with_and_without_keys_get_the_next_ids_those_without_in_their_order(store: Store) -> None:
    orders = [keyed(str(random.random())) if number % 3 else an_add() for number in range(30)]
    assert add(store, *orders) == [Added.ADDED] * 30
    ids = {order.rid: record(store, order.rid).id for order in orders}
    assert sorted(ids.values()) == list(range(1, 31))
    without = [ids[order.rid] for order in orders if order.idempotency is None]
    assert without == sorted(without)


def test_more_keys_than_one_statement_takes(store: Store) -> None:
    first = [keyed(f"{number:064x}") for number in range(600)]
    again = [keyed(f"{number:064x}") for number in range(300, 1_300)]
    assert add(store, *first) == [Added.ADDED] * 600
    assert add(store, *again) == [existing(order) for order in first[300:]] + [Added.ADDED] * 700
    assert store.count_queued() == 1_300


# Several processes.


@pytest.fixture
def other(database_url: str, sql_store: SqlStore) -> Iterator[SqlStore]:
    """A second process's store on the same data, as far as the database can tell."""
    store = SqlStore(database_url)
    store.open()
    yield store
    store.close()


def test_of_many_who_add_the_same_keys_at_once_in_any_order_one_adds_each(sql_store: SqlStore, other: SqlStore) -> None:
    """Without one order for all inserts, PostgreSQL would find a deadlock here."""
    rounds, keys = 6, [str(number) for number in range(300)]
    meeting = threading.Barrier(2, timeout=20)

    def work(store: SqlStore, seed: int) -> list[list[Existing]]:
        chance = random.Random(seed)
        told = []
        for number in range(rounds):
            orders = [keyed(f"{number}-{key}", fingerprint=str(seed)) for key in keys]
            chance.shuffle(orders)
            meeting.wait()
            outcomes = add(store, an_add(), *orders, an_add())[1:-1]
            by_key = {
                order.idempotency.key: outcome if isinstance(outcome, Existing) else existing(order)
                for order, outcome in zip(orders, outcomes, strict=True)
                if order.idempotency is not None
            }
            told.append([by_key[f"{number}-{key}"] for key in keys])
        return told

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(work, (sql_store, other), (1, 2)))
    assert both[0] == both[1], "both hear of the same records"
    assert sql_store.count_queued() == rounds * (len(keys) + 4)


def waits_for_a_lock(url: str) -> bool:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), poolclass=NullPool)
    with engine.connect() as connection:
        query = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO bgrs_%'"
        )
        return bool(connection.execute(text(query)).scalar())


@pytest.mark.parametrize("commits", [True, False])
def test_who_adds_a_key_that_another_has_not_committed_waits_for_what_becomes_of_it(
    postgres_url: str, commits: bool
) -> None:
    stores = [SqlStore(postgres_url), SqlStore(postgres_url)]
    for store in stores:
        store.open()
    first, second = keyed(), keyed()
    with ThreadPoolExecutor(1) as pool:
        try:
            with stores[0].transaction() as transaction:
                transaction.add([first])
                repeat: Future[list[Added | Existing]] = pool.submit(add, stores[1], second)
                while not waits_for_a_lock(postgres_url):
                    assert not repeat.done()
                if not commits:
                    raise Back
        except Back:
            pass
        assert repeat.result() == [existing(first) if commits else Added.ADDED]
    for store in stores:
        store.close()


# The SQL.


class Untold:
    """Statements of a database that leaves out a row, and whose next words are given."""

    has_one_writer = False

    def __init__(self, *are_in: bool) -> None:
        self.are_in = list(are_in)
        self.inserted: list[list[str]] = []

    def insert_requests(self, connection: Any, rows: list[dict[str, Any]]) -> bool:
        self.inserted.append([row["rid"] for row in rows])
        return self.are_in.pop(0)

    def with_keys(self, count: int) -> Untold:
        return self

    def fetch(self, connection: Any, parameters: Any) -> list[Any]:
        return []


def test_a_key_whose_record_is_deleted_when_it_is_looked_for_is_inserted_after_all() -> None:
    statements: Any = Untold(False, False, True)
    one, order = an_add(), keyed()
    assert adding.insert(NOBODY, statements, [one, order]) == {}
    assert statements.inserted == [[one.rid, order.rid], [order.rid], [order.rid]]


def test_a_key_that_comes_and_goes_for_ever_is_given_up() -> None:
    statements: Any = Untold(*[False] * adding.ATTEMPTS)
    with pytest.raises(StoreUnavailable):
        adding.insert(NOBODY, statements, [keyed()])


def test_orders_without_keys_cost_nothing_more(sql_store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key is looked for, and the statement is the plain one."""
    monkeypatch.setattr(Statements, "with_keys", lambda self, count: pytest.fail("a key is looked for"))
    monkeypatch.setattr(
        "bgrs_middleware.stores.sql.inserting.postgresql.insert", lambda table: pytest.fail("another statement")
    )
    monkeypatch.setattr(
        "bgrs_middleware.stores.sql.inserting.sqlite.insert", lambda table: pytest.fail("another statement")
    )
    assert len(added(sql_store, 3)) == sql_store.count_queued() == 3


def test_a_key_is_looked_for_in_its_own_index(sqlite_url: str) -> None:
    store = SqlStore(sqlite_url)
    store.open()
    add(store, *(keyed(f"{number:064x}") for number in range(50)))
    statement = store._statements.with_keys(2)
    plan = store._links().read(
        lambda connection: connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement.sql}", ("a", "b")).fetchall()
    )
    assert "USING INDEX bgrs_request_idempotency" in str(plan)
    store.close()


class Listening:
    """A connection that hears what is sent, and says what MySQL says of rows that it found as they are."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, tuple[Any, ...]]] = []
        self.rowcount = 2

    def exec_driver_sql(self, sql: str, parameters: tuple[Any, ...]) -> Listening:
        self.heard.append((sql, parameters))
        return self


def test_mysql_has_words_of_its_own_and_its_count_of_rows_is_not_believed() -> None:
    statements = Statements(mysql.dialect(paramstyle="format"))
    connection: Any = Listening()
    rows = [{"rid": rid, "idempotency_key": rid * 64} for rid in "ab"]
    assert not statements.insert_requests(connection, rows)
    [(sql, parameters)] = connection.heard
    assert " VALUES (%s, %s), (%s, %s) ON DUPLICATE KEY UPDATE id = bgrs_request.id" in sql
    assert len(parameters) == 4
    assert statements.insert_requests(connection, [{"rid": "c"}])
    assert " ON " not in connection.heard[1][0]
