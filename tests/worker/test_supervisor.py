"""Several worker processes under one supervisor: told together, replaced one by one."""

from __future__ import annotations

import os
import signal
import time

from bgrs_middleware.worker.signals import REPEAT_SECONDS
from recovery.theatre import ask, until
from worker.house import House

PATIENCE_SECONDS = 60.0


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while is_there(pid):
        assert time.monotonic() < deadline, f"{pid} is still there"
        time.sleep(0.02)


def test_a_worker_that_died_is_replaced(asgi_house: House):
    with asgi_house.web() as web, asgi_house.worker("--processes", "2") as workers:
        first, second = workers.ready()
        os.kill(first, signal.SIGKILL)
        third = workers.until_ready(3)[2]
        assert third not in (first, second)
        assert f"process {first} ended by SIGKILL; another one starts in 1 s" in workers.log()
        asgi_house.let_go("/work")
        until(web, ask(web, "POST", "/work"), "finished")
        workers.tell()
        assert workers.ended() == 0
        assert not is_there(second)
        assert not is_there(third)


def test_all_finish_what_they_run_when_the_supervisor_is_told(asgi_house: House):
    options = ("--processes", "2", "--concurrency", "1")
    with asgi_house.web() as web, asgi_house.worker(*options, drain_seconds="60") as workers:
        rids = [ask(web, "POST", "/work") for _ in range(2)]
        for rid in rids:
            asgi_house.until_started(rid)
        workers.tell(signal.SIGINT)
        asgi_house.until_no_bell()
        asgi_house.let_go("/work")
        assert workers.ended() == 0
        for rid in rids:
            until(web, rid, "finished")


def test_a_second_signal_is_handed_on(asgi_house: House):
    with asgi_house.web() as web, asgi_house.worker("--processes", "2", drain_seconds="3600") as workers:
        rid = ask(web, "POST", "/work")
        asgi_house.until_started(rid)
        workers.tell()
        asgi_house.until_no_bell()
        # What comes sooner is the same signal once more.
        time.sleep(REPEAT_SECONDS)
        workers.tell()
        assert workers.ended() == 1
        until(web, rid, "lost")


def test_a_service_manager_that_tells_all_processes_at_once_is_no_second_signal(asgi_house: House):
    with asgi_house.web() as web, asgi_house.worker("--processes", "2", drain_seconds="60") as workers:
        pids = workers.ready()
        rid = ask(web, "POST", "/work")
        asgi_house.until_started(rid)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        workers.tell()
        asgi_house.until_no_bell()
        asgi_house.let_go("/work")
        assert workers.ended() == 0
        until(web, rid, "finished")


def test_workers_end_in_order_when_their_supervisor_is_killed(asgi_house: House):
    with asgi_house.web() as web, asgi_house.worker("--processes", "2", drain_seconds="60") as workers:
        pids = workers.ready()
        rid = ask(web, "POST", "/work")
        asgi_house.until_started(rid)
        workers.process.kill()
        asgi_house.until_no_bell()
        asgi_house.let_go("/work")
        until(web, rid, "finished")
        for pid in pids:
            until_gone(pid)


def test_a_worker_that_ends_by_itself_is_done(asgi_house: House):
    with asgi_house.worker("--processes", "2") as workers:
        for pid in workers.ready():
            os.kill(pid, signal.SIGTERM)
        assert workers.ended() == 0
