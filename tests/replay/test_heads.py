"""From a gateway's request to a stored head and back: nothing of it may change on the way."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.progress import Run
from bgrs_middleware.replay.environ import environ_as, environ_of, head_from_environ
from bgrs_middleware.replay.scope import head_from_scope, scope_of
from replay.helpers import RID, head_of

RUN = Run(rid=RID, attempt=1, method="GET", name="/", changed=lambda _: None)


def environ_with(**changes: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        **changes,
    }


def again(environ: dict[str, Any], body_length: int = 0) -> dict[str, Any]:
    return environ_of(head_from_environ(environ), RUN, body_length, io.BytesIO())


LATIN = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=12)


@given(LATIN, LATIN, st.booleans())
def test_paths_keep_their_bytes_whatever_these_are(script: str, path: str, sent: bool) -> None:
    environ = environ_with(SCRIPT_NAME="/" + script if script else "", PATH_INFO="/" + path)
    if sent:
        environ["RAW_URI"] = "/something%20else"
    head = head_from_environ(environ)
    assert unquote_to_bytes(head.raw_path) == (environ["SCRIPT_NAME"] + environ["PATH_INFO"]).encode("latin-1")
    replayed = again(environ)
    assert (replayed["SCRIPT_NAME"], replayed["PATH_INFO"]) == (environ["SCRIPT_NAME"], environ["PATH_INFO"])


def test_a_path_that_is_no_utf_8_is_replayed_exactly() -> None:
    environ = environ_with(PATH_INFO="/caf\xe9/\xff%2F;a=b")
    head = head_from_environ(environ)
    assert head.raw_path == b"/caf%E9/%FF%252F;a=b"
    assert head.path == "/caf\ufffd/\ufffd%2F;a=b"
    assert again(environ)["PATH_INFO"] == environ["PATH_INFO"]


@pytest.mark.parametrize(
    ("variable", "sent", "raw_path"),
    [
        ("RAW_URI", "/a%2fb/c%20d?bgrs=yes&x=1", b"/a%2fb/c%20d"),
        ("REQUEST_URI", "/a%2Fb/c%20d", b"/a%2Fb/c%20d"),
        ("RAW_URI", "http://shop.example/a%2fb/c%20d", b"/a/b/c%20d"),
        ("RAW_URI", "/another/path", b"/a/b/c%20d"),
        ("RAW_URI", "", b"/a/b/c%20d"),
    ],
)
def test_the_path_as_sent_is_taken_where_it_is_the_same_path(variable: str, sent: str, raw_path: bytes) -> None:
    environ = environ_with(PATH_INFO="/a/b/c d", QUERY_STRING="x=1", **{variable: sent})
    head = head_from_environ(environ)
    assert head.raw_path == raw_path
    assert again(environ)[variable] == raw_path.decode() + "?x=1"


def test_a_server_that_sends_no_uri_gets_none() -> None:
    assert not {"RAW_URI", "REQUEST_URI"} & again(environ_with()).keys()


def test_what_is_read_from_an_environ() -> None:
    head = head_from_environ(
        environ_with(
            REQUEST_METHOD="POST", SCRIPT_NAME="/shop", PATH_INFO="/gr\xc3\xbc\xc3\x9fe", QUERY_STRING="a=\xe9&a=%2F",
            CONTENT_TYPE="text/csv", CONTENT_LENGTH="3", HTTP_HOST="h", HTTP_X_A="\xff", HTTP_CONTENT_TYPE="evil",
            REMOTE_ADDR="203.0.113.9", REMOTE_PORT="7", SERVER_PORT="443", SERVER_PROTOCOL="HTTP/1.0",
            SSL_PROTOCOL="TLSv1.3", HTTPS="on",
            **{"wsgi.url_scheme": "https", "gunicorn.socket": "s", "wsgi.input": io.BytesIO(), "HTTP_ODD": 7},
        )
    )  # fmt: skip
    assert head.headers == (
        (b"content-type", b"text/csv"), (b"content-length", b"3"), (b"host", b"h"), (b"x-a", b"\xff")
    )  # fmt: skip
    assert (head.method, head.path, head.root_path, head.route_path) == ("POST", "/shop/grüße", "/shop", "/grüße")
    assert (head.query, head.scheme, head.http_version) == (b"a=\xe9&a=%2F", "https", "1.0")
    assert (head.client, head.server) == (("203.0.113.9", 7), ("shop.example", 443))
    assert dict(head.gateway) == {
        "SCRIPT_NAME": "/shop", "SERVER_NAME": "shop.example", "SERVER_PORT": "443", "SERVER_PROTOCOL": "HTTP/1.0",
        "REMOTE_ADDR": "203.0.113.9", "REMOTE_PORT": "7", "SSL_PROTOCOL": "TLSv1.3", "HTTPS": "on",
    }  # fmt: skip


def test_an_environ_with_little_in_it_is_enough() -> None:
    head = head_from_environ({"REQUEST_METHOD": "GET", "REMOTE_ADDR": "", "CONTENT_TYPE": "", "CONTENT_LENGTH": ""})
    assert (head.path, head.raw_path, head.headers, head.client, head.server) == ("", b"", (), None, None)


def test_a_head_that_no_server_sent_becomes_an_environ() -> None:
    """An item of a batch has no gateway of its own."""
    head = head_of("GET", "/shop/a/ü", b"x=1", root_path="/shop", raw_path=b"/shop/a/%C3%BC", scheme="https")
    environ = environ_of(head, RUN, 0, io.BytesIO())
    expected = {
        "SCRIPT_NAME": "/shop", "PATH_INFO": "/a/\xc3\xbc", "QUERY_STRING": "x=1", "SERVER_NAME": "shop.example",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "203.0.113.9", "REMOTE_PORT": "5555",
        "wsgi.url_scheme": "https",
    }  # fmt: skip
    assert {name: environ[name] for name in expected} == expected


HEADERS = st.lists(st.tuples(st.sampled_from([b"x-a", b"x-b", b"cookie"]), st.binary(max_size=5)), max_size=6)


@given(st.text(max_size=10), st.binary(max_size=10), st.binary(max_size=10), HEADERS)
def test_a_scope_comes_back_as_it_was(path: str, raw: bytes, query: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.5"}, "method": "PUT", "path": "/" + path,
        "raw_path": b"/" + raw.replace(b"?", b""), "query_string": query, "root_path": "/" + path[:2],
        "headers": headers, "client": ["::1", 7], "server": ("/run/socket", None), "scheme": "https",
        "http_version": "2", "extensions": {"http.response.pathsend": {}}, "state": {}, "app": object(), "user": 1,
    }  # fmt: skip
    replayed = scope_of(head_from_scope(scope), RUN, None)
    same = ("type", "method", "path", "raw_path", "query_string", "root_path", "headers", "server", "scheme")
    assert {name: replayed[name] for name in same} == {name: scope[name] for name in same}
    assert replayed["client"] == ("::1", 7)
    assert not {"extensions", "state", "app", "user"} & replayed.keys()
    assert all(type(pair) is tuple for pair in replayed["headers"])


def test_a_scope_with_little_in_it_is_enough() -> None:
    head = head_from_scope({"type": "http", "method": "GET", "path": "/a ü?", "headers": [[b"X-A", b"1"]]})
    assert (head.raw_path, head.query, head.headers) == (b"/a%20%C3%BC%3F", b"", ((b"x-a", b"1"),))
    assert (head.root_path, head.scheme, head.http_version, head.client, head.server) == ("", "http", "1.1", None, None)


def test_a_raw_path_that_holds_the_query_is_cut() -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/a",
        "raw_path": b"/a?b=c",
        "query_string": b"b=c",
        "headers": [],
    }
    assert head_from_scope(scope).raw_path == b"/a"


def test_of_another_request_an_environ_says_nothing_of_the_one_that_came() -> None:
    came = environ_with(
        PATH_INFO="/bgrs",
        HTTP_X_CAME="1",
        CONTENT_TYPE="text/plain",
        CONTENT_LENGTH="3",
        RAW_URI="/bgrs",
        DOCUMENT_URI="/bgrs",
        SCRIPT_URL="/bgrs",
        REMOTE_USER="ann",
        **{"wsgi.input": io.BytesIO(b"abc")},
    )
    other = head_from_environ(environ_with(PATH_INFO="/caf\xe9/\xff", QUERY_STRING="a=b", HTTP_X_OTHER="1"))
    given = environ_as(came, other)
    assert given.pop("wsgi.input").read() == b""
    assert given == environ_with(
        PATH_INFO="/caf\xe9/\xff", QUERY_STRING="a=b", HTTP_X_OTHER="1", RAW_URI="/caf%E9/%FF?a=b", REMOTE_USER="ann"
    )
