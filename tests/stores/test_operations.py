"""Pages of operations: what a page holds, how far it looks, and that all pages together are what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from bgrs_middleware.models import (
    DEFAULT_OPERATIONS_PARENT,
    OperationsPage,
    OperationsQuery,
    Record,
)
from bgrs_middleware.orders import Delete
from bgrs_middleware.protocol.filters import condition_of
from bgrs_middleware.stores.base import Store
from bgrs_middleware.stores.memory import MemoryStore
from bgrs_middleware.stores.memory_transaction import Row
from bgrs_middleware.stores.sql import SqlStore
from bgrs_middleware.stores.sql.schema import request
from stores.filter_oracle import RECORDS, TREES, Tree, numbered, oracle, written
from stores.orders import PLENTY, a_finish, added, claimed, record

ELSEWHERE = "projects/another/locations/default"


def a_query(text: str = "", **changes: Any) -> OperationsQuery:
    """What alice asks for, with as many on a page and as much looked at as there may be."""
    fields: dict[str, Any] = {
        "owners": ("alice",),
        "operations_parent": DEFAULT_OPERATIONS_PARENT,
        "condition": condition_of(text) if text else None,
        "before_id": None,
        "limit": PLENTY,
        "scan_limit": PLENTY,
    }
    return OperationsQuery(**(fields | changes))


def pages_of(store: Store, query: OperationsQuery) -> Iterator[OperationsPage]:
    """All pages, to the end; each of them begins below the one before."""
    while True:
        page = store.operations(query)
        yield page
        if page.before_id is None:
            return
        assert query.before_id is None or page.before_id < query.before_id
        query = replace(query, before_id=page.before_id)


def rids_of(records: Sequence[Record]) -> list[str]:
    return [found.rid for found in records]


def rids_on(store: Store, query: OperationsQuery) -> list[list[str]]:
    """The rids of each page."""
    return [rids_of(page.records) for page in pages_of(store, query)]


def walked(store: Store, query: OperationsQuery) -> list[str]:
    """The rids of all pages."""
    return [rid for page in rids_on(store, query) for rid in page]


def test_a_page_holds_whole_records_of_the_caller_newest_first(store: Store) -> None:
    mine = [added(store, owner=owner)[0] for owner in ("alice", "bob", "alice", None, "Alice", "alice")]
    mine = [mine[0], mine[2], mine[5]]
    page = store.operations(a_query())
    assert page == OperationsPage(records=tuple(record(store, rid) for rid in mine[::-1]), before_id=None)


def test_a_page_holds_what_belongs_to_its_parent(store: Store) -> None:
    [there] = added(store, owner="alice", operations_parent=ELSEWHERE)
    [here] = added(store, owner="alice")
    assert rids_on(store, a_query()) == [[here]]
    assert rids_on(store, a_query(operations_parent=ELSEWHERE)) == [[there]]
    assert rids_on(store, a_query(operations_parent="projects")) == [[]]


def test_batches_and_their_items_are_operations_too(store: Store) -> None:
    [batch] = added(store, owner="alice", batch_items=1)
    [item] = added(store, owner="alice", parent=batch)
    assert rids_on(store, a_query()) == [[item, batch]]


def test_pages_follow_each_other_without_gap_or_repeat_and_the_last_one_says_so(store: Store) -> None:
    newest = added(store, 5, owner="alice")[::-1]
    assert rids_on(store, a_query(limit=2)) == [newest[:2], newest[2:4], newest[4:]]
    assert rids_on(store, a_query(limit=5)) == [newest]
    assert rids_on(store, a_query(limit=1)) == [[rid] for rid in newest]


def test_a_page_looks_at_a_bounded_number_of_records(store: Store) -> None:
    newest = added(store, 7, owner="alice")[::-1]
    for claim in claimed(store, limit=1):
        with store.transaction() as transaction:
            transaction.finish([a_finish(claim.record.rid)])
    done = "metadata.state = SUCCEEDED"
    assert rids_on(store, a_query(done, scan_limit=3)) == [[], [], newest[6:]]
    assert rids_on(store, a_query(f"NOT {done}", scan_limit=3)) == [newest[:3], newest[3:6], []]
    assert rids_on(store, a_query(f"NOT {done}", scan_limit=7)) == [newest[:6]]
    assert rids_on(store, a_query(done, scan_limit=1)) == [*[[]] * 6, newest[6:]]
    assert rids_on(store, a_query(operations_parent=ELSEWHERE, scan_limit=4)) == [[], []]
    assert rids_on(store, a_query(scan_limit=3, limit=2)) == [newest[:2], newest[2:4], newest[4:6], newest[6:]]


def test_records_that_come_or_go_between_pages_leave_the_others_where_they_are(store: Store) -> None:
    newest = added(store, 6, owner="alice")[::-1]
    first = store.operations(a_query(limit=2))
    added(store, owner="alice")
    with store.transaction() as transaction:
        transaction.delete([Delete(rid=newest[1]), Delete(rid=newest[2])])
    assert rids_on(store, a_query(limit=2, before_id=first.before_id)) == [newest[3:5], newest[5:]]


def test_what_a_caller_had_under_former_names_is_among_it(store: Store) -> None:
    owners = ("old", "alice", "older", "bob", "alice", "old", "old", "old")
    newest = [added(store, owner=owner)[0] for owner in owners][::-1]
    mine = [rid for rid, owner in zip(newest, owners[::-1], strict=True) if owner != "bob"]
    query = a_query(owners=("alice", "old", "older", "alice", "never"))
    assert rids_on(store, query) == [mine]
    assert rids_on(store, replace(query, limit=3)) == [mine[:3], mine[3:6], mine[6:]]
    for scan_limit in range(1, 5):
        for limit in (2, PLENTY):
            assert walked(store, replace(query, limit=limit, scan_limit=scan_limit)) == mine


def test_who_is_nobody_has_no_operations(store: Store) -> None:
    added(store, owner=None)
    assert rids_on(store, a_query(owners=())) == [[]]


@pytest.mark.parametrize("before_id", [0, 1, -5])
def test_there_is_nothing_below_the_first(store: Store, before_id: int) -> None:
    added(store, 2, owner="alice")
    assert store.operations(a_query(before_id=before_id)) == OperationsPage(records=(), before_id=None)


def test_ids_that_no_store_can_hold_and_names_that_none_can_hold(store: Store) -> None:
    [rid] = added(store, owner="a\x00lice", operations_parent="p\x00")
    query = a_query(owners=("a\x00lice",), operations_parent="p\x00", before_id=10**30)
    assert rids_on(store, query) == [[rid]]


def test_what_an_older_version_inserted_belongs_to_the_parent_that_all_had(sql_store: SqlStore) -> None:
    [rid] = added(sql_store, owner="alice")
    with sql_store._links().writing() as connection:
        connection.exec_driver_sql("UPDATE bgrs_request SET operations_parent = NULL")
    assert rids_on(sql_store, a_query()) == [[rid]]
    assert rids_on(sql_store, a_query(operations_parent=ELSEWHERE)) == [[]]


@pytest.mark.parametrize("harmed", range(4))
def test_what_cannot_be_read_is_passed_over(sql_store: SqlStore, harmed: int) -> None:
    newest = added(sql_store, 4, owner="alice")[::-1]
    with sql_store._links().writing() as connection:
        connection.exec_driver_sql(f"UPDATE bgrs_request SET rerun = 'sometimes' WHERE rid = '{newest.pop(harmed)}'")
    assert rids_on(sql_store, a_query(limit=2)) == [newest[:2], newest[2:]]
    assert walked(sql_store, a_query(scan_limit=1)) == newest
    assert len(rids_on(sql_store, a_query(scan_limit=1))) == 4


# The corpus


def row_of(found: Record, parent_or_null: str | None) -> dict[str, Any]:
    row = {field.name: getattr(found, field.name) for field in fields(Record)}
    row |= {"items": None, "status": int(found.status), "has_request": 1, "rerun": found.rerun.value}
    return row | {"operations_parent": parent_or_null}


def fill(store: Store, records: Sequence[Record], parents: Sequence[str | None]) -> None:
    """Put these records into an empty store, with these parents as the database has them."""
    if isinstance(store, MemoryStore):
        for found in records:
            store._data.put(found.id, Row(found, b""))
    elif isinstance(store, SqlStore):
        with store._links().writing() as connection:
            connection.execute(insert(request), list(map(row_of, records, parents)))


def clear(store: Store, records: Sequence[Record]) -> None:
    if isinstance(store, MemoryStore):
        for found in records:
            store._data.put(found.id, None)
    elif isinstance(store, SqlStore):
        with store._links().writing() as connection:
            connection.execute(delete(request))


OWNERS = ("alice", "old", "bob", None)
PARENTS = (DEFAULT_OPERATIONS_PARENT, ELSEWHERE, None)
Corpus = tuple[list[Record], list[str | None]]


@st.composite
def corpora(draw: st.DrawFn) -> Corpus:
    """Records of several owners, most of them alice's; and their parents, of which the database may have none."""
    owned = st.tuples(RECORDS, st.sampled_from(("alice", *OWNERS)), st.sampled_from(PARENTS))
    drawn = draw(st.lists(owned, min_size=4, max_size=20))
    parents = [parent for _, _, parent in drawn]
    records = [
        replace(found, owner=owner, operations_parent=parent or DEFAULT_OPERATIONS_PARENT)
        for found, owner, parent in drawn
    ]
    return numbered(records), parents


