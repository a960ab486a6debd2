"""SIGKILL in the middle of the work: what may be run again is, once; what may not is lost, and says so."""

from __future__ import annotations

from recovery.theatre import Theatre, ask, call, details, until


def test_what_is_not_safe_to_run_again_is_lost_after_exactly_one_start(theatre: Theatre):
    with theatre.server() as server:
        rid = ask(server, "POST", "/work")
        theatre.until_started(rid)
        server.kill()
    theatre.let_go("/work")
    with theatre.server() as server:
        until(server, rid, "lost")
        assert theatre.starts(rid) == [1]
        assert any("not safe to run again" in text for text in details(server, rid))
        assert call(server, "GET", f"/bgrs/{rid}/result").status_code == 500
        # Nobody but its owner can know better.
        assert call(server, "POST", f"/bgrs/{rid}/retry").status_code == 202
        until(server, rid, "finished")
        assert theatre.starts(rid) == [1, 2]
        assert call(server, "GET", f"/bgrs/{rid}/result").text == "worked"


def test_a_safe_method_is_run_once_more(theatre: Theatre):
    with theatre.server() as server:
        rid = ask(server, "GET", "/work")
        theatre.until_started(rid)
        server.kill()
    theatre.let_go("/work")
    with theatre.server() as server:
        assert until(server, rid, "finished")["attempt"] == "2"
        assert theatre.starts(rid) == [1, 2]


def test_a_rule_may_say_that_it_is_safe(theatre: Theatre):
    with theatre.server() as server:
        rid = ask(server, "POST", "/again")
        theatre.until_started(rid)
        server.kill()
    theatre.let_go("/again")
    with theatre.server() as server:
        assert until(server, rid, "finished")["attempt"] == "2"


def test_what_kills_two_workers_is_not_given_to_a_third(theatre: Theatre):
    with theatre.server() as server:
        rid = ask(server, "GET", "/work")
        theatre.until_started(rid)
        server.kill()
    with theatre.server() as server:
        theatre.until_started(rid, times=2)
        server.kill()
    theatre.let_go("/work")
    with theatre.server() as server:
        until(server, rid, "failed")
        assert theatre.starts(rid) == [1, 2]
        assert any("2 workers died" in text for text in details(server, rid))


def test_what_was_only_queued_is_run_once(theatre: Theatre):
    with theatre.server(concurrency="1") as server:
        first = ask(server, "POST", "/work")
        theatre.until_started(first)
        queued = [ask(server, "POST", "/later") for _ in range(5)]
        server.kill()
    theatre.let_go("/later")
    with theatre.server(concurrency="1") as server:
        for rid in queued:
            until(server, rid, "finished")
            assert theatre.starts(rid) == [1]
        assert until(server, first, "lost")["attempt"] == "1"


def test_another_process_of_the_host_notices_the_death(theatre: Theatre):
    with theatre.server(concurrency="1") as dying:
        rid = ask(dying, "POST", "/work")
        theatre.until_started(rid)
        # Leases of an hour: it is the lock that tells.
        with theatre.server(lease_seconds="3600") as living:
            dying.kill()
            until(living, rid, "lost")


def test_what_was_being_cancelled_is_cancelled(theatre: Theatre):
    with theatre.server() as server:
        rid = ask(server, "POST", "/deaf" if theatre.gateway == "wsgi" else "/work")
        theatre.until_started(rid)
        theatre.freeze(server)
        with theatre.server(lease_seconds="3600") as other:
            assert call(other, "POST", f"/bgrs/{rid}/cancel").status_code == 202
            server.kill()
            until(other, rid, "cancelled")
    assert theatre.starts(rid) == [1]
