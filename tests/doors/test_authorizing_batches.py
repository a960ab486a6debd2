"""`authorize` and batches, through both doors: it is asked for the batch, and for each item before any is recorded."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from .answer import Answer
from .door import Door, Kind

ALICE = [("authorization", "Bearer alice")]


def send(door: Door, *requests: Any, headers: Any = ()) -> Answer:
    return door.call("POST", "/bgrs", headers, json.dumps({"requests": list(requests)}).encode())


def get(path: str) -> dict[str, str]:
    return {"method": "GET", "path": path}


class Outside:
    """Middleware of either gateway: leaves something in each scope or environ, and notes what was asked for."""

    def __init__(self, app: Any, leave: dict[str, Any], seen: list[Any]) -> None:
        self.app = app
        self._leave = leave
        self._seen = seen

    def __call__(self, gateway: dict[str, Any], *rest: Any) -> Any:
        if gateway.get("type", "http") == "http":
            gateway |= self._leave
            self._seen.append(asked_for(gateway))
        return self.app(gateway, *rest)


def asked_for(gateway: Any) -> dict[str, Any]:
    """All that a scope or environ says of the request itself."""
    if "type" in gateway:
        said = {name: gateway[name] for name in ("method", "path", "raw_path", "root_path")}
        return said | {"query": gateway["query_string"].decode(), "headers": list(gateway["headers"])}
    names = ("SCRIPT_NAME", "RAW_URI", "CONTENT_TYPE", "CONTENT_LENGTH")
    said = {name: value for name, value in gateway.items() if name.startswith("HTTP_") or name in names}
    method, path, query = gateway["REQUEST_METHOD"], gateway["PATH_INFO"], gateway["QUERY_STRING"]
    return said | {"method": method, "path": path, "query": query}


@pytest.mark.parametrize(
    "refused",
    [get("/do/secret"), get("/do/%73ecret"), {"method": "DELETE", "path": "/do/see:a"}, get("/do/see:a?all=1")],
)
def test_what_authorize_refuses_by_itself_it_refuses_in_a_batch(open_door: Any, refused: dict[str, str]) -> None:
    def authorize(gateway: Any) -> bool:
        asked = asked_for(gateway)
        return asked["path"] != "/do/secret" and asked["method"] != "DELETE" and "all" not in asked["query"]

    door = open_door(authorize=authorize)
    alone = door.call(refused["method"], refused["path"] + ("&" if "?" in refused["path"] else "?") + "bgrs=yes", ALICE)
    assert alone.status == 403
    key = [*ALICE, ("idempotency-key", '"one"')]
    answer = send(door, get("/do/see:b"), get("/do/see:c"), refused, get("/do/secret"), headers=key)
    assert (answer.status, answer.json()["detail"]) == (403, f"requests[2]: {alone.json()['detail']}")
    anonymous = send(door, refused)
    assert (anonymous.status, anonymous.json()["detail"][:13]) == (401, "requests[0]: ")
    assert door.get("/bgrs", ALICE).json()["requests"] == []
    # The key was not used either.
    allowed = send(door, get("/do/see:b"), get("/do/see:c"), headers=key)
    assert door.ended(allowed.rid, ALICE)["status_name"] == "finished"
    assert sorted(door.stage.seen) == ["b", "c"]


def test_authorize_may_refuse_all_batches(open_door: Any) -> None:
    door = open_door(authorize=lambda gateway: asked_for(gateway)["path"] != "/bgrs")
    answer = door.call("POST", "/bgrs", ALICE, b"no JSON")
    assert (answer.status, answer.json()["detail"][:3]) == (403, "You")


@pytest.mark.parametrize("root_path", ["", "/api"])
def test_authorize_is_asked_for_what_will_run(open_door: Any, root_path: str) -> None:
    asked: list[dict[str, Any]] = []
    ran: list[dict[str, Any]] = []

    def authorize(gateway: Any) -> bool:
        asked.append(asked_for(gateway))
        return True

    door = open_door(authorize=authorize, root_path=root_path, wrap=lambda app: Outside(app, {}, ran))
    headers = [*ALICE, ("x-inherited", "1"), ("content-type", "application/json"), ("prefer", "respond-async")]
    rid = send(
        door,
        {
            "method": "put",
            "path": "/a%2Fb/\u00fc;v=1?bgrs=yes&b=%20",
            "headers": {
                "X-Own": ["one", "two"],
                "X_Own": "three",
                "Authorization": "Bearer bob",
                "Content-Length": "1",
            },
            "body": {"a": 1},
        },
        {"method": "GET", "path": "//b", "headers": {"X-Inherited": [], "Transfer-Encoding": "chunked"}},
        {"method": "DELETE", "path": "/c?d", "body_base64": "AP8="},
        headers=headers,
    ).rid
    door.ended(rid, ALICE)
    of_the_batch, *of_items = asked
    assert (of_the_batch["method"], of_the_batch["path"][-5:]) == ("POST", "/bgrs")
    by_method = {each["method"]: each for each in ran}
    assert [each["method"] for each in of_items] == ["PUT", "GET", "DELETE"]
    assert of_items == [by_method[each["method"]] for each in of_items]


def test_authorize_is_given_copies_of_what_came_from_outside(open_door: Any) -> None:
    seen: list[Any] = []
    parsed: list[bool] = []

    def authorize(gateway: Any) -> bool:
        seen.append((gateway["user"], dict(gateway["session"]), list(gateway["state"]["list"]), "mark" in gateway))
        parsed.append("bottle.request.query" in gateway)
        gateway["mark"] = gateway["session"]["mark"] = True
        gateway["state"]["list"] = ["mark"]
        if len(seen) > 1:
            for name in ("headers", "path", "PATH_INFO", "HTTP_AUTHORIZATION", "method", "REQUEST_METHOD"):
                gateway.pop(name, None)
            assert "wsgi.input" not in gateway or gateway["wsgi.input"].read() == b""
        return True

    door = open_door(authorize=authorize)
    left = {"user": object(), "session": {"n": 1}, "state": {"list": ["from outside"]}, "bottle.request.query": "a=b"}
    door.gateway.app = Outside(door.gateway.app, left, [])
    rid = send(door, {"method": "POST", "path": "/items"}, get("/do/see:it%20ran"), headers=ALICE).rid
    assert seen == [(left["user"], {"n": 1}, ["from outside"], False)] * 3
    # What a framework has parsed of the batch is not what the items are.
    assert parsed == [True, False, False]
    first, second = door.ended(rid, ALICE)["items"]
    assert door.result(first["name"], ALICE).json()["path"] == "/items"
    assert (door.stage.seen, second["state"]) == (["it ran"], "finished")


def test_others_have_their_turn_while_authorize_is_asked(open_door: Any, kind: Kind) -> None:
    turns: list[str] = []
    before_the_last: list[str] = []

    async def authorize(scope: Any) -> bool:
        before_the_last[:] = turns
        asyncio.get_running_loop().call_soon(turns.append, scope["path"])
        return bool(scope["path"] != "/do/secret")

    if kind == "asgi":
        door = open_door(authorize=authorize)
        refused = send(door, *[get("/do/ask")] * 20, get("/do/secret"), headers=ALICE)
        assert (refused.status, refused.json()["detail"][:14]) == (403, "requests[20]: ")
        assert "/do/ask" in before_the_last
