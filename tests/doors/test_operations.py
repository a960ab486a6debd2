"""Google's routes of operations (CONTRACT, section 5): get, list, wait, cancel, delete, errors, and their settings."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from bgrs_middleware import Rule
from bgrs_middleware.errors import BadRequest

from .answer import SERVER_ERROR_BODY, Answer
from .door import Door, Kind
from .test_identity import header_of

ANN = [("Authorization", "Bearer ann")]
BEN = [("Authorization", "Bearer ben")]
PARENT = "projects/default/locations/default"
UNKNOWN = "0" * 32
HOST = "http://api.example.com"


def name_of(rid: str, parent: str = PARENT) -> str:
    return f"{parent}/operations/{rid}"


def url_of(rid: str, verb: str = "", *, parent: str = PARENT) -> str:
    return f"/bgrs/v1/{name_of(rid, parent)}{verb}"


def operation(door: Door, rid: str, headers=()) -> dict[str, Any]:
    answer = door.get(url_of(rid), headers)
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    assert answer.header("cache-control") == "no-store"
    found: dict[str, Any] = answer.json()
    return found


def wait(door: Door, rid: str, body: bytes = b"", headers=()) -> Answer:
    return door.call("POST", url_of(rid, ":wait"), [*headers, ("Content-Type", "application/json")], body)


def error_of(answer: Answer) -> dict[str, Any]:
    """What AIP-193 says of an error; the ErrorInfo must be there, and the content as long as it says."""
    assert answer.header("content-type") == "application/json"
    assert answer.header("content-length") == str(len(answer.body))
    (key,) = answer.json()
    error: dict[str, Any] = answer.json()[key]
    assert key == "error"
    assert list(error) == ["code", "message", "status", "details"]
    assert error["code"] == answer.status
    (info,) = error["details"]
    assert info["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert info["domain"] == "bgrs_middleware"
    return error


def reason_of(answer: Answer) -> tuple[int, str, str]:
    error = error_of(answer)
    return answer.status, error["status"], error["details"][0]["reason"]


def seen(answer: Answer) -> tuple[object, ...]:
    return answer.status, answer.headers, answer.body


# Get.


def test_an_operation_from_the_queue_to_its_response(open_door) -> None:
    accepting = open_door(executor="worker")
    rid = accepting.ask("/do/ask")
    found = operation(accepting, rid)
    assert (found["name"], found["done"], found["metadata"]["value"]["state"]) == (name_of(rid), False, "PENDING")
    assert set(found) == {"name", "metadata", "done"}
    running = open_door()
    running.get("/bgrs")
    running.ended(rid)
    found = operation(accepting, rid)
    assert (found["done"], found["metadata"]["value"]["state"]) == (True, "SUCCEEDED")
    # The application answers a JSON list, which is no Struct: it is handed on as it is.
    assert found["response"]["@type"] == "type.googleapis.com/google.api.HttpBody"
    assert base64.b64decode(found["response"]["data"]) == b"[false]"


def test_what_runs_here_tells_its_progress_at_once(door: Door) -> None:
    rid = door.ask("/do/progress:25:reading/gate:a")
    door.stage.gate("a").wait_until_reached()
    value = operation(door, rid)["metadata"]["value"]
    assert (value["state"], value["progressPercent"], value["stateMessage"]) == ("RUNNING", 25.0, "reading")
    listed = door.get(url_of("").removesuffix("/"))
    assert listed.json() == {"operations": [], "nextPageToken": ""}, "an anonymous caller's list is empty"


def test_a_failed_one_has_an_error_and_no_response(door: Door) -> None:
    rid = door.ask("/do/raise:no")
    door.ended(rid)
    found = operation(door, rid)
    assert set(found) == {"name", "metadata", "done", "error"}
    assert found["error"]["code"] == 13
    (info,) = found["error"]["details"]
    assert info["metadata"]["resultUri"] == f"{HOST}/bgrs/{rid}/result"


def test_a_large_response_is_told_by_its_url(door: Door) -> None:
    rid = door.ask("/do/length:300000/send:300000")
    door.ended(rid)
    response = operation(door, rid)["response"]
    assert response["value"] == {"resultUri": f"{HOST}/bgrs/{rid}/result", "contentType": "text/plain"}


def test_an_unfinished_one_says_when_to_ask_again(door: Door) -> None:
    rid = door.hold("a")
    assert int(door.get(url_of(rid)).header("retry-after") or "") >= 1
    door.release("a")
    door.ended(rid)
    assert door.get(url_of(rid)).header("retry-after") is None


def test_a_head_gets_the_headers_of_the_get(door: Door) -> None:
    rid = door.ask("/items")
    door.ended(rid)
    for path in (url_of(rid), url_of(UNKNOWN), url_of("").removesuffix("/")):
        whole, head = door.get(path), door.call("HEAD", path)
        assert (head.status, head.headers, head.body) == (whole.status, whole.headers, b"")


def test_an_operation_has_one_parent(door: Door) -> None:
    """Under another parent's name it is not there, like an unknown one, byte for byte."""
    rid = door.ask("/items")
    door.ended(rid)
    unknown = seen(door.get(url_of(UNKNOWN)))
    assert unknown[0] == 404
    elsewhere = "projects/other/locations/default"
    assert seen(door.get(url_of(rid, parent=elsewhere))) == unknown
    assert seen(door.call("POST", url_of(rid, ":wait", parent=elsewhere))) == unknown
    assert seen(door.call("POST", url_of(rid, ":cancel", parent=elsewhere))) == unknown
    assert seen(door.call("DELETE", url_of(rid, parent=elsewhere))) == unknown
    assert operation(door, rid)["done"] is True


