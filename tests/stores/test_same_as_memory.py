"""SQLite and memory, given the same orders, answer the same and hold the same afterwards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bgrs_middleware.errors import StoreDataError
from bgrs_middleware.models import Item, ListQuery, Status
from bgrs_middleware.orders import Cancel, Delete, Expire, Idempotency, Note, Renew, Report, Retry
from bgrs_middleware.stores.base import Store, Transaction
from bgrs_middleware.stores.memory import MemoryStore
from bgrs_middleware.stores.sql import SqlStore
from stores.orders import PLENTY, a_batch, a_captured, a_claim, a_finish, a_release, an_add

RIDS = [f"{number:032x}" for number in range(5)]
OWNERS = ["alice", "bob", None]

rids = st.sampled_from(RIDS)
workers = st.sampled_from(["one", "two"])
times = st.integers(0, 20).map(float)
limits = st.integers(0, 3)
final = st.sampled_from([status for status in Status if status.is_final])
items = st.one_of(
    st.none(), st.lists(st.builds(Item, name=st.text(max_size=2), state=st.just("x")), max_size=2).map(tuple)
)
reported = {
    "progress": st.one_of(st.none(), times),
    "message": st.one_of(st.none(), st.text(max_size=3)),
    "items": items,
}

keys = st.sampled_from("ab")
idempotencies = st.builds(Idempotency, key=keys, fingerprint=keys, former_keys=st.lists(keys, max_size=1).map(tuple))
adds = st.builds(
    an_add,
    rid=rids,
    owner=st.sampled_from(OWNERS),
    now=times,
    max_queued=st.integers(0, 4),
    max_queued_per_caller=st.integers(0, 3),
    idempotency=st.one_of(st.none(), idempotencies),
)
batches = st.builds(
    lambda rids, **changes: a_batch(len(rids) - 1, rids, **changes),
    st.lists(rids, min_size=2, max_size=4, unique=True),
    owner=st.sampled_from(OWNERS),
    now=times,
    max_queued=st.integers(2, 6),
    max_queued_per_caller=st.integers(1, 3),
    idempotency=st.one_of(st.none(), idempotencies),
)
finishes = st.builds(
    a_finish,
    rids,
    worker=workers,
    status=final,
    now=times,
    captured=st.sampled_from([None, a_captured(), a_captured(inline=None, body_name="some.body")]),
    keep_request=st.booleans(),
    notes=st.lists(st.text(max_size=2), max_size=2).map(tuple),
    **reported,
)
releases = st.builds(
    a_release, rids, st.one_of(final, st.just(Status.QUEUED)), worker=workers, now=times, died=st.booleans()
)


def verb(name: str, orders: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[str, list[Any]]]:
    """Calls of one verb with up to four orders."""
    return st.tuples(st.just(name), st.lists(orders, max_size=4))


calls = st.one_of(
    verb("add", adds),
    verb("add", adds),
    verb("add_batch", batches),
    verb("claim", st.builds(a_claim, workers, limits, times, times)),
    verb("renew", st.builds(Renew, rid=rids, worker=workers, lease_until=times)),
    verb("report", st.builds(Report, rid=rids, worker=workers, now=times, **reported)),
    verb("note", st.builds(Note, rid=rids, at=times, text=st.text(max_size=3))),
    verb("finish", finishes),
    verb("release", releases),
    verb("cancel", st.builds(Cancel, rid=rids, now=times)),
    verb("retry", st.builds(Retry, rid=rids, now=times)),
    verb(
        "delete", st.builds(Delete, rid=rids, finished_at=st.one_of(st.none(), times), now=st.one_of(st.none(), times))
    ),
    verb("expire", st.builds(Expire, queued_before=times, now=times, limit=limits, note=st.text(max_size=3))),
    verb("wipe_requests", rids),
    verb("probe", times),
)
transactions = st.lists(st.tuples(st.lists(calls, min_size=1, max_size=4), st.booleans()), max_size=12)


class Back(Exception):
    """Rolls a transaction back."""


def outcome(store: Store, verbs: list[tuple[str, list[Any]]], rolled_back: bool) -> list[Any]:
    """What the verbs of one transaction answered."""
    answers: list[Any] = []
    try:
        with store.transaction() as transaction:
            for name, orders in verbs:
                call: Callable[..., Any] = getattr(transaction, name)
                answer = call(orders)
                answers.append(None if answer is None else list(answer))
            if rolled_back:
                raise Back
        answers.append(sorted(transaction.settled))
    except (Back, StoreDataError) as error:
        answers.append(type(error))
    return answers


def contents(store: Store) -> list[Any]:
    """All that can be read."""
    pages = [ListQuery(owner=owner, statuses=None, before_id=None, limit=PLENTY) for owner in OWNERS if owner]
    return [
        store.get(RIDS),
        [list(store.with_items(rid)) for rid in RIDS],
        store.captured(RIDS),
        [list(store.details(rid, 0, PLENTY)) for rid in RIDS],
        [list(store.list(page)) for page in pages],
        store.count_queued(),
        store.backlog(),
        list(store.abandoned(10.0, 0, PLENTY)),
        list(store.wipeable(10.0, 2)),
        list(store.outdated(30 * 86_400.0 + 10.0, 2)),
        list(store.ended(10.0, 1, 2)),
    ]


@settings(max_examples=100, deadline=None)
@given(transactions)
def test_sqlite_and_memory_do_the_same(history: list[tuple[list[tuple[str, list[Any]]], bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        memory, sqlite = MemoryStore(), SqlStore(f"sqlite:///{Path(folder) / 'bgrs.sqlite3'}")
        sqlite.open()
        for verbs, rolled_back in history:
            assert outcome(sqlite, verbs, rolled_back) == outcome(memory, verbs, rolled_back)
        assert contents(sqlite) == contents(memory)
        sqlite.close()


def test_every_verb_of_the_interface_is_drawn() -> None:
    drawn = {
        "add",
        "add_batch",
        "claim",
        "renew",
        "report",
        "note",
        "finish",
        "release",
        "cancel",
        "retry",
        "delete",
        "expire",
    }
    assert drawn | {"wipe_requests", "probe"} == Transaction.__abstractmethods__
