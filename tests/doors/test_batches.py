"""Batches through both doors (CONTRACT, section 5): many requests in one, and each of them a request of its own."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from bgrs_middleware.settings import Rule

from .answer import Answer
from .door import Door

ALICE = [("authorization", "Bearer alice")]
PARENT = "/bgrs/v1/projects/default/locations/default/operations"


def send(door: Door, *requests: Any, headers: Any = (), target: str = "/bgrs") -> Answer:
    return door.call("POST", target, headers, json.dumps({"requests": list(requests)}).encode())


def get(path: str) -> dict[str, str]:
    return {"method": "GET", "path": path}


def operation(door: Door, rid: str) -> dict[str, Any]:
    return dict(door.get(f"{PARENT}/{rid}").json())


def item_states(door: Door, rid: str) -> list[str]:
    return [item["state"] for item in door.status(rid)["items"]]


def test_a_batch_is_answered_like_any_request_for_the_background(door: Door) -> None:
    answer = send(door, get("/do/ask"), get("/do/ask"))
    assert (answer.status, list(answer.json())) == (202, ["request"])
    assert answer.body == b'{"request": "%s"}' % answer.rid.encode()
    for name in ("location", "operation-location", "retry-after", "link", "cache-control"):
        assert answer.header(name), name
    assert str(answer.header("location")).endswith(f"/bgrs/{answer.rid}/result")


def test_each_item_is_a_request_of_its_own_and_the_result_lists_them(door: Door) -> None:
    rid = send(door, get("/do/ask"), get("/nowhere/to/be/found"), get("/do/raise:oh")).rid
    document = door.ended(rid)
    assert (document["status_name"], document["progress"], document["status"]) == ("finished", "100.00", "200")
    assert (document["method"], document["name"], document["attempt"], document["parent"]) == (
        "POST",
        "/bgrs",
        "0",
        None,
    )
    result = door.result(rid)
    assert (result.status, result.header("content-type"), result.header("bgrs-request")) == (
        200,
        "application/json",
        rid,
    )
    listed = result.json()["items"]
    assert result.json()["rid"] == rid
    assert [item["name"] for item in listed] == ["/do/ask", "/nowhere/to/be/found", "/do/raise:oh"]
    assert [(item["name"], item["state"]) for item in document["items"]] == [
        (item["rid"], item["status_name"]) for item in listed
    ]
    for item in listed:
        own = door.status(item["rid"])
        assert own["parent"] == rid
        assert (own["method"], own["name"], own["status_name"]) == (item["method"], item["name"], item["status_name"])
        assert own["status"] == (None if item["http_status"] is None else str(item["http_status"]))
        assert item["result"].endswith(f"/bgrs/{item['rid']}/result")
    assert door.result(listed[0]["rid"]).json() == [False]
    assert door.details(rid) == ["done: all items have ended"]


def test_the_operation_of_a_batch_lists_the_operations_of_its_items(door: Door) -> None:
    rid = send(door, get("/do/ask"), get("/do/raise:oh"), headers=ALICE).rid
    door.ended(rid)
    batch = operation(door, rid)
    assert batch["done"] is True
    assert "error" not in batch
    assert batch["response"]["value"]["resultUri"].endswith(f"/bgrs/{rid}/result")
    metadata = batch["metadata"]["value"]
    assert (metadata["state"], metadata["progressPercent"]) == ("SUCCEEDED", 100.0)
    for item in metadata["individualProcessStatuses"]:
        own = operation(door, item["name"].rpartition("/")[2])
        assert (own["name"], own["metadata"]["value"]["state"]) == (item["name"], item["state"])
    assert [item["state"] for item in metadata["individualProcessStatuses"]] == ["SUCCEEDED", "FAILED"]
    assert [item["httpStatus"] for item in metadata["individualProcessStatuses"]] == [200, 500]
    listed = {each["name"]: each for each in door.get(PARENT, ALICE).json()["operations"]}
    assert listed[batch["name"]]["metadata"]["value"]["individualProcessStatuses"] == []


def test_reported_items_and_items_of_a_batch_stand_in_the_same_lists(door: Door) -> None:
    rid = send(door, get("/do/item:page%201:done")).rid
    door.ended(rid)
    [item] = door.status(rid)["items"]
    [reported] = door.status(item["name"])["items"]
    assert item.keys() == reported.keys() == {"name", "state", "message"}
    [item] = operation(door, rid)["metadata"]["value"]["individualProcessStatuses"]
    [reported] = operation(door, item["name"].rpartition("/")[2])["metadata"]["value"]["individualProcessStatuses"]
    assert (reported["name"], reported["state"]) == ("page 1", "done")
    assert reported.keys() <= item.keys()


def test_while_an_item_runs_the_batch_does(door: Door) -> None:
    rid = send(door, get("/do/ask"), get("/do/progress:50/gate:a")).rid
    door.stage.gate("a").wait_until_reached()
    document = door.when(rid, lambda found: found["progress"] == "75.00", poll_seconds=0.2)
    assert (document["status_name"], document["finished_dt"], document["status"]) == ("running", None, None)
    assert [item["state"] for item in document["items"]] == ["finished", "running"]
    unfinished = door.get(f"/bgrs/{rid}/result")
    assert (unfinished.status, unfinished.json()[0]["items"]) == (202, document["items"])
    assert operation(door, rid)["done"] is False
    assert door.call("DELETE", f"/bgrs/{rid}").status == 409
    door.release("a")
    assert door.ended(rid)["status_name"] == "finished"


def test_a_long_poll_for_the_result_ends_with_the_last_item(door: Door) -> None:
    rid = send(door, get("/do/gate:a")).rid
    door.stage.gate("a").wait_until_reached()
    result = door.start("GET", f"/bgrs/{rid}/result?wait_for=25")
    door.release("a")
    assert result.result().status == 200


def test_a_batch_may_be_waited_for_where_it_is_asked_for(door: Door) -> None:
    answer = send(door, get("/do/ask"), get("/do/ask"), target="/bgrs?wait_for=25")
    assert (answer.status, [item["http_status"] for item in answer.json()["items"]]) == (200, [200, 200])
    assert door.status(str(answer.header("bgrs-request")))["status_name"] == "finished"
    preferred = send(door, get("/do/ask"), headers=[("prefer", "respond-async, wait=0")])
    assert (preferred.status, preferred.header("preference-applied")) == (202, "respond-async")


def test_the_result_is_one_for_conditional_requests_and_head(door: Door) -> None:
    rid = send(door, get("/do/ask")).rid
    whole = door.result(rid)
    etag = str(whole.header("etag"))
    assert door.get(f"/bgrs/{rid}/result", [("if-none-match", etag)]).status == 304
    head = door.call("HEAD", f"/bgrs/{rid}/result")
    assert (head.status, head.body, head.header("content-length")) == (200, b"", str(len(whole.body)))
    part = door.get(f"/bgrs/{rid}/result", [("range", "bytes=0-5")])
    assert (part.status, part.body) == (206, whole.body[:6])


def test_cancelling_a_batch_stops_what_has_not_finished(open_door: Any) -> None:
    door = open_door(concurrency=1)
    rid = send(door, get("/do/ask"), get("/do/gate:a/ask"), get("/do/see:it%20ran")).rid
    door.stage.gate("a").wait_until_reached()
    answer = door.call("POST", f"/bgrs/{rid}/cancel")
    assert (answer.status, answer.json()[0]["status_name"]) in ((202, "cancelling"), (200, "cancelled"))
    door.release("a")
    assert door.ended(rid)["status_name"] == "cancelled"
    assert item_states(door, rid) == ["finished", "cancelled", "cancelled"]
    assert "it ran" not in door.stage.seen
    assert door.call("POST", f"/bgrs/{rid}/cancel").status == 200
    assert door.get(f"/bgrs/{rid}/result").status == 409
    assert operation(door, rid)["error"]["code"] == 1


def test_an_operation_of_a_batch_is_cancelled_and_deleted_with_its_items(open_door: Any) -> None:
    door = open_door(concurrency=1)
    door.hold("first")
    rid = send(door, get("/do/ask"), get("/do/ask")).rid
    items = [item["name"] for item in door.status(rid)["items"]]
    assert door.call("POST", f"{PARENT}/{rid}:cancel").json() == {}
    assert operation(door, rid)["metadata"]["value"]["state"] == "CANCELLED"
    assert [door.status(item)["status_name"] for item in items] == ["cancelled", "cancelled"]
    assert door.call("DELETE", f"{PARENT}/{rid}").json() == {}
    assert [door.get(f"/bgrs/{each}").status for each in (rid, *items)] == [404, 404, 404]


def test_a_batch_that_is_deleted_takes_all_bodies_along(door: Door) -> None:
    large = {"method": "POST", "path": "/items", "body": "x" * 200_000}
    rid = send(door, large, get("/do/length:100000/send:100000")).rid
    door.ended(rid)
    assert list((door.data_dir / "bodies").rglob("*.*"))
    assert door.call("DELETE", f"/bgrs/{rid}").status == 204
    door.clean_up()
    assert [file for file in (door.data_dir / "bodies").rglob("*") if file.is_file() and len(file.name) > 32] == []


def test_a_batch_is_not_retried_its_items_are(door: Door) -> None:
    rid = send(door, get("/do/gate:a/ask")).rid
    door.stage.gate("a").wait_until_reached()
    door.call("POST", f"/bgrs/{rid}/cancel")
    door.release("a")
    [item] = door.ended(rid)["items"]
    refused = door.call("POST", f"/bgrs/{rid}/retry")
    assert (refused.status, "items" in refused.json()["detail"]) == (409, True)
    assert item["state"] == "cancelled"
    assert door.call("POST", f"/bgrs/{item['name']}/retry").status == 202
    assert door.ended(rid)["status_name"] == "finished"


def test_items_are_sent_as_the_batch_would_send_them(door: Door) -> None:
    sent = {
        "method": "post",
        "path": "/items?a=1&bgrs=yes&b=%20&wait_for=3",
        "headers": {"X-Own": ["one", "two"], "Authorization": "Bearer bob", "Accept": "text/plain"},
        "body": {"name": "ä", "n": 1},
    }
    headers = [*ALICE, ("x-inherited", "yes"), ("content-type", "application/batch"), ("accept", "application/json")]
    rid = send(door, sent, {"method": "PUT", "path": "/a%2Fb/ü", "body_base64": "AP8="}, headers=headers).rid
    door.ended(rid, ALICE)
    first, second = [door.result(item["name"]).json() for item in door.status(rid, ALICE)["items"]]
    assert (first["method"], first["path"], first["query"]) == ("POST", "/items", "a=1&b=%20")
    received = [tuple(pair) for pair in first["headers"]]
    values = {
        name.lower(): [value for other, value in received if other.lower() == name.lower()] for name, _ in received
    }
    assert values["x-inherited"] == ["yes"]
    assert values["authorization"] == ["Bearer bob"]
    assert values["accept"] == ["text/plain"]
    assert values["content-type"] == ["application/json"]
    assert first["sha256"] == sha256(b'{"name":"\\u00e4","n":1}').hexdigest()
    alone = door.result(door.ask("/a%2Fb/%C3%BC", method="PUT", body=b"\x00\xff")).json()
    assert {name: second[name] for name in second if name != "headers"} == {
        name: alone[name] for name in alone if name != "headers"
    }


def test_below_a_mount_items_are_requests_to_the_mounted_application(open_door: Any) -> None:
    door = open_door(root_path="/api")
    answer = door.call("POST", "/bgrs", (), b'{"requests": [{"method": "GET", "path": "/items/1?a=b"}]}')
    assert "/api/bgrs/" in str(answer.header("location"))
    [item] = door.ended(answer.rid)["items"]
    assert door.status(item["name"])["name"] == "/api/items/1?a=b"
    alone = door.result(door.ask("/items/1?a=b")).json()
    sent = door.result(item["name"]).json()
    assert {name: sent[name] for name in sent if name != "headers"} == {
        name: alone[name] for name in alone if name != "headers"
    }


def test_rules_hold_for_items(open_door: Any) -> None:
    door = open_door(rules=[Rule(path="/items/{id}", methods=("GET",), background=False, type="ITEM")])
    rid = send(door, get("/items/1"), get("/other")).rid
    door.ended(rid)
    types = [door.status(item["name"])["type"] for item in door.status(rid)["items"]]
    assert types == ["ITEM", "GET_OTHER"]
    assert door.status(rid)["type"] == "POST_BGRS"


def test_the_whole_batch_belongs_to_its_caller(open_door: Any) -> None:
    door = open_door(access="owner")
    rid = send(door, get("/do/ask"), headers=ALICE).rid
    [item] = door.ended(rid, ALICE)["items"]
    bob = [("authorization", "Bearer bob")]
    assert [door.get(f"/bgrs/{each}", bob).status for each in (rid, item["name"])] == [404, 404]
    assert door.get(f"/bgrs/{item['name']}", ALICE).status == 200


def test_a_batch_that_is_sent_again_with_its_key_is_the_same_batch(door: Door) -> None:
    key = [*ALICE, ("idempotency-key", '"one"')]
    first = send(door, get("/do/see:ran"), headers=key)
    assert send(door, get("/do/see:ran"), headers=key).rid == first.rid
    door.ended(first.rid, ALICE)
    assert send(door, get("/do/see:ran"), headers=key).rid == first.rid
    assert door.stage.seen == ["ran"]
    assert send(door, get("/do/see:other"), headers=key).status == 422


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "JSON"),
        (b"\xff", "JSON"),
        (b"[1]", "requests"),
        (b'{"requests": []}', "requests:"),
        (b'{"requests": [NaN]}', "JSON"),
        (b"[" * 100_000, "JSON"),
        (b'{"requests": [{"method": "GET", "path": "/a"}, 7]}', "requests[1]:"),
        (b'{"requests": [{"method": "GET", "path": "/bgrs"}]}', "requests[0].path:"),
    ],
)
def test_what_cannot_be_understood_is_refused_whole(door: Door, body: bytes, place: str) -> None:
    answer = door.call("POST", "/bgrs", ALICE, body)
    assert answer.status == 400
    assert answer.json()["detail"].startswith(place) or place in answer.json()["detail"]
    assert door.get("/bgrs", ALICE).json()["requests"] == []


def test_a_page_of_another_site_sends_no_batch_unasked(door: Door) -> None:
    elsewhere = [("sec-fetch-site", "cross-site"), ("cookie", "session=ann")]
    for text in ([], [("content-type", "text/plain")], [("content-type", "multipart/form-data; boundary=a")]):
        assert send(door, get("/do/see:forged"), headers=[*elsewhere, *text]).status == 403
    # For this the browser has asked the application.
    asked = [*elsewhere, ("content-type", "application/json; charset=utf-8")]
    assert door.ended(send(door, get("/do/see:asked"), headers=asked).rid)["status_name"] == "finished"
    assert door.stage.seen == ["asked"]


def test_a_batch_that_would_fill_the_memory_is_refused(door: Door) -> None:
    assert door.call("POST", "/bgrs", (), b'{"requests": [' + b"[]," * 250_000 + b"[]]}").status == 400
    large = door.call("POST", "/bgrs", [("content-length", str(17 * 2**20))], b"")
    assert large.status == 413


def test_a_batch_over_the_limits_is_refused_whole(open_door: Any) -> None:
    door = open_door(max_batch_items=2, max_queued=4, concurrency=1)
    too_long = send(door, *[get("/do/ask")] * 3, headers=ALICE)
    assert (too_long.status, "2" in too_long.json()["detail"]) == (400, True)
    door.hold("first")
    send(door, get("/do/ask"), headers=ALICE)
    full = send(door, *[get("/do/ask")] * 2, headers=ALICE)
    assert (full.status, full.header("retry-after") is not None) == (503, True)
    assert len(door.get("/bgrs", ALICE).json()["requests"]) == 2
    # Half of the queue is for requests that are sent by themselves.
    assert door.get("/do/ask?bgrs=yes").status == 202


def test_a_batch_counts_as_one_for_its_caller(open_door: Any) -> None:
    door = open_door(max_queued_per_caller=2, concurrency=1)
    door.hold("first")
    assert send(door, *[get("/do/ask")] * 10, headers=ALICE).status == 202
    assert send(door, *[get("/do/ask")] * 10, headers=ALICE).status == 202
    assert send(door, get("/do/ask"), headers=ALICE).status == 429