# Who may do what.


@pytest.mark.parametrize(
    ("access", "for_nobody", "for_ben"), [("link", 200, 200), ("authenticated", 404, 200), ("owner", 404, 404)]
)
def test_getting_and_waiting_follow_access_and_the_rest_is_the_owners(
    open_door, access: str, for_nobody: int, for_ben: int
) -> None:
    door = open_door(access=access)
    rid = door.ask("/items", ANN)
    door.ended(rid, ANN)
    for headers, expected in (((), for_nobody), (BEN, for_ben)):
        assert [door.get(url_of(rid), headers).status, wait(door, rid, headers=headers).status] == [expected] * 2
        for method, verb in (("POST", ":cancel"), ("DELETE", "")):
            refused = door.call(method, url_of(rid, verb), headers)
            known = (403, "PERMISSION_DENIED", "NOT_ALLOWED")
            assert reason_of(refused) == (known if expected == 200 else (404, "NOT_FOUND", "NOT_FOUND"))
    assert operation(door, rid, ANN)["done"] is True
    assert wait(door, rid, headers=ANN).status == 200
    assert door.call("DELETE", url_of(rid), ANN).status == 200


# List.


def listed(door: Door, query: str = "", headers=ANN, parent: str = PARENT) -> dict[str, Any]:
    answer = door.get(f"/bgrs/v1/{parent}/operations{query}", headers)
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json()
    assert set(found) == {"operations", "nextPageToken"}
    return found


def names(page: dict[str, Any]) -> list[str]:
    return [each["name"] for each in page["operations"]]


def test_the_list_has_the_callers_own_of_this_parent_newest_first(open_door) -> None:
    door = open_door(executor="worker")
    mine = [door.ask("/items", ANN) for _ in range(3)]
    door.ask("/items", BEN)
    door.ask("/items")
    found = listed(door)
    assert names(found) == [name_of(rid) for rid in mine[::-1]]
    assert found["nextPageToken"] == ""
    assert found["operations"][0] == operation(door, mine[-1], ANN)
    assert names(listed(door, parent="projects/other")) == []
    assert names(listed(door, headers=())) == []


