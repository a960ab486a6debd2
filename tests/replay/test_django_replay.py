"""Django in a replay, through its ASGI handler and through its WSGI handler."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.test import override_settings

from bgrs_middleware.replay.asgi import start_replay
from replay import django_site
from replay.helpers import Stage, head_of, replay_in_thread, replay_on_loop, stage

Replay = Callable[[Stage], Stage]


@pytest.fixture(autouse=True)
def site() -> Iterator[list[str]]:
    """The site's settings, and the list of what happened in it."""
    django.setup()
    with override_settings(**django_site.SITE):
        django_site.events.clear()
        django_site.began.clear()
        yield django_site.events


@pytest.fixture(params=["asgi", "wsgi"])
def replay(request: pytest.FixtureRequest, site: list[str]) -> Replay:
    if request.param == "asgi":
        return lambda on: replay_on_loop(ASGIHandler(), on)
    return lambda on: replay_in_thread(WSGIHandler(), on)


def test_an_async_view_stays_alive(replay: Replay, tmp_path: Path) -> None:
    """Django listens for a disconnect beside the view, and takes a second `http.request` for a fault."""
    on = replay(stage(tmp_path, head_of("POST", "/waits"), b"some body"))
    assert (on.heard.response.status, on.content) == (200, b"alive")


def test_a_form_is_read(replay: Replay, tmp_path: Path) -> None:
    head = head_of(
        "POST", "/echo/a b", b"q=%2F", ((b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-length", b"19")), raw_path=b"/echo/a%20b",
    )  # fmt: skip
    on = replay(stage(tmp_path, head, b"a=1&b=%C3%A9&a=2&c="))
    assert json.loads(on.content) == {
        "post": {"a": ["1", "2"], "b": ["é"], "c": [""]},
        "path": "/echo/a b",
        "rest": "a b",
        "address": "203.0.113.9",
        "uri": "http://shop.example/echo/a%20b?q=%2F",
        "method": "POST",
    }


@pytest.mark.parametrize("name", ["streams", "streams-async"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_a_stream_is_captured_whole(replay: Replay, tmp_path: Path, name: str) -> None:
    on = replay(stage(tmp_path, head_of(path=f"/{name}")))
    assert on.content == b"0\n1\n2\n3\n4\n"


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_a_file_is_captured_whole_and_closed(replay: Replay, tmp_path: Path) -> None:
    on = replay(stage(tmp_path, head_of(path="/file")))
    assert on.content == Path(django_site.__file__).read_bytes()


def test_an_exception_is_djangos_own_500(replay: Replay, tmp_path: Path) -> None:
    on = replay(stage(tmp_path, head_of(path="/fails")))
    assert on.heard.response.status == 500
    assert b"<h1>Server Error (500)</h1>" in on.content


@pytest.mark.parametrize("name", ["echo/x", "streams", "fails"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_request_finished_is_sent_after_the_result_is_there(replay: Replay, tmp_path: Path, name: str) -> None:
    """Without it Django leaks its database connection."""
    on = stage(tmp_path, head_of(path=f"/{name}"))

    def started(**_: Any) -> None:
        on.heard.events.append("started")

    def finished(**_: Any) -> None:
        on.heard.events.append("finished")

    request_started.connect(started)
    request_finished.connect(finished)
    try:
        replay(on)
    finally:
        request_started.disconnect(started)
        request_finished.disconnect(finished)
    assert on.heard.events == ["started", "captured", "finished"]


def test_a_cancelled_async_view_is_really_stopped(site: list[str], tmp_path: Path) -> None:
    """Cancelling Django's own task leaves its view running; a disconnect stops it."""
    on = stage(tmp_path, head_of(path="/waits-long"))

    def finished(**_: Any) -> None:
        site.append("finished")

    async def main() -> None:
        task = start_replay(ASGIHandler(), on.job, state=None, loop=asyncio.get_running_loop())
        await asyncio.to_thread(django_site.began.wait)
        task.cancel()
        await asyncio.wait((task,))
        assert asyncio.all_tasks() == {asyncio.current_task()}

    request_finished.connect(finished)
    try:
        asyncio.run(main())
    finally:
        request_finished.disconnect(finished)
    assert site == ["began", "cancelled", "finished"]
    assert on.heard.stopped is True
