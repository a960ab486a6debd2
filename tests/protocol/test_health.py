"""The health document: what it says, when it says that something is wrong, and that it says nothing of anybody."""

from __future__ import annotations

import json

import pytest

from bgrs_middleware.protocol.health import Figures, Health, StoreState, health_document
from bgrs_middleware.protocol.replies import health_reply
from protocol.samples import request_head, value

HOST = Figures(processes=2, slots=8, running=3, stuck=1, lease_losses=4)
WELL = Health(state=StoreState.OK, queued=12, oldest_queued_seconds=3.14159, running=5, host=HOST)


def test_the_document_key_for_key() -> None:
    assert health_document(WELL) == {
        "status": "pass",
        "reasons": [],
        "store": {"state": "ok", "queued": 12, "oldest_queued_seconds": 3.1, "running": 5},
        "host": {"processes": 2, "slots": 8, "running": 3, "stuck": 1, "lease_losses": 4},
    }


def test_what_is_not_known_is_null() -> None:
    away = Health(state=StoreState.UNAVAILABLE, reason="It is away.", host=HOST)
    document = health_document(away)
    assert document["store"] == {"state": "unavailable", "queued": None, "oldest_queued_seconds": None, "running": None}
    assert (document["status"], document["reasons"]) == ("fail", ["It is away."])


@pytest.mark.parametrize("state", [StoreState.UNWRITABLE, StoreState.UNAVAILABLE])
def test_a_store_that_cannot_be_used_is_a_failure_with_a_reason(state: StoreState) -> None:
    assert Health(state=state, host=HOST).reasons == ("The store cannot be used.",)
    assert Health(state=state, reason="Full.", host=HOST).reasons == ("Full.",)


@pytest.mark.parametrize(("slots", "stuck", "fails"), [(4, 3, False), (4, 4, True), (0, 0, False), (1, 1, True)])
def test_stuck_slots_are_a_failure_where_none_is_left(slots: int, stuck: int, fails: bool) -> None:
    health = Health(state=StoreState.OK, host=Figures(processes=1, slots=slots, stuck=stuck))
    assert bool(health.reasons) is fails


def test_a_queue_however_old_is_none() -> None:
    health = Health(state=StoreState.OK, queued=10_000, oldest_queued_seconds=86_000.0, running=0, host=HOST)
    assert health.reasons == ()


def test_figures_add_up() -> None:
    assert Figures() + HOST == HOST
    total = HOST + HOST
    assert total == Figures(processes=4, slots=16, running=6, stuck=2, lease_losses=8)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_reply_is_200_or_503_and_not_to_be_stored(method: str) -> None:
    well = health_reply(WELL, request_head(method))
    ill = health_reply(Health(state=StoreState.UNAVAILABLE, host=HOST), request_head(method))
    assert (well.status, value(well, b"retry-after")) == (200, None)
    assert (ill.status, value(ill, b"retry-after")) == (503, b"10")
    for reply in (well, ill):
        assert value(reply, b"content-type") == b"application/json"
        assert value(reply, b"cache-control") == b"no-store"
    if method == "HEAD":
        assert (well.body, ill.body) == (b"", b"")
    else:
        assert isinstance(well.body, bytes)
        assert json.loads(well.body) == health_document(WELL)
        assert value(well, b"content-length") == b"%d" % len(well.body)