def test_pages_follow_one_another_and_a_filter_may_leave_one_empty(open_door) -> None:
    door = open_door(executor="worker")
    mine = [door.ask("/items", ANN) for _ in range(5)]
    found: list[str] = []
    token = ""
    while True:
        page = listed(door, f"?pageSize=2&pageToken={token}")
        assert len(page["operations"]) <= 2
        found += names(page)
        token = page["nextPageToken"]
        if not token:
            break
    assert found == [name_of(rid) for rid in mine[::-1]]
    assert names(listed(door, "?filter=done%3Dtrue")) == []
    door.call("POST", url_of(mine[1], ":cancel"), ANN)
    assert names(listed(door, "?filter=metadata.state%3DCANCELLED")) == [name_of(mine[1])]


def test_the_list_carries_responses(door: Door) -> None:
    rids = [door.ask("/do/ask", ANN) for _ in range(2)]
    for rid in rids:
        door.ended(rid, ANN)
    assert listed(door)["operations"] == [operation(door, rid, ANN) for rid in rids[::-1]]


def test_a_page_carries_no_more_responses_than_one_operation_may(door: Door) -> None:
    rids = [door.ask("/do/length:60000/send:60000", ANN) for _ in range(6)]
    for rid in rids:
        door.ended(rid, ANN)
    found = [entry["response"] for entry in listed(door)["operations"]]
    assert ["data" in response for response in found] == [True] * 4 + [False] * 2
    assert found[-1]["value"]["resultUri"].endswith(f"/bgrs/{rids[0]}/result")
    # It is in the operation itself.
    assert "data" in operation(door, rids[0], ANN)["response"]


def test_a_bad_filter_is_told_with_position_and_field(door: Door) -> None:
    refused = door.get(f"/bgrs/v1/{PARENT}/operations?filter=done%3Dtrue+AND+colour%3Dred", ANN)
    assert reason_of(refused) == (400, "INVALID_ARGUMENT", "INVALID_FILTER")
    assert error_of(refused)["details"][0]["metadata"] == {"position": "15", "field": "colour"}


@pytest.mark.parametrize("query", ["pageSize=-1", "pageToken=x", "pageSize=many"])
def test_a_bad_page_is_an_invalid_argument(door: Door, query: str) -> None:
    refused = door.get(f"/bgrs/v1/{PARENT}/operations?{query}", ANN)
    assert reason_of(refused) == (400, "INVALID_ARGUMENT", "BAD_REQUEST")
    assert query.partition("=")[0] in error_of(refused)["message"]


# Wait.


@pytest.mark.parametrize("body", [b"", b"{}", b'{"timeout": null}', b'{"timeout": "20s", "name": "x"}'])
def test_a_wait_ends_with_the_operation(door: Door, body: bytes) -> None:
    rid = door.hold("a")
    held = door.start("POST", url_of(rid, ":wait"), body=body)
    door.release("a")
    answer = held.result(20)
    assert (answer.status, answer.json()["done"]) == (200, True)
    assert answer.json() == operation(door, rid)


@pytest.mark.parametrize("timeout", ["0s", "0.02s", "0.020000000s"])
def test_a_wait_whose_time_is_up_gives_what_is_known(door: Door, timeout: str) -> None:
    answer = wait(door, door.hold("a"), b'{"timeout": "%s"}' % timeout.encode())
    assert (answer.status, answer.json()["done"]) == (200, False)


def test_no_wait_is_longer_than_allowed(open_door) -> None:
    door = open_door(max_wait_seconds=0.02)
    rid = door.hold("a")
    for body in (b"", b'{"timeout": "315576000000s"}'):
        assert wait(door, rid, body).json()["done"] is False


