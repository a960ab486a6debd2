"""The reader: all status reads that wait are one query, and an error reaches everyone it concerns."""

from __future__ import annotations

import threading

import pytest

from bgrs_middleware.errors import NotFound, StoreUnavailable
from bgrs_middleware.reader import Reader


class AskedStore:
    """Answers `get` with the rids themselves, and waits until the test lets it."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.error: Exception | None = None

    def get(self, rids):
        self.asked.append(list(rids))
        self.entered.set()
        assert self.gate.wait(10)
        if self.error is not None:
            raise self.error
        return {rid: f"record {rid}" for rid in rids if rid != "unknown"}

    def captured(self, rids):
        return {}


@pytest.fixture
def store():
    return AskedStore()


@pytest.fixture
def reader(store):
    reader = Reader(store)
    yield reader
    store.gate.set()
    reader.close()


def test_all_reads_that_wait_are_one_query(store, reader):
    first = reader.get("a")
    assert store.entered.wait(10)
    others = [reader.get(rid) for rid in ("b", "c", "unknown")]
    store.gate.set()
    assert first.wait() == "record a"
    assert [pending.wait() for pending in others] == ["record b", "record c", None]
    assert store.asked == [["a"], ["b", "c", "unknown"]]


def test_what_is_made_of_a_record_shares_the_query_and_keeps_its_own_errors(store, reader):
    def refuse(record):
        raise NotFound

    first = reader.get("a")
    assert store.entered.wait(10)
    seen, refused, missing = reader.view("b", str.upper), reader.view("c", refuse), reader.view("unknown", str)
    plain = reader.get("b")
    store.gate.set()
    assert (first.wait(), seen.wait(), missing.wait(), plain.wait()) == ("record a", "RECORD B", "None", "record b")
    with pytest.raises(NotFound):
        refused.wait()
    assert store.asked == [["a"], ["b", "c", "unknown", "b"]]
    store.error = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable, match="away"):
        reader.view("a", str).wait()


def test_a_store_that_is_away_is_told_to_everyone_who_asked(store, reader):
    store.gate.set()
    store.error = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable, match="away"):
        reader.get("a").wait()
    store.error = KeyError("bug")
    with pytest.raises(StoreUnavailable) as caught:
        reader.get("a").wait()
    assert isinstance(caught.value.__cause__, KeyError)


def test_other_questions_have_their_own_answers_and_errors(store, reader):
    assert reader.query(lambda asked: asked.captured([])).wait() == {}
    with pytest.raises(StoreUnavailable):
        reader.query(lambda asked: asked.no_such_question()).wait()
    assert reader.captured("a").wait() is None


def test_after_closing_nothing_is_asked(store):
    reader = Reader(store)
    reader.close()
    with pytest.raises(StoreUnavailable, match="shutting down"):
        reader.get("a").wait()
