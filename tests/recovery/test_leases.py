"""Leases: a worker that sleeps through its own loses its claim, and cannot write over what came after it."""

from __future__ import annotations

import signal

from recovery.theatre import Theatre, ask, call, details, document, until

SHORT = {"lease_seconds": "3", "heartbeat_seconds": "0.5", "sweep_seconds": "0.5"}


def test_a_sleeper_is_replaced_and_overwrites_nothing(theatre: Theatre):
    with theatre.server(**SHORT) as sleeper:
        rid = ask(sleeper, "GET", "/work")
        theatre.until_started(rid)
        sleeper.process.send_signal(signal.SIGSTOP)
        with theatre.server(**SHORT) as other:
            theatre.until_started(rid, times=2)
            sleeper.process.send_signal(signal.SIGCONT)
            # Both work on it now; the sleeper finds out and stops, the other one comes to the end.
            theatre.let_go("/work")
            finished = until(other, rid, "finished")
            assert finished["attempt"] == "2"
            assert theatre.starts(rid) == [1, 2]
            # The sleeper still answers, and says the same.
            assert document(sleeper, rid) == finished == document(other, rid)
            assert call(sleeper, "GET", f"/bgrs/{rid}/result").text == "worked"
            assert details(other, rid).count("done") == 1


def test_a_lease_is_kept_as_long_as_its_worker_lives(theatre: Theatre):
    with theatre.server(**SHORT) as server, theatre.server(**SHORT) as other:
        rid = ask(server, "POST", "/work")
        slow = ask(other, "POST", "/again")
        theatre.until_started(rid)
        theatre.until_started(slow)
        # Longer than a lease: two long-polls that see no change.
        for _ in range(2):
            assert document(other, rid, wait_seconds=3)["status_name"] == "running"
        theatre.let_go("/work")
        theatre.let_go("/again")
        assert until(other, rid, "finished")["attempt"] == "1"
        assert until(server, slow, "finished")["attempt"] == "1"


def test_what_runs_longer_than_it_may_fails_and_frees_its_slot(theatre: Theatre):
    with theatre.server(concurrency="1") as server:
        endless = ask(server, "POST", "/short")
        following = ask(server, "POST", "/work")
        theatre.let_go("/work")
        until(server, endless, "failed")
        assert any("max_run_seconds" in text for text in details(server, endless))
        until(server, following, "finished")
        assert theatre.starts(endless) == [1]


def test_a_thread_that_does_not_listen_keeps_its_slot_and_its_request_has_failed(theatre: Theatre):
    with theatre.server(concurrency="1") as server:
        deaf = ask(server, "POST", "/deaf")
        until(server, deaf, "failed")
        following = ask(server, "POST", "/work")
        theatre.let_go("/work")
        if theatre.gateway == "wsgi":
            assert document(server, following, wait_seconds=1)["status_name"] == "queued"
            theatre.let_go("/deaf")
        until(server, following, "finished")
        assert document(server, deaf)["status_name"] == "failed"
