"""Every example project through its real server: what its README promises is what a client gets.

A plain call and the same call in the background must be equal; the import must be seen moving; the details must tell
what happened.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from servers import serve

PROJECTS = Path(__file__).parents[2] / "example_projects"
ORDERS = 150
CSV = "sku,quantity,price\n" + "".join(
    f"item-{line},{'many' if line % 50 == 0 else 2},9.99\n" for line in range(2, ORDERS + 2)
)
SHORT_CSV = "sku,quantity,price\nrug,2,80.00\nlamp,none,25\n,1,1\nteapot,0,12\n"
WAIT_SECONDS = 60
# Uvicorn closes a connection some time after the 500 of an exception; one that is reused may be reset by that.
NO_KEEPALIVE = httpx.Limits(max_keepalive_connections=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example project, and one server it runs in."""

    folder: str
    server: str
    target: str
    options: tuple[str, ...] = ()
    # What the framework answers to an exception: enough of it to know it again.
    failure: str = "Internal Server Error"


EXAMPLES = {
    "starlette-uvicorn": Example(folder="starlette_project", server="uvicorn", target="app:app"),
    "fastapi-uvicorn": Example(folder="fastapi_project", server="uvicorn", target="app:app"),
    "fastapi-granian": Example(folder="fastapi_project", server="granian-asgi", target="app:app"),
    "flask-waitress": Example(folder="flask_project", server="waitress", target="app:app"),
    "flask-preload": Example(folder="flask_project", server="gunicorn-preload", target="app:app"),
    "django-gunicorn": Example(
        folder="django_project",
        server="gunicorn-gthread",
        target="shop.wsgi:application",
        failure="Server Error (500)",
    ),
    "django-uvicorn": Example(
        folder="django_project", server="uvicorn", target="shop.asgi:application", failure="Server Error (500)"
    ),
    "django-hypercorn": Example(
        folder="django_project", server="hypercorn", target="shop.asgi:application", failure="Server Error (500)"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """An example that answers."""

    example: Example
    client: httpx.Client

    def accepted(self, method: str, path: str, **request: Any) -> str:
        """Ask for a background request; returns its id."""
        response = self.client.request(method, path, **request)
        assert response.status_code == 202, response.text
        assert list(response.json()) == ["request"]
        rid: str = response.json()["request"]
        assert response.headers["Location"] == str(self.client.base_url.join(f"/bgrs/{rid}/result"))
        return rid

    def status(self, rid: str) -> dict[str, Any]:
        """The status document; held back a moment while nothing changes, so that asking again and again is cheap."""
        response = self.client.get(f"/bgrs/{rid}?wait_for=0.05")
        assert response.status_code == 200, response.text
        (document,) = response.json()
        return dict(document)

    def result(self, rid: str) -> httpx.Response:
        """The captured response, as soon as it is there."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            response = self.client.get(f"/bgrs/{rid}/result?wait_for=20")
            if response.headers.get("Bgrs-Status") != "running" and response.status_code != 202:
                return response
        raise AssertionError(f"no result after {WAIT_SECONDS} s: {self.status(rid)}")

    def details(self, rid: str) -> list[str]:
        response = self.client.get(f"/bgrs/{rid}/details")
        assert response.status_code == 200, response.text
        return [entry["details"] for entry in response.json()]


@pytest.fixture(scope="module", params=EXAMPLES.values(), ids=list(EXAMPLES))
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    example: Example = request.param
    with (
        serve(
            example.server,
            example.target,
            folder=PROJECTS / example.folder,
            data_dir=tmp_path_factory.mktemp("data") / "bgrs-data",
        ) as server,
        httpx.Client(base_url=server.url, timeout=WAIT_SECONDS, trust_env=False, limits=NO_KEEPALIVE) as client,
    ):
        yield Running(example=example, client=client)


def test_import_moves_and_ends_as_the_plain_import_does(running: Running) -> None:
    csv: dict[str, Any] = {"content": CSV, "headers": {"Content-Type": "text/csv"}}
    plain = running.client.post("/imports", **csv)
    assert plain.status_code == 200, plain.text
    assert plain.json() == {
        "accepted": ORDERS - 3,
        "rejected": [{"line": line, "fault": "quantity or price is not a number"} for line in (50, 100, 150)],
    }

    rid = running.accepted("POST", "/imports?bgrs=yes", **csv)
    seen: list[float] = []
    while (status := running.status(rid))["status_name"] in ("queued", "running"):
        if status["progress"] is not None:
            seen.append(float(status["progress"]))

    assert seen == sorted(seen), f"it went backwards: {seen}"
    assert len({percent for percent in seen if 0 < percent < 100}) >= 2, seen
    assert (status["status_name"], status["progress"], status["status"]) == ("finished", "100.00", "200")
    assert_equal(running.result(rid), plain)
    assert running.details(rid) == ["started", f"Importing {ORDERS} orders", "done"]


def test_import_of_a_form(running: Running) -> None:
    plain = running.client.post("/imports", files={"file": ("orders.csv", SHORT_CSV, "text/csv")})
    assert plain.status_code == 200, plain.text
    rid = running.accepted("POST", "/imports?bgrs=yes", files={"file": ("orders.csv", SHORT_CSV, "text/csv")})
    assert_equal(running.result(rid), plain)
    assert plain.json() == {
        "accepted": 1,
        "rejected": [
            {"line": 3, "fault": "quantity or price is not a number"},
            {"line": 4, "fault": "sku is missing"},
            {"line": 5, "fault": "quantity or price is too small"},
        ],
    }


def test_import_of_a_form_without_its_file_is_a_400_both_ways(running: Running) -> None:
    plain = running.client.post("/imports", files={"other": ("orders.csv", SHORT_CSV, "text/csv")})
    assert plain.status_code == 400
    rid = running.accepted("POST", "/imports?bgrs=yes", files={"other": ("orders.csv", SHORT_CSV, "text/csv")})
    assert_equal(running.result(rid), plain)


def test_report_is_streamed_into_an_equal_result(running: Running) -> None:
    plain = running.client.get("/reports/sales.csv?rows=50000")
    assert plain.status_code == 200
    assert plain.headers["Content-Type"].startswith("text/csv")
    assert plain.text.count("\n") == 50_001
    rid = running.accepted("GET", "/reports/sales.csv?rows=50000&bgrs=yes")
    assert_equal(running.result(rid), plain)
    status = running.status(rid)
    assert status["name"] == "/reports/sales.csv?rows=50000&bgrs=yes"
    assert status["result"].endswith(".csv")


def test_result_of_a_failing_endpoint_is_the_500(running: Running) -> None:
    plain = running.client.get("/failing")
    assert plain.status_code == 500
    assert running.example.failure in plain.text
    rid = running.accepted("GET", "/failing?bgrs=yes")
    assert_equal(running.result(rid), plain)
    status = running.status(rid)
    assert (status["status_name"], status["status"]) == ("finished", "500")


def test_what_was_opened_at_startup_is_there_in_the_background(running: Running) -> None:
    plain = running.client.get("/rates")
    assert plain.json() == {"GBP": 0.85, "JPY": 162.5, "USD": 1.08}
    rid = running.accepted("GET", "/rates?bgrs=yes")
    assert_equal(running.result(rid), plain)


def test_slow_work_tells_how_far_it_is(running: Running) -> None:
    plain = running.client.get("/slow?seconds=0.4")
    assert plain.status_code == 200
    rid = running.accepted("GET", "/slow?seconds=0.4&bgrs=yes")
    assert_equal(running.result(rid), plain)
    assert running.details(rid) == ["started", "0 % done", "25 % done", "50 % done", "75 % done", "done"]


def test_slow_work_is_cancelled(running: Running) -> None:
    rid = running.accepted("GET", "/slow?seconds=3000&bgrs=yes")
    while running.status(rid)["progress"] is None:
        pass
    assert running.client.post(f"/bgrs/{rid}/cancel").status_code in (200, 202)
    response = running.result(rid)
    assert response.status_code == 409, response.text
    assert response.headers["Bgrs-Status"] == "cancelled"
    assert running.details(rid)[-1] == "cancelled"


@pytest.mark.parametrize("path", ["/reports/sales.csv?rows=-1", "/slow?seconds=soon"])
def test_nonsense_is_refused_both_ways(running: Running, path: str) -> None:
    plain = running.client.get(path)
    assert plain.status_code in (400, 422)
    assert_equal(running.result(running.accepted("GET", f"{path}&bgrs=yes")), plain)


def assert_equal(background: httpx.Response, plain: httpx.Response) -> None:
    assert background.headers.get("Bgrs-Request"), background.text
    assert background.status_code == plain.status_code
    assert background.headers["Content-Type"] == plain.headers["Content-Type"]
    assert background.content == plain.content
