"""In whatever place of whatever framework the middleware stands: the worker finds it, and runs what it accepted."""

from __future__ import annotations

from pathlib import Path

import pytest

from recovery.theatre import ask, call, until
from worker.house import House

PLACES = {
    "starlette": ("uvicorn", "site_starlette:added", ""),
    "around starlette": ("uvicorn", "site_starlette:around", ""),
    "mounted": ("uvicorn", "site_starlette:mounted", "/below"),
    "inside of a mounted one": ("uvicorn", "site_starlette:inside_mounted", "/below"),
    "hidden": ("uvicorn", "site_starlette:hidden", ""),
    "flask": ("waitress", "site_flask:app", ""),
    "flask below others": ("waitress", "site_flask:below_others", "/below"),
    "django wsgi": ("waitress", "site_django:wsgi", ""),
    "django asgi": ("uvicorn", "site_django:asgi", ""),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_worker_finds_the_middleware_and_runs_its_requests(asgi_house: House, place: str):
    kind, target, below = PLACES[place]
    with asgi_house.web_of(kind, target) as web, asgi_house.worker(target=target) as worker:
        plain = call(web, "POST", f"{below}/told")
        response = call(web, "POST", f"{below}/told?bgrs=yes&wait_for=25")
        assert response.status_code == plain.status_code == 200
        assert plain.json()["pid"] == web.process.pid
        # The same in all else: the state of the lifespan, what lies around the middleware, the path.
        assert response.json() == plain.json() | {"pid": worker.process.pid}
        # Only what lies around an application that is named by no scope is out of reach, here as in a web process.
        out_of_reach = place == "inside of a mounted one"
        assert response.headers.get("x-outer") == ("no" if out_of_reach else plain.headers.get("x-outer"))


def test_the_lifespan_is_run_once_around_all(asgi_house: House):
    target = "site_starlette:added"
    with asgi_house.web_of("uvicorn", target) as web, asgi_house.worker(target=target) as worker:
        for _ in range(3):
            assert call(web, "GET", "/told?bgrs=yes&wait_for=25").json()["pool"] == "a pool"
        worker.tell()
        assert worker.ended() == 0
    assert notes(asgi_house, worker.process.pid) == ["startup", "shutdown"]


def test_an_application_whose_startup_fails_is_told_of(asgi_house: House):
    with asgi_house.starting(target="site_starlette:unstartable") as worker:
        assert worker.ended() == 1
        assert "bgrs worker: the application could not start: " in worker.log()
        assert "the licence server is away" in worker.log()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("site_starlette:without", "no BgrsMiddleware was found: the lifespan reached none, and there is none in "),
        ("site_starlette:without", "site_starlette.Passed"),
        ("site_flask:without", "no BgrsMiddleware was found: there is none in flask.app.Flask"),
        ("site_flask:nothing", "site_flask:nothing: there is no 'nothing' in it"),
        ("site_flask:__name__", "a builtins.str, which is no application"),
        ("no_such_module:app", "it cannot be imported: No module named 'no_such_module'"),
        ("site_flask", 'not of the form "module:attribute"'),
        ("site_starlette:in_memory", "a memory store serves one process"),
    ],
)
@pytest.mark.parametrize("processes", ["1", "2"])
def test_what_cannot_work_says_why_and_is_not_tried_again(asgi_house: House, target: str, said: str, processes: str):
    with asgi_house.starting("--processes", processes, target=target) as worker:
        assert worker.ended() == 2
        assert said in worker.log()


def test_a_thread_that_does_not_listen_holds_nobody_up(asgi_house: House):
    target = "site_starlette:added"
    with asgi_house.web_of("uvicorn", target, lease_seconds="3600") as web:
        with asgi_house.worker(target=target, lease_seconds="3600", drain_seconds="0.2") as worker:
            rid = ask(web, "POST", "/deaf")
            while "deaf" not in notes(asgi_house, worker.process.pid):
                assert worker.process.poll() is None
            worker.tell()
            assert worker.ended() == 0
        # It could not be handed back, so that its worker's end tells.
        until(web, rid, "lost")


def notes(house: House, pid: int) -> list[str]:
    file: Path = house.folder / "go" / "lifespan"
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [text for text, noted_by in lines if noted_by == str(pid)]
