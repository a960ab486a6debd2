"""httpbin behind waitress and gunicorn, unmodified: methods, headers, streams, redirects, encodings, statuses."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers import serve

from .clients import Client


@pytest.fixture(scope="module", params=["waitress", "gunicorn-gthread"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    data_dir = tmp_path_factory.mktemp("httpbin") / "data"
    folder = Path(__file__).parent / "apps"
    with (
        serve(request.param, "httpbin_app:app", folder=folder, data_dir=data_dir) as server,
        Client(server.url) as client,
    ):
        yield client


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_each_method_arrives_with_its_body_and_query(client: Client, method: str) -> None:
    body = b"" if method == "GET" else json.dumps({"rows": ["é", 1, None]}).encode()
    headers = {"Content-Type": "application/json"} if body else {}
    plain, _ = client.check_equal(method, f"/{method.lower()}?a=1&a=%C3%A9&b=", headers, body)
    assert json.loads(plain.body)["args"] == {"a": ["1", "é"], "b": ""}


def test_a_form_and_an_upload_arrive(client: Client) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    plain, _ = client.check_equal("POST", "/post", form, b"name=x&name=y%20z")
    assert json.loads(plain.body)["form"] == {"name": ["x", "y z"]}
    upload = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n\r\nrow\r\n--b--\r\n'
    plain, _ = client.check_equal("POST", "/post", {"Content-Type": "multipart/form-data; boundary=b"}, upload)
    assert json.loads(plain.body)["files"] == {"f": "row"}


def test_request_headers_arrive(client: Client) -> None:
    plain, _ = client.check_equal("GET", "/headers", {"X-Odd": "caf%C3%A9; a, b", "Cookie": "a=1; b=2"})
    assert json.loads(plain.body)["headers"]["Cookie"] == "a=1; b=2"


@pytest.mark.parametrize(
    "target",
    [
        "/response-headers?X-Free=form&X-Free=again&Link=%3Ca%3E",
        "/stream/25",
        "/bytes/1000?seed=7",
        "/bytes/102400?seed=7",
        "/stream-bytes/70000?seed=7&chunk_size=999",
        "/range/5000?chunk_size=100",
        "/drip?numbytes=5&duration=0&code=202",
        "/html",
        "/xml",
        "/json",
        "/robots.txt",
        "/image/svg",
        "/image/png",
        "/encoding/utf8",
        "/links/3/1",
        "/etag/abc",
        "/cache/60",
        "/base64/aGVsbG8=",
        "/basic-auth/me/secret",
        "/bearer",
        "/anything/a%2Fb/%C3%A9?next=/a?b",
    ],
)
def test_answers_are_captured_as_they_are(client: Client, target: str) -> None:
    client.check_equal("GET", target)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 301, 304, 400, 401, 404, 406, 418, 429, 500, 503])
def test_each_status_is_captured(client: Client, status: int) -> None:
    plain, result = client.check_equal("GET", f"/status/{status}")
    assert (plain.status, result.status) == (status, status)


@pytest.mark.parametrize(
    "target", ["/redirect/3", "/absolute-redirect/1", "/redirect-to?url=%2Fget%3Fa%3D1&status_code=307"]
)
def test_redirects_are_results_and_not_followed(client: Client, target: str) -> None:
    plain, _ = client.check_equal("GET", target)
    assert plain.status in (302, 307)


@pytest.mark.parametrize(("target", "window_bits"), [("/gzip", 31), ("/deflate", 15)])
def test_an_encoded_answer_is_captured_as_encoded(client: Client, target: str, window_bits: int) -> None:
    _, result = client.in_background("GET", target)
    plain = client.send("GET", target)
    assert result.header("content-encoding") == plain.header("content-encoding") == target[1:]
    # The gzip header holds the time.
    assert zlib.decompress(result.body, window_bits) == zlib.decompress(plain.body, window_bits)


def test_cookies_are_seen_by_the_application_and_withheld_from_the_result(client: Client) -> None:
    client.check_equal("GET", "/cookies", {"Cookie": "a=1"})
    plain, result = client.check_equal("GET", "/cookies/set?a=1")
    assert plain.header("set-cookie") is not None
    assert result.header("set-cookie") is None


def test_a_range_of_the_request_is_not_replayed_and_one_of_the_result_is_answered(client: Client) -> None:
    rid, whole = client.in_background("GET", "/range/5000", {"Range": "bytes=10-19"})
    assert whole.status == 200
    assert len(whole.body) == 5000
    part = client.send("GET", f"/bgrs/{rid}/result", {"Range": "bytes=10-19"})
    assert (part.status, part.body) == (206, whole.body[10:20])