@pytest.mark.parametrize(
    "timeout", ['"10"', '"-1s"', '"1e3s"', '"NaNs"', '"1.0000000001s"', '"٣s"', '" 1s"', "10", "{}"]
)
def test_a_malformed_timeout_is_told_by_its_name(door: Door, timeout: str) -> None:
    rid = door.ask("/items")
    refused = wait(door, rid, f'{{"timeout": {timeout}}}'.encode())
    assert reason_of(refused) == (400, "INVALID_ARGUMENT", "BAD_REQUEST")
    assert "timeout" in error_of(refused)["message"]
    assert error_of(refused)["details"][0]["metadata"] == {"field": "timeout"}


@pytest.mark.parametrize("body", [b"{", b"[]", b'"10s"', b"\xff", b"[" * 60_000, b"1" * 5_000])
def test_a_body_that_is_no_object_is_refused(door: Door, body: bytes) -> None:
    refused = wait(door, door.ask("/items"), body)
    assert reason_of(refused) == (400, "INVALID_ARGUMENT", "BAD_REQUEST")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_its_bound_is_refused(door: Door, chunked: bool) -> None:
    rid = door.ask("/items")
    body = b" " * 64 * 1024
    within = door.call("POST", url_of(rid, ":wait"), (), body, chunked=chunked)
    assert within.status == 200
    beyond = door.call("POST", url_of(rid, ":wait"), (), body + b" ", chunked=chunked)
    assert reason_of(beyond) == (413, "FAILED_PRECONDITION", "BODY_TOO_LARGE")


def test_a_client_that_leaves_before_its_body_is_whole_is_not_answered(door: Door, kind: Kind) -> None:
    """A WSGI server tells of it by a body that is too short, and whoever hears the answer has not left."""
    rid = door.ask("/items")
    left = door.call("POST", url_of(rid, ":wait"), [("Content-Length", "100")], b"{", leaves=True)
    if kind == "asgi":
        assert (left.status, left.body) == (500, SERVER_ERROR_BODY), "what the server sends where nothing was sent"
    else:
        assert reason_of(left) == (400, "INVALID_ARGUMENT", "BAD_REQUEST")


# Cancel and delete.


def test_a_cancel_is_answered_with_nothing_and_seen_in_the_operation(open_door) -> None:
    door = open_door(executor="worker")
    rid = door.ask("/items")
    answer = door.call("POST", url_of(rid, ":cancel"))
    assert (answer.status, answer.json()) == (200, {})
    found = operation(door, rid)
    assert (found["done"], found["metadata"]["value"]["state"], found["error"]["code"]) == (True, "CANCELLED", 1)


def test_a_running_one_is_told_to_stop(door: Door) -> None:
    rid = door.hold("a", "ask")
    assert door.call("POST", url_of(rid, ":cancel")).json() == {}
    assert operation(door, rid)["metadata"]["value"]["state"] in ("CANCELLING", "CANCELLED")
    door.release("a")
    assert wait(door, rid).json()["done"] is True


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_late_cancel_is_refused_in_googles_words(open_door, cancelled: bool) -> None:
    door = open_door(executor="worker" if cancelled else "embedded")
    rid = door.ask("/items")
    if cancelled:
        door.call("POST", url_of(rid, ":cancel"))
    door.ended(rid)
    refused = door.call("POST", url_of(rid, ":cancel"))
    assert reason_of(refused) == (400, "FAILED_PRECONDITION", "OPERATION_COMPLETED")
    expected = f"Operation has completed and cannot be cancelled: '{name_of(rid)}'."
    assert error_of(refused)["message"] == expected


def test_a_deleted_one_is_gone(door: Door) -> None:
    rid = door.ask("/items")
    door.ended(rid)
    answer = door.call("DELETE", url_of(rid))
    assert (answer.status, answer.json()) == (200, {})
    assert seen(door.get(url_of(rid))) == seen(door.get(url_of(UNKNOWN)))
    assert door.get(f"/bgrs/{rid}").status == 404


