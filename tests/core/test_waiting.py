"""Waiting: woken at once by a local change, by a poll for a remote one, and let go when the time is up."""

from __future__ import annotations

import threading
from dataclasses import replace

from bgrs_middleware.errors import StoreUnavailable
from bgrs_middleware.models import Status
from bgrs_middleware.waiting import Waiting
from protocol.samples import record

RECORD = record(status=Status.RUNNING)


def nothing(rids):
    return dict.fromkeys(rids, RECORD)


def test_a_local_change_wakes_at_once():
    waiting = Waiting(nothing, max_waiters=10)
    waiter = waiting.waiter(RECORD.rid, 60)
    pending = waiter.change(RECORD)
    assert not pending.is_there
    waiting.changed({RECORD.rid})
    assert pending.is_there
    assert pending.result() is True
    waiting.close()


def test_a_change_between_the_reading_and_the_waiting_is_not_missed():
    waiting = Waiting(nothing, max_waiters=10)
    waiter = waiting.waiter(RECORD.rid, 60)
    waiting.changed({RECORD.rid})
    assert waiter.change(RECORD).wait() is True
    assert not waiter.change(RECORD).is_there
    waiting.close()


def test_a_change_elsewhere_is_found_by_one_query_for_all():
    asked: list[list[str]] = []
    other = replace(RECORD, rid="1" * 32)

    def read(rids):
        asked.append(sorted(rids))
        return {RECORD.rid: replace(RECORD, status=Status.FINISHED, updated_at=2.0), other.rid: other}

    waiting = Waiting(read, max_waiters=10)
    waiters = [waiting.waiter(RECORD.rid, 60), waiting.waiter(RECORD.rid, 60)]
    patient = waiting.waiter(other.rid, 60)
    still = patient.change(other)
    assert all(pending.wait() for pending in [waiter.change(RECORD) for waiter in waiters])
    assert set(map(tuple, asked)) == {tuple(sorted((RECORD.rid, other.rid)))}
    assert not still.is_there
    waiting.close()


def test_the_time_is_up():
    waiting = Waiting(nothing, max_waiters=10)
    assert waiting.waiter(RECORD.rid, 0.01).change(RECORD).wait() is False
    assert waiting.pause(0.01).wait() is False
    waiting.close()


def test_a_short_wait_is_not_held_up_by_a_longer_one():
    waiting = Waiting(nothing, max_waiters=10)
    long = waiting.pause(600)
    assert waiting.pause(0.01).wait() is False
    assert not long.is_there
    waiting.close()
    assert long.wait() is False


def test_beyond_max_waiters_nobody_waits():
    waiting = Waiting(nothing, max_waiters=1)
    first = waiting.waiter(RECORD.rid, 60)
    assert waiting.waiter(RECORD.rid, 60) is None
    first.close()
    first.close()
    assert waiting.waiter(RECORD.rid, 60) is not None
    waiting.close()


def test_a_store_that_cannot_answer_is_asked_again():
    answers = [StoreUnavailable("away"), {RECORD.rid: replace(RECORD, updated_at=5.0)}]

    def read(rids):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    waiting = Waiting(read, max_waiters=10)
    assert waiting.waiter(RECORD.rid, 60).change(RECORD).wait() is True
    assert answers == []
    waiting.close()


def test_closing_lets_everybody_go_and_ends_the_thread():
    waiting = Waiting(nothing, max_waiters=10)
    pending = waiting.waiter(RECORD.rid, 600).change(RECORD)
    threads = [thread for thread in threading.enumerate() if thread.name == "bgrs-waiting"]
    waiting.close()
    assert pending.wait() is False
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert waiting.waiter(RECORD.rid, 60) is None
    assert waiting.pause(600).wait() is False


def test_letting_go_answers_who_waits_for_a_request_and_nobody_else():
    waiting = Waiting(nothing, max_waiters=10)
    early = waiting.waiter(RECORD.rid, 600)
    pending = waiting.waiter(RECORD.rid, 600).change(RECORD)
    pause = waiting.pause(600)
    waiting.let_go()
    assert pending.wait() is False
    assert early.change(RECORD).wait() is False
    assert waiting.waiter(RECORD.rid, 60) is None
    assert not pause.is_there
    assert not waiting.closed
    waiting.close()
