"""What the store promises of PostgreSQL: it outlives a restart of the server, and writers do not stop each other."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import NullPool, create_engine

from bgrs_middleware.errors import CommitInDoubt, StoreDataError, StoreUnavailable
from bgrs_middleware.models import Status
from bgrs_middleware.orders import Cancel, Changed, Claimed
from bgrs_middleware.stores.sql import SqlStore, connections
from postgres import PostgresServer
from silent_proxy import SilentProxy
from stores.orders import a_claim, a_finish, added, an_add, claimed, record, running


@pytest.fixture
def store(postgres_url: str) -> Iterator[SqlStore]:
    store = SqlStore(postgres_url)
    store.open()
    yield store
    store.close()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def test_a_server_that_goes_and_comes_back_is_reported_and_used_again(own_server: PostgresServer) -> None:
    store = SqlStore(own_server.url(driver="postgresql"))
    store.open()
    [rid] = added(store)
    assert store.count_queued() == 1

    own_server.stop()
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            added(store)
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            store.count_queued()
    own_server.start()
    added(store)
    assert record(store, rid).rid == rid

    own_server.stop()
    own_server.start()
    assert store.count_queued() == 2, "a reader notices nothing of a restart"
    with pytest.raises(StoreUnavailable):
        added(store)
    added(store)
    assert store.count_queued() == 3
    store.close()


@pytest.fixture
def half_open(own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[SqlStore, SilentProxy]]:
    """A store whose connections can fall silent, and that takes a second of it for too long."""
    monkeypatch.setattr(connections, "SILENT_SECONDS", 1.0)
    with SilentProxy(own_server.connect) as proxy:
        store = SqlStore(f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres")
        store.open()
        yield store, proxy
        store.close()


def test_a_connection_that_falls_silent_is_cut(half_open: tuple[SqlStore, SilentProxy]) -> None:
    store, proxy = half_open
    [rid] = added(store)
    assert store.count_queued() == 1
    proxy.fall_silent()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        added(store)
    added(store)
    proxy.fall_silent()
    with pytest.raises(StoreUnavailable):
        added(store)
    opened = store._links()._reader.connection()
    assert store.count_queued() == 2, "the reader does not wait for the same again"
    assert store._links()._reader.connection() is opened
    proxy.fall_silent()
    assert store.count_queued() == 2, "a reader asks once more, on a new connection"
    assert store._links()._reader.connection() is not opened
    assert record(store, rid).rid == rid


def test_a_commit_that_is_not_answered_is_in_doubt(half_open: tuple[SqlStore, SilentProxy]) -> None:
    store, proxy = half_open
    order = an_add()
    with pytest.raises(CommitInDoubt), store.transaction() as transaction:
        transaction.add([order])
        proxy.fall_silent()
    assert store.get([order.rid]) == {}


def test_the_locks_of_a_client_that_was_cut_off_are_freed(
    half_open: tuple[SqlStore, SilentProxy], own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, proxy = half_open
    monkeypatch.setattr(connections, "SILENT_SECONDS", 4.0)
    other = SqlStore(own_server.url(driver="postgresql"))
    limits = ("idle_in_transaction_session_timeout", "lock_timeout")
    with store._links().writing() as connection:
        found = [connection.exec_driver_sql(f"SHOW {limit}").scalar() for limit in limits]
        assert found == ["30s", "10s"]
        connection.exec_driver_sql("SET idle_in_transaction_session_timeout = '1s'")
    [rid] = added(store)
    with pytest.raises(StoreUnavailable), store.transaction() as transaction:
        transaction.cancel([Cancel(rid=rid, now=1.0)])
        proxy.fall_silent()
        with other.transaction() as unhindered:
            [outcome] = unhindered.cancel([Cancel(rid=rid, now=2.0)])
    assert outcome.done
    other.close()


def test_what_a_lost_connection_holds_is_freed_by_the_next_one(half_open: tuple[SqlStore, SilentProxy]) -> None:
    """Claims pass over what is locked: by a transaction whose client is gone, it would be for as long as that stays."""
    store, proxy = half_open
    [rid] = added(store)
    with pytest.raises(CommitInDoubt), store.transaction() as transaction:
        [[claimed]] = transaction.claim([a_claim()])
        proxy.fall_silent()
    # The server takes its moment to end a process; by itself it would free the locks after half a minute.
    deadline = time.monotonic() + 10.0
    found: Sequence[Claimed] = ()
    while not found:
        assert time.monotonic() < deadline
        with store.transaction() as transaction:
            [found] = transaction.claim([a_claim()])
    assert [claimed.record.rid, *(again.record.rid for again in found)] == [rid, rid]


def test_who_has_the_process_of_a_lost_connection_now_keeps_it(own_server: PostgresServer) -> None:
    """Behind a pool: the process is that of somebody whose transaction began after we had left."""
    store = SqlStore(own_server.url(driver="postgresql"))
    store.open()
    link = store._links()._writer
    link.leftover.lose()
    others, link._connection = link.connection(), None
    link._close_socket()
    others.exec_driver_sql("SELECT 1")
    [rid] = added(store)
    assert others.exec_driver_sql("SELECT 2").scalar() == 2
    assert record(store, rid).rid == rid
    others.close()
    store.close()


def test_limits_that_the_user_has_set_stay(own_server: PostgresServer) -> None:
    store = SqlStore(own_server.url(driver="postgresql") + "&options=-clock_timeout%3D7000&keepalives_idle=3")
    with store._links().writing() as connection:
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "7s"
        told = connection.connection.dbapi_connection.info.get_parameters()
    store.close()
    assert {name: told.get(name) for name in ("keepalives_idle", "keepalives_count", "tcp_user_timeout")} == {
        "keepalives_idle": "3",
        "keepalives_count": "3",
        "tcp_user_timeout": "15000",
    }


def test_an_upgrade_and_a_purge_may_take_their_time(
    half_open: tuple[SqlStore, SilentProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SILENT_SECONDS", 0.01)
    store, _ = half_open
    with store._links().writing(patient=True) as connection:
        connection.exec_driver_sql("SELECT pg_sleep(2.5)")
    question = "SELECT 1 FROM pg_sleep(2.5)"
    assert store._links().read(lambda connection: connection.exec_driver_sql(question).scalar(), patient=True)


def test_a_database_that_does_not_exist_is_reported(own_server: PostgresServer) -> None:
    with pytest.raises(StoreUnavailable, match="do not exist"):
        SqlStore(own_server.url("nowhere")).open()


def test_a_value_that_an_index_cannot_hold_is_the_values_fault(store: SqlStore) -> None:
    owner = random.Random(1).randbytes(10_000).hex()
    with pytest.raises(StoreDataError):
        added(store, owner=owner)
    assert added(store)


def test_writers_do_not_wait_for_each_other(store: SqlStore, postgres_url: str) -> None:
    other = SqlStore(f"{postgres_url}%20-clock_timeout%3D5000")
    first, second = added(store, 2)
    with store.transaction() as one, other.transaction() as two:
        one.add([an_add()])
        two.add([an_add()])
        [mine] = one.claim([a_claim("a", 1)])
        [yours] = two.claim([a_claim("b", 1)])
        assert ([claim.record.rid for claim in mine], [claim.record.rid for claim in yours]) == ([first], [second])
    assert store.count_queued() == 2
    other.close()


def test_two_changes_that_wait_for_each_other_are_told_so(store: SqlStore, postgres_url: str) -> None:
    first, second = added(store, 2)
    other = SqlStore(postgres_url)
    other.open()
    both_hold_one = threading.Barrier(2, timeout=30)

    def cancel(store: SqlStore, *rids: str) -> str | None:
        try:
            with store.transaction() as transaction:
                transaction.cancel([Cancel(rid=rids[0], now=1.0)])
                both_hold_one.wait()
                transaction.cancel([Cancel(rid=rids[1], now=1.0)])
        except StoreUnavailable as error:
            return error.reason
        return None

    with ThreadPoolExecutor(2) as threads:
        reasons = [threads.submit(cancel, store, first, second), threads.submit(cancel, other, second, first)]
        assert {found.result() for found in reasons} == {None, "Two changes of the store waited for each other."}
    other.close()


def test_an_order_about_a_request_that_another_changes_waits_and_finds_the_outcome(
    store: SqlStore, postgres_url: str
) -> None:
    rid = running(store)
    other = SqlStore(postgres_url)
    outcomes: list[Changed] = []

    def cancel() -> None:
        with other.transaction() as transaction:
            outcomes.extend(transaction.cancel([Cancel(rid=rid, now=1.0)]))

    thread = threading.Thread(target=cancel)
    with store.transaction() as transaction:
        transaction.finish([a_finish(rid)])
        thread.start()
        _wait_until_someone_waits_for_a_lock(postgres_url, thread)
    thread.join()
    other.close()
    assert [(outcome.done, outcome.before and outcome.before.status) for outcome in outcomes] == [
        (False, Status.FINISHED)
    ]
    assert record(store, rid).status is Status.FINISHED


def _wait_until_someone_waits_for_a_lock(url: str, thread: threading.Thread) -> None:
    """PostgreSQL has no event for it: it can only be asked."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    question = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%bgrs_request%%'"
    with engine.connect() as connection:
        while not connection.exec_driver_sql(question).scalar():
            assert thread.is_alive(), "it did not wait"


