"""Reading a batch: what each item becomes, and what is refused, with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.errors import BadRequest
from bgrs_middleware.protocol.batches import BatchItem, read_batch
from bgrs_middleware.protocol.message import RequestHead
from bgrs_middleware.protocol.replayed import replayed_head
from bgrs_middleware.protocol.rules import Rules
from bgrs_middleware.settings import Rule, Settings

SETTINGS = Settings()
GET: dict[str, Any] = {"method": "GET", "path": "/a"}


def a_head(**changes: Any) -> RequestHead:
    fields: dict[str, Any] = {
        "method": "POST",
        "path": "/bgrs",
        "root_path": "",
        "raw_path": b"/bgrs",
        "query": b"wait_for=3",
        "headers": (),
        "scheme": "https",
        "client": ("192.0.2.7", 1234),
        "gateway": (("SERVER_NAME", "example"),),
    }
    return RequestHead(**(fields | changes))


def read(*requests: Any, head: RequestHead | None = None, settings: Settings = SETTINGS) -> list[BatchItem]:
    body = json.dumps({"requests": requests}).encode()
    return read_batch(body, head or a_head(), settings, Rules(settings.rules))


def one(head: RequestHead | None = None, **request: Any) -> BatchItem:
    [item] = read(GET | request, head=head)
    return item


def refusal(body: bytes, settings: Settings = SETTINGS) -> str:
    with pytest.raises(BadRequest) as caught:
        read_batch(body, a_head(), settings, Rules(settings.rules))
    return caught.value.detail


def test_an_item_is_at_the_batchs_own_door() -> None:
    item = one(method="delete", path="/items/7?a=1")
    head = item.head
    assert (head.method, head.path, head.raw_path, head.query) == ("DELETE", "/items/7", b"/items/7", b"a=1")
    assert (head.scheme, head.client, head.gateway) == ("https", ("192.0.2.7", 1234), (("SERVER_NAME", "example"),))
    assert (item.body, item.rule) == (b"", None)


@pytest.mark.parametrize(
    ("path", "decoded", "raw", "query"),
    [
        ("/", "/", b"/", b""),
        ("/a%2Fb?", "/a/b", b"/a%2Fb", b""),
        ("/ä?ö=%C3%B6", "/ä", b"/%C3%A4", b"%C3%B6=%C3%B6"),
        ("//a/../b;c=d", "//a/../b;c=d", b"//a/../b;c=d", b""),
        ("/a?b=c?d&e[]=|", "/a", b"/a", b"b=c?d&e[]=|"),
    ],
)
def test_paths_and_queries_stay_as_sent(path: str, decoded: str, raw: bytes, query: bytes) -> None:
    head = one(path=path).head
    assert (head.path, head.raw_path, head.query) == (decoded, raw, query)


@pytest.mark.parametrize("includes_root", [True, False])
def test_below_a_root_the_path_is_below_it_as_the_batchs_own_is(includes_root: bool) -> None:
    root = "/a b" if includes_root else ""
    head = one(a_head(root_path="/a b", path=f"{root}/bgrs", raw_path=b"/..."), path="/items").head
    assert (head.path, head.route_path) == (f"{root}/items", "/items")
    assert head.raw_path == (b"/a%20b/items" if includes_root else b"/items")


def test_headers_are_inherited_but_for_those_about_the_batch_itself() -> None:
    kept = ((b"host", b"h"), (b"authorization", b"A"), (b"cookie", b"a=1"), (b"accept", b"x/y"), (b"x-a", b"1"))
    dropped = tuple(
        (name, b"0")
        for name in (
            *(b"content-type", b"content-length", b"content-encoding", b"content-digest", b"transfer-encoding"),
            *(b"idempotency-key", b"prefer", b"if-match", b"if-none-match", b"range", b"expect", b"connection"),
        )
    )
    item = one(a_head(headers=kept + dropped))
    assert item.head.headers == kept
    assert replayed_head(item.head, SETTINGS, 0).headers == (*kept, (b"accept-encoding", b"identity"))


def test_an_items_own_headers_replace_those_of_the_same_name() -> None:
    head = a_head(headers=((b"x-a", b"1"), (b"x-b", b"2"), (b"x-a", b"3")))
    own = {"X-A": ["4", " 5 "], "Idempotency-Key": '"k"'}
    assert one(head, headers=own).head.headers == (
        (b"x-b", b"2"),
        (b"x-a", b"4"),
        (b"x-a", b"5"),
        (b"idempotency-key", b'"k"'),
    )
    assert one(head, headers={"X-A": []}).head.headers == ((b"x-b", b"2"),)


@pytest.mark.parametrize(
    ("request_", "body", "content_type"),
    [
        ({"body": "tä"}, "tä".encode(), None),
        ({"body": ""}, b"", None),
        ({"body": {"a": [1.5, None, "\ud800"]}}, b'{"a":[1.5,null,"\\ud800"]}', b"application/json"),
        ({"body": 0}, b"0", b"application/json"),
        ({"body": False}, b"false", b"application/json"),
        ({"body": None}, b"", None),
        ({"body": [], "headers": {"Content-Type": "text/x"}}, b"[]", b"text/x"),
        ({"body_base64": "AP8="}, b"\x00\xff", None),
        ({"body_base64": "", "body": None, "headers": None}, b"", None),
    ],
)
def test_bodies(request_: dict[str, Any], body: bytes, content_type: bytes | None) -> None:
    item = one(**request_)
    assert (item.body, item.head.header(b"content-type")) == (body, content_type)


def test_the_rule_of_an_items_path_holds_for_it() -> None:
    rule = Rule(path="/a", methods=("GET",), type="A")
    [item, other] = read(GET, {"method": "PUT", "path": "/a"}, settings=Settings(rules=(rule,)))
    assert (item.rule, other.rule) == (rule, None)


@pytest.mark.parametrize(
    ("bad", "place"),
    [
        (7, "requests[1]:"),
        ({"method": "GET"}, "requests[1].path:"),
        ({"path": "/a"}, "requests[1].method:"),
        (GET | {"method": 1}, "requests[1].method:"),
        (GET | {"method": "G T"}, "requests[1].method:"),
        *((GET | {"method": method}, "requests[1].method:") for method in ("HEAD", "options", "CONNECT", "TRACE")),
        *(
            (GET | {"path": path}, "requests[1].path:")
            for path in ("a", "", 1, "http://h/", "/a b", "/a#b", "/a\n", "/\ud800", "/a\\b")
        ),
        *(
            (GET | {"path": path}, "requests[1].path:")
            for path in ("/bgrs", "/bgrs/x", f"/bgrs/{'0' * 32}", f"/bgrs/v1/p/operations/{'0' * 32}", "/%62grs")
        ),
        (GET | {"headers": []}, "requests[1].headers:"),
        (GET | {"headers": {"a b": "c"}}, "requests[1].headers:"),
        (GET | {"headers": {"a": "b\r\nc: d"}}, "requests[1].headers.a:"),
        (GET | {"headers": {"a": 1}}, "requests[1].headers.a:"),
        (GET | {"headers": {"X-Forwarded-User": "admin"}}, "requests[1].headers:"),
        (GET | {"headers": {"x_real_ip": "127.0.0.1"}}, "requests[1].headers:"),
        (GET | {"headers": {"Host": "example.com"}}, "requests[1].headers:"),
        (GET | {"headers": {"a": ["b", None]}}, "requests[1].headers.a:"),
        (GET | {"body": "a", "body_base64": "YQ=="}, "requests[1]:"),
        (GET | {"body_base64": "Y"}, "requests[1].body_base64:"),
        (GET | {"body_base64": 1}, "requests[1].body_base64:"),
        (GET | {"body_base64": "ä"}, "requests[1].body_base64:"),
        (GET | {"body": "\ud800"}, "requests[1].body:"),
        (GET | {"bdoy": 1}, "requests[1]:"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(bad: Any, place: str) -> None:
    detail = refusal(json.dumps({"requests": [GET, bad]}).encode())
    assert detail.startswith(place), detail


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"null",
        b"[]",
        b"{}",
        b'{"requests": null}',
        b'{"requests": {}}',
        b'{"requests": []}',
        b'{"requests": [{"method": "GET", "path": "/"}], "more": 1}',
        b'{"requests": [{"method": "GET", "path": "/", "body": NaN}]}',
        b'{"requests": [{"method": "GET", "path": "/", "body": 1e999}]}',
        b'{"requests": [{"method": "GET", "path": "/", "body": %s}]}' % (b"9" * 10_000),
        b'{"requests": ' + b"[" * 200_000,
        b'{"requests": [{"method": "GET", "path": "/", "body": ' + b"[" * 90_000 + b"]" * 90_000 + b"}]}",
    ],
)
def test_what_is_no_batch_is_refused(body: bytes) -> None:
    assert refusal(body)


def test_more_than_a_batch_takes_is_refused_with_the_limit() -> None:
    settings = Settings(max_batch_items=2)
    assert len(read(GET, GET, settings=settings)) == 2
    assert "at most 2" in refusal(json.dumps({"requests": [GET] * 3}).encode(), settings)
    assert "at most 1" in refusal(json.dumps({"requests": [GET] * 2}).encode(), Settings(max_queued=1))


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
requests = st.fixed_dictionaries(
    {"method": st.one_of(st.just("PUT"), anything), "path": st.one_of(st.text(max_size=9).map("/".__add__), anything)},
    optional={"headers": anything, "body": anything, "body_base64": anything},
)


@given(st.lists(st.one_of(requests, anything), max_size=3))
def test_whatever_is_sent_is_read_or_refused(sent: list[Any]) -> None:
    try:
        items = read(*sent)
    except BadRequest:
        return
    for item in items:
        assert item.head.raw_path.startswith(b"/")
        assert not set(item.head.raw_path + item.head.query) & set(b" \r\n\x00#")
        assert all(name and not set(value) & set(b"\r\n\x00") for name, value in item.head.headers)
