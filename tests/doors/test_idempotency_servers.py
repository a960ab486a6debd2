"""`Idempotency-Key` on real servers: a thousand keys, each sent eight times at once, start a thousand requests.

The application writes down each start. Two processes share one store, and any of them may get any of the repeats.
"""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from bgrs_middleware.failpoints import Failpoint
from bgrs_middleware.stores.sql import SqlStore
from recovery.theatre import APPS, PATIENCE_SECONDS, Theatre, until
from servers import Server, serve

KEYS, REPEATS = 1_000, 8
AT_ONCE = 25
TARGET = "/work?bgrs=yes"
KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


@pytest.fixture(params=["asgi", "wsgi"])
def theatre(request: pytest.FixtureRequest, tmp_path: Path) -> Theatre:
    (tmp_path / "go").mkdir()
    theatre = Theatre(request.param, tmp_path)
    theatre.let_go("/work")
    return theatre


@contextmanager
def two_processes(theatre: Theatre, store_url: str) -> Iterator[list[int]]:
    """Two processes on one store, and the ports at which they can be reached."""
    env = {"BGRS_STORE": store_url, **theatre.environment({})}
    with ExitStack() as stack:

        def start(kind: str, target: str, *options: str) -> Server:
            return stack.enter_context(
                serve(kind, target, folder=APPS, data_dir=theatre.data_dir, env=env, options=options)
            )

        if theatre.gateway == "asgi":
            yield [start("uvicorn", "oracle:asgi_app").port for _ in range(2)]
        else:
            yield [start("gunicorn-gthread", "oracle:wsgi_app", "--workers", "2").port]


def send_all(port: int, seed: int, meeting: threading.Barrier) -> dict[str, str]:
    """What one client is told: by key, the rid. It meets the others every few keys, and sends them in its own order."""
    chance, told = random.Random(seed), {}
    for start in range(0, KEYS, AT_ONCE):
        keys = [f'"{number}"' for number in range(start, start + AT_ONCE)]
        chance.shuffle(keys)
        meeting.wait()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        for key in keys:
            connection.request("POST", TARGET, body=b"the same", headers={"Idempotency-Key": key})
            response = connection.getresponse()
            body = response.read()
            assert response.status == 202, body
            told[key] = json.loads(body)["request"]
        connection.close()
    return told


def wait_until_all_is_done(store_url: str) -> None:
    """Asked of the store and not for the rids: a request that nobody was told of must have run, too."""
    store = SqlStore(store_url)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (backlog := store.backlog()).queued or backlog.running:
        assert time.monotonic() < deadline, f"still {backlog}"
        time.sleep(0.05)
    store.close()


def started(theatre: Theatre) -> Counter[str]:
    """How often the application was started for each rid."""
    return Counter(line.split()[0] for line in (theatre.folder / "starts").read_text().splitlines())


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_each_key_starts_the_application_once_however_many_repeats_come_at_once(
    theatre: Theatre, database: str, request: pytest.FixtureRequest
) -> None:
    store_url = f"sqlite:///{theatre.data_dir}/bgrs.sqlite3"
    if database == "postgresql":
        store_url = request.getfixturevalue("postgres_url")
    meeting = threading.Barrier(REPEATS, timeout=PATIENCE_SECONDS)
    with two_processes(theatre, store_url) as ports, ThreadPoolExecutor(REPEATS) as clients:
        told = list(clients.map(lambda client: send_all(ports[client % len(ports)], client, meeting), range(REPEATS)))
        wait_until_all_is_done(store_url)
    assert all(each == told[0] for each in told), "every client of one key hears the same rid"
    rids = set(told[0].values())
    assert len(rids) == KEYS
    assert started(theatre) == dict.fromkeys(rids, 1)


def test_a_client_whose_server_is_killed_before_it_answers_repeats_and_starts_nothing_twice(theatre: Theatre) -> None:
    with theatre.server(failpoints=f"{Failpoint.ACCEPT_AFTER_COMMIT}=kill#1") as server:
        with pytest.raises(httpx.TransportError):
            send(server)
        server.process.wait(PATIENCE_SECONDS)
        # It ended by itself, as it was meant to.
        server.kill()
    with theatre.server() as server:
        rids = [send(server) for _ in range(3)]
        until(server, rids[0], "finished")
        rids.append(send(server))
    assert set(rids) == {rids[0]}
    assert started(theatre) == {rids[0]: 1}


def send(server: Server) -> str:
    response = httpx.post(server.url + TARGET, content=b"the same", headers=KEY, timeout=60, trust_env=False)
    assert response.status_code == 202, response.text
    rid: str = response.json()["request"]
    return rid