def test_a_delete_does_not_cancel(door: Door) -> None:
    rid = door.hold("a", "ask")
    refused = door.call("DELETE", url_of(rid))
    assert reason_of(refused) == (400, "FAILED_PRECONDITION", "OPERATION_RUNNING")
    assert name_of(rid) in error_of(refused)["message"]
    assert operation(door, rid)["metadata"]["value"]["state"] == "RUNNING"
    door.release("a")
    assert base64.b64decode(wait(door, rid).json()["response"]["data"]) == b"[false]"


# Errors.


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/bgrs/v1/{PARENT}/operations/no-rid"),
        ("GET", "/bgrs/v1/projects"),
        ("PUT", url_of(UNKNOWN)),
        ("POST", url_of(UNKNOWN, ":nothing")),
        ("POST", url_of(UNKNOWN, ":")),
    ],
)
def test_what_is_not_there_is_not_found_in_googles_form(door: Door, method: str, path: str) -> None:
    assert reason_of(door.call(method, path)) == (404, "NOT_FOUND", "NOT_FOUND")
    assert door.call(method, path).json() == door.get(url_of(UNKNOWN)).json()


def test_a_store_that_fails_is_told_in_googles_form(door: Door) -> None:
    rid = door.ask("/items", ANN)
    door.ended(rid, ANN)
    door.service._reader.close()
    for answer in (door.get(url_of(rid), ANN), wait(door, rid, headers=ANN), door.call("DELETE", url_of(rid), ANN)):
        assert reason_of(answer) == (503, "UNAVAILABLE", "STORE_UNAVAILABLE")
        assert answer.header("retry-after") == "10"
    assert door.get(f"/bgrs/{rid}", ANN).header("content-type") == "application/problem+json"


# The settings.


@pytest.mark.parametrize("path", ["/v1", "/google/operations"])
def test_operations_may_lie_elsewhere_and_share_their_path(open_door, path: str) -> None:
    door = open_door(operations_path=path)
    rid = door.ask("/do/ask")
    door.ended(rid)
    found = door.get(f"{path}/{name_of(rid)}")
    assert (found.status, found.json()["name"]) == (200, name_of(rid))
    # What has not the form of an operation's name is the application's.
    others = (f"{path}/users", f"{path}/{PARENT}/operations/7", f"{path}/operations/{rid}", "/operations")
    # Nor is the list of what no operation belongs to.
    for target in (*others, f"{path}/hospitals/7/operations"):
        assert door.get(target).json()["path"] == target
    refused = door.get(f"{path}/users?bgrs=maybe")
    assert (refused.status, refused.header("content-type")) == (400, "application/problem+json")
    assert reason_of(door.get(f"{path}/{name_of(UNKNOWN)}"))[0] == 404


def of_project(gateway) -> str:
    return f"projects/{header_of(gateway, 'x-project') or 'none'}/locations/eu"


def test_the_parent_may_come_from_the_request_that_asks(open_door) -> None:
    door = open_door(executor="worker", operations_parent=of_project)
    of_one, of_two = (door.ask("/items", [*ANN, ("X-Project", name)]) for name in ("one", "two"))
    one, two = ("projects/one/locations/eu", "projects/two/locations/eu")
    # It is the record's for good, whoever asks later.
    assert door.get(url_of(of_one, parent=one), ANN).json()["name"] == name_of(of_one, one)
    assert door.get(url_of(of_one, parent=two), ANN).status == 404
    assert names(listed(door, parent=one)) == [name_of(of_one, one)]
    assert names(listed(door, parent=two)) == [name_of(of_two, two)]
    assert names(listed(door)) == []


def test_a_batch_and_its_items_have_the_parent_of_the_request_that_asks(open_door) -> None:
    door = open_door(executor="worker", operations_parent=of_project)
    body = b'{"requests": [{"method": "GET", "path": "/items"}, {"method": "GET", "path": "/items"}]}'
    batch = door.call("POST", "/bgrs", [*ANN, ("X-Project", "one")], body).rid
    one = "projects/one/locations/eu"
    found = names(listed(door, parent=one))
    assert len(found) == 3
    assert name_of(batch, one) in found


