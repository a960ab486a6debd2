"""Flask in a replay: forms, files, sessions, `g`, teardown and streams, unmodified."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask, g, jsonify, request, send_file, session, stream_with_context
from werkzeug.test import EnvironBuilder

from bgrs_middleware.progress import current_request, report_progress
from bgrs_middleware.replay.environ import head_from_environ
from replay.helpers import Stage, head_of, replay_in_thread, stage


def site(events: list[str]) -> Flask:
    app = Flask(__name__)
    app.secret_key = "tests"

    @app.before_request
    def before() -> None:
        g.resource = "resource"

    @app.teardown_request
    def teardown(_: BaseException | None) -> None:
        # Older Flasks tear down where nothing was set up: in a test client's session_transaction.
        events.append(f"teardown {g.get('resource')}")

    @app.post("/form")
    def form() -> Any:
        run = current_request()
        assert run is not None
        report_progress(30)
        upload = request.files["upload"]
        return jsonify(
            [g.resource, request.form.to_dict(flat=False), upload.filename, len(upload.read()), request.remote_addr]
        )

    @app.get("/stream")
    def stream() -> Any:
        def rows() -> Iterator[str]:
            for number in range(3):
                yield f"{number} {g.resource} {request.args['q']}\n"

        return app.response_class(stream_with_context(rows()), mimetype="text/csv")

    @app.get("/count")
    def count() -> Any:
        session["visits"] = session.get("visits", 0) + 1
        return jsonify(session["visits"])

    @app.get("/file")
    def file() -> Any:
        return send_file(io.BytesIO(b"x" * 200_000), "application/octet-stream")

    @app.get("/fails")
    def fails() -> Any:
        raise ValueError("boom")

    return app


def test_a_chunked_form_with_a_file_is_parsed(tmp_path: Path) -> None:
    """Werkzeug reads an empty body where CONTENT_LENGTH is missing and the input is not marked as terminated."""
    builder = EnvironBuilder(
        "/form", method="POST", data={"a": ["1", "2"], "upload": (io.BytesIO(b"1,2\n" * 100_000), "a.csv")}
    )
    environ = builder.get_environ()
    body = environ["wsgi.input"].read()
    environ.pop("CONTENT_LENGTH")
    environ.update({"HTTP_TRANSFER_ENCODING": "chunked", "REMOTE_ADDR": "203.0.113.9"})
    events: list[str] = []
    on = replay_in_thread(site(events), stage(tmp_path, head_from_environ(environ), body))
    assert json.loads(on.content) == ["resource", {"a": ["1", "2"]}, "a.csv", 400_000, "203.0.113.9"]
    assert on.run.progress == 30.0
    assert events == ["teardown resource"]


def get(tmp_path: Path, path: str, events: list[str], query: bytes = b"", cookie: bytes | None = None) -> Stage:
    headers = () if cookie is None else ((b"cookie", cookie),)
    on = stage(tmp_path, head_of(path=path, query=query, headers=headers))
    on.heard.events = events
    return replay_in_thread(site(events), on)


def test_a_stream_with_its_context_is_torn_down_as_in_a_call(tmp_path: Path) -> None:
    in_a_call: list[str] = []
    with site(in_a_call).test_client() as client:
        expected = client.get("/stream?q=%C3%A9").text
    on = get(tmp_path, "/stream", [], b"q=%C3%A9")
    assert on.content.decode() == expected == "0 resource é\n1 resource é\n2 resource é\n"
    assert [event for event in on.heard.events if event != "captured"] == in_a_call


def test_a_session_is_read_and_what_it_sets_is_withheld(tmp_path: Path) -> None:
    with site([]).test_client() as client:
        cookie = client.get("/count").headers["Set-Cookie"].partition(";")[0].encode()
    on = get(tmp_path, "/count", [], cookie=cookie)
    assert on.content == b"2\n"
    assert on.notes == ["withheld from the response: set-cookie"]


def test_a_file_is_captured_whole(tmp_path: Path) -> None:
    on = get(tmp_path, "/file", [])
    assert on.content == b"x" * 200_000
    assert (b"Content-Length", b"200000") in on.heard.response.headers


def test_an_exception_is_flasks_own_500(tmp_path: Path) -> None:
    on = get(tmp_path, "/fails", [])
    assert on.heard.response.status == 500
    assert b"<h1>Internal Server Error</h1>" in on.content
    assert "teardown resource" in on.heard.events
