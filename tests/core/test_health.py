"""Looking at the health: one look for all who ask, an answer in time whatever the store does, and no secrets in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bgrs_middleware.errors import (
    BgrsError,
    BodyError,
    DiskFull,
    SchemaError,
    SettingsError,
    StorageError,
    StoreUnavailable,
)
from bgrs_middleware.pending import in_thread
from bgrs_middleware.protocol.health import Figures, Health, StoreState
from bgrs_middleware.protocol.message import Reply
from bgrs_middleware.service import health as module
from bgrs_middleware.service.health import HealthDesk, examine, reason_of
from bgrs_middleware.stores.base import Backlog
from protocol.samples import request_head

HOST = Figures(processes=1, slots=4)
BACKLOG = Backlog(queued=0, oldest_queued_at=None, running=0)
PATIENCE_SECONDS = 60.0


def nothing() -> None:
    pass


def refusing(error: BgrsError) -> Callable[[], None]:
    def refuse() -> None:
        raise error

    return refuse


def ask(desk: HealthDesk) -> Reply:
    return in_thread(desk.answer(request_head()))


def document(reply: Reply) -> dict[str, Any]:
    assert isinstance(reply.body, bytes)
    found: dict[str, Any] = json.loads(reply.body)
    return found


class Store:
    """What a desk looks at: it answers when it is let go."""

    def __init__(self) -> None:
        self.looks = 0
        self.asked = threading.Event()
        self.let_go = threading.Event()

    def look(self) -> Health:
        self.looks += 1
        self.asked.set()
        assert self.let_go.wait(PATIENCE_SECONDS)
        return Health(state=StoreState.OK, queued=self.looks, running=0, host=HOST)


@pytest.fixture
def store():
    store = Store()
    yield store
    store.let_go.set()


def test_who_asks_meanwhile_shares_the_look(store: Store) -> None:
    desk = HealthDesk(store.look, lambda: HOST)
    with ThreadPoolExecutor(8) as callers:
        answers = [callers.submit(ask, desk) for _ in range(8)]
        while desk._under_way is None or len(desk._under_way.asked) < 8:
            assert not any(answer.done() for answer in answers)
        store.let_go.set()
        assert {answer.result(PATIENCE_SECONDS).status for answer in answers} == {200}
    assert store.looks == 1


def test_a_look_is_good_for_a_while_and_no_longer(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.let_go.set()
    desk = HealthDesk(store.look, lambda: HOST)
    assert [document(ask(desk))["store"]["queued"] for _ in range(3)] == [1, 1, 1]
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    assert [document(ask(desk))["store"]["queued"] for _ in range(2)] == [2, 3]


def test_a_store_that_hangs_is_unavailable_until_it_answers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never answers while this asks, so each answer comes without it."""
    monkeypatch.setattr(module, "BOUND_SECONDS", 0.05)
    desk = HealthDesk(store.look, lambda: HOST)
    for _ in range(3):
        reply = ask(desk)
        assert reply.status == 503
        assert document(reply)["reasons"] == ["The store does not answer."]
        assert document(reply)["store"]["state"] == "unavailable"
        assert document(reply)["host"]["slots"] == 4
    assert store.looks == 1, "who asks again does not add to what the store has to do"
    store.let_go.set()
    while desk._under_way is not None:
        pass
    assert ask(desk).status == 200


def test_a_fault_of_our_own_is_a_503_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def look() -> Health:
        raise KeyError("secret")

    reply = ask(HealthDesk(look, lambda: HOST))
    assert reply.status == 503
    assert b"secret" not in reply.body  # type: ignore[operator]  # it is no slice of a stored body
    assert "a reason of our own" in caplog.text


def test_a_store_that_can_be_read_and_not_written_says_what_waits_in_it() -> None:
    backlog = Backlog(queued=3, oldest_queued_at=0.0, running=2)
    refused = refusing(StoreUnavailable(reason="The store is read-only."))
    health = examine(read=lambda: backlog, write=refused, check_room=nothing, host=HOST)
    assert (health.state, health.queued, health.running) == (StoreState.UNWRITABLE, 3, 2)
    assert health.reasons == ("The store is read-only.",)
    assert health.oldest_queued_seconds is not None
    assert health.oldest_queued_seconds > 1e9


def test_a_disk_at_its_floor_is_said_before_the_store_is_written_to() -> None:
    written: list[bool] = []
    health = examine(
        read=lambda: BACKLOG, write=lambda: written.append(True), check_room=refusing(DiskFull("full")), host=HOST
    )
    assert (health.state, written) == (StoreState.UNWRITABLE, [])
    assert "min_free_bytes" in health.reasons[0]


def test_a_store_that_cannot_be_read_is_unavailable() -> None:
    def read() -> Backlog:
        raise StoreUnavailable(reason="The store's database cannot be reached.")

    health = examine(read=read, write=nothing, check_room=nothing, host=HOST)
    assert (health.state, health.queued) == (StoreState.UNAVAILABLE, None)
    assert health.reasons == ("The store's database cannot be reached.",)


def test_one_that_was_queued_in_the_future_has_waited_no_time() -> None:
    backlog = Backlog(queued=1, oldest_queued_at=4e9, running=0)
    health = examine(read=lambda: backlog, write=nothing, check_room=nothing, host=HOST)
    assert health.oldest_queued_seconds == 0.0


@pytest.mark.parametrize("kind", [StorageError, StoreUnavailable, SchemaError, BodyError, SettingsError, DiskFull])
def test_a_reason_holds_nothing_of_the_message(kind: Callable[[str], BgrsError]) -> None:
    reason = reason_of(kind("/var/lib/secret of host db.internal"))
    assert "secret" not in reason
    assert "db.internal" not in reason
    assert reason.endswith(".")