@pytest.fixture
def stores(sqlite_url: str, postgres_url: str) -> Iterator[list[Store]]:
    """A store of each kind, open and empty."""
    opened: list[Store] = [MemoryStore(), SqlStore(sqlite_url), SqlStore(postgres_url)]
    for store in opened:
        store.open()
    yield opened
    for store in opened:
        store.close()


def test_all_pages_of_all_stores_are_what_the_oracle_says(stores: list[Store]) -> None:
    seen = {"an empty page before the end": 0, "a full page before the end": 0, "nothing": 0, "something": 0}

    @settings(max_examples=150, deadline=None)
    @given(
        st.none() | TREES,
        corpora(),
        st.sampled_from([("alice",), ("alice", "old")]),
        st.sampled_from([DEFAULT_OPERATIONS_PARENT, ELSEWHERE]),
        st.integers(1, 4),
        st.integers(1, 6),
    )
    def agree(
        tree: Tree | None, corpus: Corpus, owners: tuple[str, ...], parent: str, limit: int, scan_limit: int
    ) -> None:
        records, parents = corpus
        mine = [found for found in reversed(records) if found.owner in owners and found.operations_parent == parent]
        expected = [found for found in mine if tree is None or oracle(tree, found)]
        text = "" if tree is None else written(tree)
        query = a_query(text, owners=owners, operations_parent=parent, limit=limit, scan_limit=scan_limit)
        walks = []
        for store in stores:
            fill(store, records, parents)
            try:
                walks.append(list(pages_of(store, query)))
            finally:
                clear(store, records)
        assert [found for page in walks[0] for found in page.records] == expected
        assert walks[1:] == walks[:1] * 2
        assert all(len(page.records) <= limit for page in walks[0])
        seen["an empty page before the end"] += any(not page.records for page in walks[0][:-1])
        seen["a full page before the end"] += any(len(page.records) == limit for page in walks[0][:-1])
        seen["something" if expected else "nothing"] += 1

    agree()
    assert min(seen.values()) > 10, seen
