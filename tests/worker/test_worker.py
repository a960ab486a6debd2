"""Two tiers on one store: what the web tier accepts, the workers run, once each, whatever is stopped or killed."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

from bgrs_middleware.worker.signals import REPEAT_SECONDS
from recovery.theatre import ask, call, details, document, until
from worker.house import House

REQUESTS = 200


def test_three_workers_run_each_request_exactly_once(house: House):
    with house.web() as web, house.worker("--processes", "3", "--concurrency", "1") as workers:
        assert len(set(workers.ready())) == 3
        first = [ask(web, "POST", "/work") for _ in range(3)]
        # One at a time each: all three have one.
        for rid in first:
            house.until_started(rid)
        with ThreadPoolExecutor(8) as clients:
            rids = list(clients.map(lambda _: ask(web, "POST", "/work"), range(REQUESTS - 3)))
        house.let_go("/work")
        for rid in [*first, *rids]:
            assert until(web, rid, "finished")["attempt"] == "1"
            assert house.starts(rid) == [1]
        assert call(web, "GET", f"/bgrs/{rids[-1]}/result").text == "worked"


def test_the_web_process_runs_nothing_itself(house: House):
    with house.web() as web:
        rid = ask(web, "POST", "/work")
        assert document(web, rid, wait_seconds=2)["status_name"] == "queued"
        # What was accepted before a worker was there is its first work.
        house.let_go("/work")
        with house.worker():
            until(web, rid, "finished")


def test_a_worker_is_woken_by_an_accept(house: House):
    with house.web() as web, house.worker(target=f"still:{house.gateway}_app"):
        house.let_go("/work")
        for _ in range(3):
            until(web, ask(web, "POST", "/work"), "finished")


def test_it_is_the_bell_that_wakes_it(house: House):
    """The test above would show nothing if that worker looked for work by itself."""
    with house.web() as web, house.worker(target=f"still:{house.gateway}_app"):
        [bell] = house.bells()
        bell.unlink()
        rid = ask(web, "POST", "/work")
        assert document(web, rid, wait_seconds=3)["status_name"] == "queued"


def test_an_embedded_application_is_helped(house: House):
    with house.server(executor="embedded", concurrency="1") as web, house.worker("--concurrency", "2"):
        rids = [ask(web, "POST", "/work") for _ in range(3)]
        for rid in rids:
            house.until_started(rid)
        house.let_go("/work")
        for rid in rids:
            until(web, rid, "finished")


def test_a_restart_of_the_web_tier_kills_no_running_request(house: House):
    with house.worker():
        with house.web() as web:
            rid = ask(web, "POST", "/work")
            house.until_started(rid)
            web.kill()
        house.let_go("/work")
        with house.web() as web:
            assert until(web, rid, "finished")["attempt"] == "1"
            assert call(web, "GET", f"/bgrs/{rid}/result").text == "worked"
    assert house.starts(rid) == [1]


def test_sigterm_lets_what_runs_finish_and_takes_nothing_new(house: House):
    with house.web() as web, house.worker("--concurrency", "1", drain_seconds="60") as worker:
        running = ask(web, "POST", "/work")
        house.until_started(running)
        waiting = ask(web, "POST", "/work")
        worker.tell()
        house.until_no_bell()
        house.let_go("/work")
        assert worker.ended() == 0
        until(web, running, "finished")
        assert document(web, waiting)["status_name"] == "queued"
        assert house.starts(waiting) == []


def test_what_does_not_finish_in_time_is_handed_back_or_lost(house: House):
    with house.web() as web:
        with house.worker(drain_seconds="0.2") as worker:
            unsafe, safe = ask(web, "POST", "/work"), ask(web, "GET", "/work")
            house.until_started(unsafe)
            house.until_started(safe)
            worker.tell(signal.SIGINT)
            assert worker.ended() == 0
        assert document(web, unsafe)["status_name"] == "lost"
        assert document(web, safe)["status_name"] == "queued"
        assert any("did not finish within 0.2 s" in text for text in details(web, unsafe))
        house.let_go("/work")
        with house.worker():
            assert until(web, safe, "finished")["attempt"] == "2"
    assert house.starts(unsafe) == [1]


def test_a_second_signal_ends_it_at_once(house: House):
    with house.web() as web, house.worker(drain_seconds="3600") as worker:
        rid = ask(web, "POST", "/work")
        house.until_started(rid)
        worker.tell()
        house.until_no_bell()
        # What comes sooner is the same signal once more.
        time.sleep(REPEAT_SECONDS)
        worker.tell()
        assert worker.ended() == 1
        until(web, rid, "lost")


def test_what_a_killed_worker_ran_is_lost_and_the_others_go_on(house: House):
    leases = {"lease_seconds": "3600"}
    with house.web(**leases) as web, house.worker("--concurrency", "1", **leases) as dying:
        rid = ask(web, "POST", "/work")
        house.until_started(rid)
        with house.worker(**leases):
            dying.process.kill()
            until(web, rid, "lost")
            following = ask(web, "POST", "/work")
            house.until_started(following)
            # Nobody listens to the dead one's bell, so it is gone.
            assert len(house.bells()) == 1
            house.let_go("/work")
            until(web, following, "finished")
    assert house.starts(rid) == [1]


def test_a_worker_alone_settles_what_a_killed_one_ran(house: House):
    """No web process is there to do it."""
    with house.web() as web, house.worker() as dying:
        rid = ask(web, "POST", "/work")
        house.until_started(rid)
        web.kill()
        dying.process.kill()
        dying.process.wait()
    with house.worker(lease_seconds="3600") as worker:
        until_log(worker, f"Background request {rid} lost")


def until_log(worker, text: str) -> None:
    while text not in worker.log():
        assert worker.process.poll() is None, worker.log()
