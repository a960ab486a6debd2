"""One application in every server that the package names, alone, in two workers, and below a root path.

What is shown here is what only real servers show: their scopes and environs, their forks and threads, two processes
on one store.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from servers import KINDS, Server, serve

APPS = Path(__file__).parent / "apps"
TARGETS = {"asgi": "echo:asgi_app", "wsgi": "echo:wsgi_app"}
OWNER = {"Authorization": "Bearer of-the-owner"}

WORKERS = {
    "uvicorn": ("--workers", "2"),
    "gunicorn-uvicorn": ("--workers", "2"),
    "gunicorn-asgi": ("--workers", "2"),
    "gunicorn-gthread": ("--workers", "2"),
    "gunicorn-preload": ("--workers", "2"),
    "granian-asgi": ("--workers", "2"),
    "granian-wsgi": ("--workers", "2"),
    "hypercorn": ("--workers", "2"),
}
"""How each server that forks is told to run two workers."""

SERVERS = [pytest.param(kind, (), id=kind) for kind in KINDS] + [
    pytest.param(kind, options, id=f"{kind}-2-workers") for kind, options in WORKERS.items() if kind in KINDS
]
MOST_ROUNDS = 300
BELOW_A_PATH = [kind for kind, what in KINDS.items() if what.root_path is not None]


def client_of(server: Server, headers: dict[str, str] | None = None) -> httpx.Client:
    """A client that opens a connection for each request, so that every worker of a server gets its share."""
    return httpx.Client(
        base_url=server.url,
        headers=headers,
        timeout=60,
        trust_env=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    )


def ask(client: httpx.Client, path: str, content: bytes = b"") -> str:
    response = client.post(path, content=content)
    assert response.status_code == 202, response.text
    rid: str = response.json()["request"]
    return rid


def listed(client: httpx.Client, path: str = "/bgrs") -> set[str]:
    response = client.get(path)
    assert response.status_code == 200, response.text
    return {entry["rid"] for entry in response.json()["requests"]}


def result(client: httpx.Client, rid: str, below: str = "") -> httpx.Response:
    response = client.get(f"{below}/bgrs/{rid}/result?wait_for=20")
    assert response.headers["Bgrs-Request"] == rid
    return response


@pytest.mark.parametrize(("kind", "options"), SERVERS)
def test_accepts_answers_and_lists_by_owner(kind: str, options: Sequence[str], tmp_path: Path) -> None:
    target = TARGETS[KINDS[kind].gateway]
    with (
        serve(kind, target, folder=APPS, data_dir=tmp_path / "data", options=options) as server,
        client_of(server, OWNER) as owner,
        client_of(server, {"Authorization": "Bearer of-another"}) as other,
        client_of(server) as anonymous,
    ):
        plain = owner.post("/echo?a=1&b=%2F", content=b"hello")
        assert json.loads(plain.content) == {"method": "POST", "query": "a=1&b=%2F", "body": "hello"}

        # Enough of them that every worker has accepted some, run some and is asked for others'.
        rids = [ask(owner, "/echo?a=1&bgrs=yes&b=%2F", b"hello") for _ in range(6)]
        for rid in rids:
            captured = result(owner, rid)
            assert (captured.status_code, captured.content) == (plain.status_code, plain.content)
            assert captured.headers["Content-Type"] == plain.headers["Content-Type"]
            assert owner.get(f"/bgrs/{rid}").json()[0]["status_name"] == "finished"
            assert [entry["details"] for entry in owner.get(f"/bgrs/{rid}/details").json()] == ["started", "done"]

        assert listed(owner) == set(rids)
        assert listed(other) == set()
        assert listed(anonymous) == set()
        assert other.get(f"/bgrs/{rids[0]}").status_code == 200
        assert other.get(f"/bgrs/{rids[0]}/details").status_code == 403
        assert anonymous.delete(f"/bgrs/{rids[0]}").status_code == 403
        assert owner.delete(f"/bgrs/{rids[0]}").status_code == 204
        assert owner.get(f"/bgrs/{rids[0]}").status_code == 404


@pytest.mark.parametrize("kind", [kind for kind in WORKERS if kind in KINDS])
def test_both_workers_run_background_requests(kind: str, tmp_path: Path) -> None:
    target = TARGETS[KINDS[kind].gateway]
    with (
        serve(kind, target, folder=APPS, data_dir=tmp_path / "data", options=WORKERS[kind]) as server,
        client_of(server, OWNER) as client,
    ):
        pids: set[bytes] = set()
        for _ in range(MOST_ROUNDS):
            pids.add(result(client, ask(client, "/pid?bgrs=yes")).content)
            if len(pids) == 2:
                break
        assert len(pids) == 2


@pytest.mark.parametrize("kind", BELOW_A_PATH)
def test_routes_lie_below_the_root_path(kind: str, tmp_path: Path) -> None:
    what = KINDS[kind]
    assert what.root_path is not None
    # A client of ours sees what the server sees; where a proxy would cut the path off, the client leaves it out.
    below = "" if what.strips else "/api/v2"
    with (
        serve(
            kind,
            TARGETS[what.gateway],
            folder=APPS,
            data_dir=tmp_path / "data",
            options=what.root_path("/api/v2"),
        ) as server,
        client_of(server, OWNER) as client,
    ):
        response = client.post(f"{below}/echo?bgrs=yes", content=b"hello")
        assert response.status_code == 202, response.text
        rid = response.json()["request"]
        assert response.headers["Location"] == f"{server.url}/api/v2/bgrs/{rid}/result"
        captured = result(client, rid, below)
        assert captured.status_code == 200, captured.text
        assert captured.json() == {"method": "POST", "query": "", "body": "hello"}
        assert listed(client, f"{below}/bgrs") == {rid}


@pytest.mark.parametrize(
    ("first", "second"),
    [("uvicorn", "granian-asgi"), ("gunicorn-preload", "waitress"), ("hypercorn", "gunicorn-gthread")],
)
def test_two_servers_on_one_store_answer_for_each_other(first: str, second: str, tmp_path: Path) -> None:
    """The third pair even mixes the gateways: what is stored belongs to neither."""
    data_dir = tmp_path / "data"
    with (
        serve(first, TARGETS[KINDS[first].gateway], folder=APPS, data_dir=data_dir) as one,
        serve(second, TARGETS[KINDS[second].gateway], folder=APPS, data_dir=data_dir) as two,
        client_of(one, OWNER) as client_of_one,
        client_of(two, OWNER) as client_of_two,
    ):
        by_one = [ask(client_of_one, "/echo?bgrs=yes", f"one {n}".encode()) for n in range(5)]
        by_two = [ask(client_of_two, "/echo?bgrs=yes", f"two {n}".encode()) for n in range(5)]
        for client in (client_of_one, client_of_two):
            assert listed(client) == {*by_one, *by_two}
            bodies = [result(client, rid).json()["body"] for rid in [*by_one, *by_two]]
            assert bodies == [f"one {n}" for n in range(5)] + [f"two {n}" for n in range(5)]


@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-gthread"])
def test_a_new_process_answers_for_what_an_old_one_ran(kind: str, tmp_path: Path) -> None:
    target = TARGETS[KINDS[kind].gateway]
    with serve(kind, target, folder=APPS, data_dir=tmp_path) as server, client_of(server, OWNER) as client:
        rid = ask(client, "/echo?bgrs=yes", b"before")
        captured = result(client, rid)
    with serve(kind, target, folder=APPS, data_dir=tmp_path) as server, client_of(server, OWNER) as client:
        assert result(client, rid).content == captured.content
        assert listed(client) == {rid}


def test_what_is_queued_is_run_by_the_next_process(tmp_path: Path) -> None:
    with (
        serve("uvicorn", "echo:asgi_app", folder=APPS, data_dir=tmp_path, env={"BGRS_EXECUTOR": "worker"}) as server,
        client_of(server) as client,
    ):
        rid = ask(client, "/echo?bgrs=yes", b"later")
        assert client.get(f"/bgrs/{rid}/result").status_code == 202
        server.kill()
    with serve("uvicorn", "echo:asgi_app", folder=APPS, data_dir=tmp_path) as server, client_of(server) as client:
        assert result(client, rid).json()["body"] == "later"
