"""Leases: a worker that sleeps through its own loses its claim, and cannot write over what came after it."""

from __future__ import annotations

import signal
import time

from recovery.theatre import PATIENCE_SECONDS, Theatre, ask, call, details, document, until

SHORT = {"lease_seconds": "3", "heartbeat_seconds": "0.5", "sweep_seconds": "0.5"}


def until_bodies(theatre: Theatre, rid: str, names: list[str]) -> None:
    """Return when these are the bodies of a request. One that is not the result is removed after the end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := [body.name for body in (theatre.data_dir / "bodies").glob(f"*/{rid}.*")]) != names:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def test_a_sleeper_is_replaced_and_overwrites_nothing(theatre: Theatre):
    with theatre.server(**SHORT) as sleeper:
        rid = ask(sleeper, "GET", "/work")
        theatre.until_started(rid)
        theatre.freeze(sleeper)
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


def test_a_sleeper_that_claims_again_what_it_lost_ends_it_once_by_the_later_run(theatre: Theatre):
    # The other process takes over what is abandoned, and leaves the running to workers: there is one, the sleeper.
    with theatre.server(**SHORT) as sleeper, theatre.server(executor="worker", **SHORT) as other:
        rid = ask(sleeper, "GET", "/deaf-big")
        theatre.until_started(rid)
        theatre.freeze(sleeper)
        until(other, rid, "queued")
        sleeper.process.send_signal(signal.SIGCONT)
        theatre.until_started(rid, times=2)
        # Under WSGI the first run hears nothing of it, and comes to its end with the second.
        theatre.let_go("/deaf-big")
        assert until(other, rid, "finished")["attempt"] == "2"
        until_bodies(theatre, rid, [f"{rid}.2.result"])
    assert theatre.starts(rid) == [1, 2]


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