def test_a_role_without_synchronous_commit_still_commits_durably(store: SqlStore) -> None:
    """Accepted means flushed, so the store does not take a weaker default of the server's for its own."""
    engine = create_engine(store._target.url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        database = connection.exec_driver_sql("SELECT current_database()").scalar()
        connection.exec_driver_sql(f'ALTER DATABASE "{database}" SET synchronous_commit = off')
        try:
            weak = SqlStore(store._target.url.render_as_string(hide_password=False))
            with weak._links().writing() as writer:
                assert writer.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
            weak.close()
        finally:
            connection.exec_driver_sql(f'ALTER DATABASE "{database}" RESET synchronous_commit')


def test_leases_are_measured_with_the_servers_clock(store: SqlStore) -> None:
    """Not with the clock of any of the hosts that share it, which may differ."""

    def server_time() -> float:
        question = "SELECT extract(epoch FROM clock_timestamp())::float8"
        return float(store._links().read(lambda connection: connection.exec_driver_sql(question).scalar_one()))

    # The server is asked now and then, and the host's clock fills the time between.
    assert abs(store.lease_now() - server_time()) < 0.5
    store._clock._ahead += 3600.0
    store.abandoned(0.0, 0, 1)
    assert abs(store.lease_now() - server_time()) < 0.5


@pytest.mark.parametrize("name", ["claimable", "expirable", "abandoned"])
def test_what_is_unfinished_is_found_by_its_own_index(store: SqlStore, name: str) -> None:
    """Also before the server has statistics: it must not go through a million finished records in the order of ids."""
    columns = "rid, status, attempt, deaths, has_request, created_at, queued_at, updated_at, max_run_seconds, "
    columns += "retention_days, rerun, method, type, name"
    statement = getattr(store._statements, name)()
    plain = [0] * (statement.sql.count("%s") - 1) + [100]
    with store._links().writing() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO bgrs_request ({columns}) SELECT md5(n::text), CASE WHEN mod(n, 3) = 0 THEN 2 ELSE 1 END, "
            "1, 0, 1, 1, 1, 1, 1, 1, 'safe', 'GET', 'GET_X', '/x' FROM generate_series(1, 20000) AS n"
        )
        connection.exec_driver_sql("UPDATE bgrs_request SET status = 4")
        plan = "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement.sql}", tuple(plain)))
    assert "bgrs_request_unfinished" in plan
    assert "bgrs_request_pkey" not in plan


def test_reading_holds_no_transaction_open(store: SqlStore) -> None:
    added(store)
    claimed(store)
    read = store._links().read
    assert read(lambda connection: connection.exec_driver_sql("SELECT now() = statement_timestamp()").scalar())
    store.count_queued()
    assert read(lambda connection: connection.exec_driver_sql("SELECT now() = statement_timestamp()").scalar())