def test_the_parent_may_come_from_a_coroutine_under_asgi(open_door, kind: Kind) -> None:
    async def of_project_later(gateway) -> str:
        return of_project(gateway)

    if kind == "asgi":
        door = open_door(executor="worker", operations_parent=of_project_later)
        rid = door.ask("/items", [("X-Project", "one")])
        assert door.get(url_of(rid, parent="projects/one/locations/eu")).status == 200


@pytest.mark.parametrize("returned", ["", "/projects/one", "projects//one", "a b", "é", None, 5, "a" * 201])
def test_a_parent_that_is_none_is_a_fault_of_the_settings(open_door, returned, caplog) -> None:
    door = open_door(executor="worker", operations_parent=lambda _: returned)
    refused = door.get("/items?bgrs=yes", ANN)
    assert (refused.status, refused.header("content-type")) == (500, "application/problem+json")
    assert "operations_parent" not in refused.body.decode()
    assert "A setting is unusable: operations_parent()" in caplog.text
    assert door.get("/bgrs", ANN).json()["requests"] == []


def test_a_function_for_the_parent_may_refuse(open_door) -> None:
    def refusing(gateway) -> str:
        raise BadRequest("There is no such project.")

    door = open_door(executor="worker", operations_parent=refusing)
    refused = door.get("/items?bgrs=yes", ANN)
    assert (refused.status, refused.json()["detail"]) == (400, "There is no such project.")
    assert door.get("/bgrs", ANN).json()["requests"] == []


# Methods that return operations.


def test_a_rule_may_return_operations(open_door) -> None:
    rule = Rule(path="/do/{steps:path}", returns_operation=True, type="PROCESS")
    door = open_door(rules=(rule,))
    answer = door.call("POST", "/do/gate:a/ask")
    assert (answer.status, answer.header("content-type")) == (200, "application/json")
    found = answer.json()
    assert (found["done"], found["metadata"]["value"]["type"]) == (False, "PROCESS")
    rid = found["name"].rpartition("/")[2]
    assert found["name"] == name_of(rid)
    door.release("a")
    assert wait(door, rid).json()["done"] is True
    # With a wait it is the operation as it is then, and never the bare response.
    waited = door.call("POST", "/do/ask?wait_for=20")
    assert (waited.status, waited.json()["done"]) == (200, True)
    assert base64.b64decode(waited.json()["response"]["data"]) == b"[false]"
    failed = door.call("POST", "/do/raise:no?wait_for=20")
    assert (failed.status, failed.json()["error"]["code"]) == (200, 13)


def test_a_rule_that_returns_operations_refuses_in_googles_form(open_door) -> None:
    rule = Rule(path="/do/{steps:path}", returns_operation=True)
    door = open_door(rules=(rule,), max_body_bytes=10, executor="worker", max_queued=1)
    assert reason_of(door.call("POST", "/do/ask", (), b"x" * 11)) == (413, "FAILED_PRECONDITION", "BODY_TOO_LARGE")
    assert door.call("POST", "/do/ask").status == 200
    full = door.call("POST", "/do/ask")
    assert reason_of(full) == (503, "UNAVAILABLE", "QUEUE_FULL")
    assert full.header("retry-after") == "10"
    # What cannot be understood, too.
    for asked, headers in (("?wait_for=x", ()), ("?bgrs=maybe", ()), ("", [("Idempotency-Key", "no quotes")])):
        assert reason_of(door.call("POST", f"/do/ask{asked}", headers)) == (400, "INVALID_ARGUMENT", "BAD_REQUEST")
    assert door.get("/do/ask?bgrs=maybe").header("content-type") == "application/problem+json"
