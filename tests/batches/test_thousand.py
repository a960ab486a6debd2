"""A batch of a thousand items, of which every tenth fails, on real servers: right at every poll, to its end.

What is polled is of one moment: the batch's progress is exactly what its items say. So it is where several processes
run the items, where one is killed in the middle, and where the batch is cancelled.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers import Server, serve

APPS = Path(__file__).parent / "apps"
COUNT = 1_000
OPERATIONS = "/bgrs/v1/projects/default/locations/default/operations"
SERVERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "asgi": ("uvicorn", "tenth:asgi_app", ()),
    "wsgi": ("gunicorn-gthread", "tenth:wsgi_app", ("--workers", "2")),
}
ENDED = {"finished", "failed", "cancelled", "lost", "expired"}
MOST_POLLS = 3_000


@dataclass(frozen=True)
class House:
    """A kind of server, the folder of its data, and the file that lets the application go."""

    gateway: str
    folder: Path

    @contextmanager
    def server(self, waits_at: int = COUNT) -> Iterator[Client]:
        kind, target, options = SERVERS[self.gateway]
        env = {
            "TENTH_GO": str(self.folder / "go"),
            "TENTH_WAITS_AT": str(waits_at),
            "BGRS_MAX_POLLS_PER_SECOND": "0",
            "BGRS_CONCURRENCY": "8",
        }
        with (
            serve(kind, target, folder=APPS, data_dir=self.folder / "data", env=env, options=options) as server,
            httpx.Client(base_url=server.url, timeout=60, trust_env=False) as http,
        ):
            yield Client(server, http)

    def let_go(self) -> None:
        (self.folder / "go").touch()


@dataclass(frozen=True)
class Client:
    """A client of one server."""

    server: Server
    http: httpx.Client

    def send(self) -> str:
        requests = [{"method": "GET", "path": f"/work/{number}"} for number in range(COUNT)]
        response = self.http.post("/bgrs", content=json.dumps({"requests": requests}))
        assert response.status_code == 202, response.text
        rid: str = response.json()["request"]
        return rid

    def status(self, rid: str, wait_seconds: float = 0) -> dict[str, Any]:
        response = self.http.get(f"/bgrs/{rid}?wait_for={wait_seconds}")
        assert response.status_code == 200, response.text
        [document] = response.json()
        return dict(document)

    def operation(self, rid: str) -> dict[str, Any]:
        return dict(self.http.get(f"{OPERATIONS}/{rid}").json())

    def polled(self, rid: str) -> Iterator[dict[str, Any]]:
        """Its status documents, one after the other, each of them checked, until it has ended."""
        before: dict[str, Any] | None = None
        for _ in range(MOST_POLLS):
            document = self.status(rid)
            check(document, before)
            yield document
            if document["status_name"] in ENDED:
                return
            before = document
        raise AssertionError(f"it does not end: {before}")

    def ended(self, rid: str) -> dict[str, Any]:
        """Its last status document, all before it checked."""
        return list(self.polled(rid))[-1]


def check(document: dict[str, Any], before: dict[str, Any] | None) -> None:
    """The document says what its items say, and nothing went back since the one before."""
    states = [item["state"] for item in document["items"]]
    assert len(states) == COUNT
    done = sum(state in ENDED for state in states)
    assert document["progress"] == f"{100 * done / COUNT:.2f}"
    assert (document["status_name"] in ENDED) == (done == COUNT)
    assert (document["finished_dt"] is not None) == (done == COUNT)
    if before is None:
        return
    assert float(document["progress"]) >= float(before["progress"])
    for item, earlier in zip(document["items"], before["items"], strict=True):
        assert item["name"] == earlier["name"]
        assert earlier["state"] not in ENDED or item["state"] == earlier["state"]


@pytest.fixture(params=SERVERS)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return House(gateway=request.param, folder=tmp_path)


def test_a_thousand_items_of_which_every_tenth_fails(house: House) -> None:
    with house.server() as client:
        rid = client.send()
        last = client.ended(rid)
        assert (last["status_name"], last["progress"]) == ("finished", "100.00")
        listed = client.http.get(f"/bgrs/{rid}/result").json()["items"]
        assert [item["name"] for item in listed] == [f"/work/{number}" for number in range(COUNT)]
        assert [item["http_status"] for item in listed] == [500 if n % 10 == 9 else 200 for n in range(COUNT)]
        operation = client.operation(rid)
        statuses = operation["metadata"]["value"]["individualProcessStatuses"]
        assert operation["done"] is True
        assert [item["state"] for item in statuses].count("FAILED") == COUNT / 10
        assert client.http.get(listed[123]["result"]).text == "123"
        assert client.status(listed[999]["rid"])["parent"] == rid


def test_cancelling_it_stops_what_has_not_finished(house: House) -> None:
    with house.server(waits_at=300) as client:
        rid = client.send()
        for document in client.polled(rid):
            if document["progress"] == "30.00":
                break
        assert client.http.post(f"/bgrs/{rid}/cancel").status_code in (200, 202)
        house.let_go()
        last = client.ended(rid)
        states = [item["state"] for item in last["items"]]
        assert last["status_name"] == "cancelled"
        assert states[:300] == ["finished"] * 300
        # A thread cannot be stopped: what ran just then may have answered all the same.
        assert set(states[300:]) <= {"cancelled", "finished"}
        assert states[320:] == ["cancelled"] * (COUNT - 320)
        assert client.operation(rid)["metadata"]["value"]["state"] == "CANCELLED"


def test_killed_in_the_middle_it_still_comes_to_its_end(house: House) -> None:
    with house.server(waits_at=300) as client:
        rid = client.send()
        for document in client.polled(rid):
            if document["progress"] == "30.00":
                break
        client.server.kill()
    house.let_go()
    with house.server() as client:
        # Under WSGI nothing is known of the start: the first look is what begins the work.
        last = client.ended(rid)
        assert last["status_name"] == "finished"
        assert {item["state"] for item in last["items"]} == {"finished"}
