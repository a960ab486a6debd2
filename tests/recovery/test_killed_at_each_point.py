"""A process killed at each of the failpoints, and what its successor makes of what it left."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from bgrs_middleware.failpoints import Failpoint
from bgrs_middleware.service.sweeper import KEPT_NOTE
from recovery.theatre import PATIENCE_SECONDS, Theatre, ask, call, details, document, until
from servers import Server

BIG = b"".join(b"%08d" % number * 8192 for number in range(20))
UPLOAD = b"x" * 300_000

asgi_only = pytest.mark.parametrize("theatre", ["asgi"], indirect=True)
wsgi_only = pytest.mark.parametrize("theatre", ["wsgi"], indirect=True)


@contextmanager
def doomed(theatre: Theatre, point: Failpoint, times: int = 1, **settings: str) -> Iterator[Server]:
    """A server that is killed at a failpoint; the block ends when that has happened."""
    with theatre.server(failpoints=f"{point}=kill#{times}", **settings) as server:
        yield server
        server.process.wait(PATIENCE_SECONDS)
        # It ended by itself, as it was meant to.
        server.kill()


def killed_while_it_worked(theatre: Theatre, point: Failpoint, method: str, path: str, times: int = 1) -> str:
    """The rid of a request whose server was killed at a failpoint on the way to its end."""
    theatre.let_go(path)
    with doomed(theatre, point, times) as server:
        return ask_of_the_dying(theatre, server, method, path)


def ask_of_the_dying(theatre: Theatre, server: Server, method: str, path: str, body: bytes = b"") -> str:
    """The rid, which the server may have no time to tell."""
    try:
        return ask(server, method, path, body)
    except httpx.TransportError:
        [rid] = recorded(theatre)
        return rid


def recorded(theatre: Theatre) -> list[str]:
    """What the store knows, read past the middleware."""
    with closing(sqlite3.connect(theatre.data_dir / "bgrs.sqlite3")) as connection:
        return [row[0] for row in connection.execute("SELECT rid FROM bgrs_request ORDER BY id")]


def complete_bodies(theatre: Theatre) -> list[Path]:
    """The files that lie under the name of a body."""
    return sorted((theatre.data_dir / "bodies").glob("[0-9a-f][0-9a-f]/*"))


def until_there(path: Path, *, there: bool = True) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while path.exists() is not there:
        assert time.monotonic() < deadline, f"{path.name} is {'not' if there else 'still'} there"
        time.sleep(0.02)


def until_gone(path: Path) -> None:
    until_there(path, there=False)


def assert_lost(server: Server, rid: str) -> None:
    until(server, rid, "lost")
    assert call(server, "GET", f"/bgrs/{rid}/result").status_code == 500
    assert any("not safe to run again" in text for text in details(server, rid))


def assert_big(server: Server, rid: str) -> None:
    result = call(server, "GET", f"/bgrs/{rid}/result")
    assert (result.status_code, result.headers["content-type"]) == (200, "text/plain")
    assert result.content == BIG
    # No byte of what stands behind it, however it is asked for.
    assert result.headers["content-length"] == str(len(BIG))
    part = httpx.get(f"{server.url}/bgrs/{rid}/result", headers={"Range": "bytes=-10"}, trust_env=False)
    assert (part.status_code, part.content) == (206, BIG[-10:])


# Accepting.


@asgi_only
@pytest.mark.parametrize(("point", "times"), [(Failpoint.ACCEPT_BEFORE_COMMIT, 1), (Failpoint.BODY_PIECE_WRITTEN, 3)])
def test_what_was_not_committed_was_not_acknowledged_and_is_not_there(theatre: Theatre, point, times):
    with doomed(theatre, point, times) as server, pytest.raises(httpx.TransportError):
        ask(server, "POST", "/work", UPLOAD)
    assert recorded(theatre) == []
    theatre.let_go("/work")
    with theatre.server() as server:
        rid = ask(server, "POST", "/work", UPLOAD)
        until(server, rid, "finished")
        assert recorded(theatre) == [rid]


@asgi_only
def test_what_was_committed_is_run_once_though_nobody_was_told(theatre: Theatre):
    theatre.let_go("/work")
    with doomed(theatre, Failpoint.ACCEPT_AFTER_COMMIT) as server, pytest.raises(httpx.TransportError):
        ask(server, "POST", "/work", UPLOAD)
    [rid] = recorded(theatre)
    with theatre.server() as server:
        until(server, rid, "finished")
        assert theatre.starts(rid) == [1]


# Running.


@asgi_only
def test_what_was_claimed_and_not_started_may_have_been_started_for_all_that_is_known(theatre: Theatre):
    rid = killed_while_it_worked(theatre, Failpoint.CLAIMED_BEFORE_START, "POST", "/work")
    with theatre.server() as server:
        assert_lost(server, rid)
        assert theatre.starts(rid) == []
        assert call(server, "POST", f"/bgrs/{rid}/retry").status_code == 202
        until(server, rid, "finished")
        assert theatre.starts(rid) == [2]


@asgi_only
def test_what_is_killed_before_it_renews_is_run_again_where_that_is_safe(theatre: Theatre):
    with doomed(theatre, Failpoint.BEFORE_RENEW, heartbeat_seconds="0.5") as server:
        rid = ask_of_the_dying(theatre, server, "GET", "/work")
    theatre.let_go("/work")
    with theatre.server() as server:
        assert until(server, rid, "finished")["attempt"] == "2"
        assert theatre.starts(rid)[-1] == 2


# The response, on its way to the disk.

BEFORE_IT_IS_SEALED = [
    (Failpoint.BODY_PIECE_WRITTEN, 7),
    (Failpoint.ANSWERED_BEFORE_SEALED, 1),
    (Failpoint.BODY_BEFORE_NAMED, 1),
]


@asgi_only
@pytest.mark.parametrize(("point", "times"), BEFORE_IT_IS_SEALED)
def test_a_response_that_is_not_sealed_is_nowhere(theatre: Theatre, point, times):
    rid = killed_while_it_worked(theatre, point, "POST", "/big", times)
    assert complete_bodies(theatre) == []
    with theatre.server() as server:
        assert_lost(server, rid)
        assert theatre.starts(rid) == [1]


@asgi_only
def test_a_response_that_broke_off_is_made_anew_where_that_is_safe(theatre: Theatre):
    rid = killed_while_it_worked(theatre, Failpoint.BODY_PIECE_WRITTEN, "GET", "/big", times=7)
    with theatre.server() as server:
        assert until(server, rid, "finished")["attempt"] == "2"
        assert theatre.starts(rid) == [1, 2]
        assert_big(server, rid)


# A response that is sealed, and a store that does not know of it.


@pytest.mark.parametrize(
    ("theatre", "method"), [("asgi", "POST"), ("asgi", "GET"), ("wsgi", "POST")], indirect=["theatre"]
)
def test_a_response_that_was_sealed_is_kept_and_not_made_again(theatre: Theatre, method):
    rid = killed_while_it_worked(theatre, Failpoint.SEALED_BEFORE_FINISH, method, "/big")
    with theatre.server() as server:
        found = until(server, rid, "finished")
        assert (found["attempt"], found["progress"], found["status"]) == ("1", "100.00", "200")
        assert theatre.starts(rid) == [1]
        assert KEPT_NOTE in details(server, rid)
        assert_big(server, rid)
        assert call(server, "DELETE", f"/bgrs/{rid}").status_code == 204
        for body in complete_bodies(theatre):
            until_gone(body)


@asgi_only
def test_a_response_whose_commit_was_cut_off_is_kept_too(theatre: Theatre):
    rid = killed_while_it_worked(theatre, Failpoint.FINISH_BEFORE_COMMIT, "POST", "/big")
    with theatre.server() as server:
        until(server, rid, "finished")
        assert theatre.starts(rid) == [1]
        assert_big(server, rid)


@asgi_only
@pytest.mark.parametrize("point", [Failpoint.SEALED_BEFORE_FINISH, Failpoint.FINISH_BEFORE_COMMIT])
def test_a_small_response_is_in_the_commit_or_lost_with_it(theatre: Theatre, point):
    rid = killed_while_it_worked(theatre, point, "POST", "/work")
    with theatre.server() as server:
        assert_lost(server, rid)
        assert theatre.starts(rid) == [1]


@asgi_only
def test_the_request_of_what_was_kept_is_wiped(theatre: Theatre):
    theatre.let_go("/big")
    with doomed(theatre, Failpoint.SEALED_BEFORE_FINISH) as server:
        rid = ask_of_the_dying(theatre, server, "POST", "/big", UPLOAD)
    [request] = [body for body in complete_bodies(theatre) if body.name == f"{rid}.request"]
    with theatre.server() as server:
        until(server, rid, "finished")
        until_gone(request)
        assert_big(server, rid)


@asgi_only
@pytest.mark.parametrize("harm", ["a byte is another", "the end is missing", "it is empty"])
def test_a_sealed_response_that_is_not_whole_is_not_kept(theatre: Theatre, harm):
    rid = killed_while_it_worked(theatre, Failpoint.SEALED_BEFORE_FINISH, "POST", "/big")
    [body] = complete_bodies(theatre)
    with body.open("r+b") as file:
        if harm == "a byte is another":
            file.seek(100_000)
            file.write(b"!")
        else:
            file.truncate(len(BIG) if harm == "the end is missing" else 0)
    with theatre.server() as server:
        assert_lost(server, rid)
        until_gone(body)


@asgi_only
def test_a_response_that_this_host_cannot_see_is_lost(theatre: Theatre, tmp_path):
    """As where each host has a disk of its own."""
    rid = killed_while_it_worked(theatre, Failpoint.SEALED_BEFORE_FINISH, "POST", "/big")
    with theatre.server(bodies=str(tmp_path / "another disk")) as server:
        assert_lost(server, rid)
        assert theatre.starts(rid) == [1]


SHORT = {"lease_seconds": "3", "heartbeat_seconds": "0.5", "sweep_seconds": "0.5"}


def test_who_slept_after_sealing_finds_its_response_kept_and_leaves_it_there(theatre: Theatre):
    hold = theatre.folder / "hold"
    holding = {"failpoints": f"{Failpoint.SEALED_BEFORE_FINISH}=hold", "test_hold": str(hold)}
    with theatre.server(**holding, **SHORT) as sleeper:
        rid = ask(sleeper, "POST", "/big")
        theatre.let_go("/big")
        until_there(hold)
        theatre.freeze(sleeper)
        hold.unlink()
        with theatre.server(**SHORT) as other:
            until(other, rid, "finished")
            sleeper.process.send_signal(signal.SIGCONT)
            # Its own write comes to nothing; what it would have removed with that is the result.
            deadline = time.monotonic() + PATIENCE_SECONDS
            while "was lost; its outcome was not recorded" not in sleeper.log():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            assert document(sleeper, rid) == document(other, rid)
            assert [text for text in details(other, rid) if text.startswith("done")] == [KEPT_NOTE]
            following = ask(sleeper, "POST", "/big")
            until(sleeper, following, "finished")
            assert_big(other, rid)
            assert_big(sleeper, rid)
        assert theatre.starts(rid) == [1]


@wsgi_only
@pytest.mark.parametrize(("path", "end"), [("/deaf-big", "finished"), ("/big", "cancelled")])
def test_a_sealed_response_counts_unless_its_application_knew_that_it_was_cancelled(theatre: Theatre, path, end):
    with doomed(theatre, Failpoint.SEALED_BEFORE_FINISH) as server:
        rid = ask(server, "POST", path)
        theatre.until_started(rid)
        # It may be over, and the server dead, before the answer is out.
        with suppress(httpx.TransportError):
            assert call(server, "POST", f"/bgrs/{rid}/cancel").status_code == 202
        if path == "/deaf-big":
            theatre.let_go(path)
    [body] = complete_bodies(theatre)
    with theatre.server() as server:
        until(server, rid, end)
        assert theatre.starts(rid) == [1]
        if end == "finished":
            assert_big(server, rid)
        else:
            until_gone(body)


# After the end.


@asgi_only
def test_an_end_that_is_committed_stands_and_what_was_to_be_removed_is_found_later(theatre: Theatre):
    theatre.let_go("/work")
    with doomed(theatre, Failpoint.FINISHED_BEFORE_WIPED) as server:
        rid = ask_of_the_dying(theatre, server, "POST", "/work", UPLOAD)
    [request] = complete_bodies(theatre)
    two_hours_ago = time.time() - 7_200
    os.utime(request, (two_hours_ago, two_hours_ago))
    with theatre.server() as server:
        assert document(server, rid)["status_name"] == "finished"
        assert call(server, "GET", f"/bgrs/{rid}/result").text == "worked"
        until_gone(request)
    assert theatre.starts(rid) == [1]


# The sweep.


@asgi_only
@pytest.mark.parametrize(
    ("point", "times"), [(Failpoint.SWEEP_ABANDONED_READ, 1), (Failpoint.SWEEP_BEFORE_TAKEOVER, 2)]
)
def test_a_sweeper_that_dies_leaves_its_work_to_the_next(theatre: Theatre, point, times):
    with theatre.server() as server:
        unsafe = [ask(server, "POST", "/work") for _ in range(3)]
        safe = ask(server, "GET", "/work")
        for rid in [*unsafe, safe]:
            theatre.until_started(rid)
        server.kill()
    theatre.dies(failpoints=f"{point}=kill#{times}")
    theatre.let_go("/work")
    with theatre.server() as server:
        for rid in unsafe:
            assert_lost(server, rid)
            assert theatre.starts(rid) == [1]
        assert until(server, safe, "finished")["attempt"] == "2"
        assert theatre.starts(safe) == [1, 2]
