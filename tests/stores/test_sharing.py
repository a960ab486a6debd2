"""What a store in a database promises when several processes, or several threads, use it at once."""

from __future__ import annotations

import threading

from bgrs_middleware.models import ListQuery, Status
from bgrs_middleware.stores.sql import SqlStore
from stores.orders import a_claim, added, claimed, record
from stores.processes import claim_all, fork_and_write, fork_while_writing, in_processes, write_many


def test_another_store_on_the_same_data_sees_what_was_committed(sql_store: SqlStore, database_url: str) -> None:
    other = SqlStore(database_url)
    other.open()
    [rid] = added(sql_store)
    assert record(other, rid).status is Status.QUEUED
    claimed(other)
    assert record(sql_store, rid).status is Status.RUNNING
    other.close()


def test_processes_that_claim_at_once_never_get_the_same_request(sql_store: SqlStore, database_url: str) -> None:
    rids = added(sql_store, 200)
    taken = in_processes(4, claim_all, database_url)
    assert sorted(rid for part in taken for rid in part) == sorted(rids)
    assert {one.status for one in sql_store.get(rids).values()} == {Status.RUNNING}


def test_processes_that_write_at_once_are_never_told_that_it_is_locked(sql_store: SqlStore, database_url: str) -> None:
    finished = in_processes(4, write_many, database_url, 40)
    claimed(sql_store)
    assert sum(finished) + len(sql_store.abandoned(9e9, 0, 1_000)) == 4 * 40 * 3


def test_threads_that_use_one_store_at_once_do_not_disturb_each_other(sql_store: SqlStore) -> None:
    taken: list[str] = []

    def work() -> None:
        for _ in range(10):
            [rid] = added(sql_store, owner="alice")
            assert record(sql_store, rid).rid == rid
            with sql_store.transaction() as transaction:
                [claims] = transaction.claim([a_claim(limit=1)])
            taken.extend(claim.record.rid for claim in claims)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = sql_store.list(ListQuery(owner="alice", statuses=None, before_id=None, limit=100))
    assert sorted(taken) == sorted(one.rid for one in everything)
    assert len(taken) == 40


def test_a_forked_child_opens_connections_of_its_own(database_url: str) -> None:
    [rids] = in_processes(1, fork_and_write, database_url)
    store = SqlStore(database_url)
    store.open()
    assert set(store.get(rids)) == set(rids)
    assert store.count_queued() == 4
    store.close()


def test_a_child_forked_in_the_middle_of_a_transaction_can_write_to_postgresql(postgres_url: str) -> None:
    """To SQLite it cannot: SQLite's own state of the parent's lock is copied into the child."""
    assert in_processes(1, fork_while_writing, postgres_url) == [2]
