"""The OpenAPI document: valid, with every route, and true: a real server's answers are as their schemas say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator, ValidationError
from openapi_spec_validator import OpenAPIV31SpecValidator

from bgrs_middleware import Rule, Settings, errors
from bgrs_middleware.models import DEFAULT_OPERATIONS_PARENT
from bgrs_middleware.protocol import routes
from bgrs_middleware.protocol.batches import read_batch
from bgrs_middleware.protocol.openapi import openapi_document
from bgrs_middleware.protocol.rules import Rules
from docs.pages import blocks
from protocol.samples import RID, request_head
from servers import serve

APPS = Path(__file__).parent / "apps"
WAIT = "wait_for=20"
OPERATIONS = f"/bgrs/v1/{DEFAULT_OPERATIONS_PARENT}/operations"

ENV = {
    "BGRS_MAX_BATCH_ITEMS": "10",
    "BGRS_RULES": json.dumps(
        [{"path": "/slow/{kind}", "results_path": "/slow/results/{id}", "id_field": "processing_id"}]
    ),
}
RULES = (
    Rule(path="/processing/{workflow}", results_path="/processing/results/{id}"),
    Rule(path="/processing/{other}", methods=("PUT",), results_path="/processing/results/{id}"),
    Rule(path="/of/{rid}/{rest:path}", results_path="/{rid}/results/{id}"),
    Rule(path="/without"),
)
SETTINGS = {
    "usual": Settings(),
    "elsewhere": Settings(path="/jobs/all", param="later", operations_path="/v1", public_url="https://h.example/app"),
    "with rules": Settings(rules=RULES),
    "with a parent for each": Settings(operations_parent=lambda gateway: "projects/1"),
}


def document_of(settings: Settings) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(openapi_document(settings))
    return document


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_it_is_valid(settings: Settings) -> None:
    OpenAPIV31SpecValidator(document_of(settings)).validate()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_every_route_is_there_and_no_other(settings: Settings) -> None:
    """What is there leads to a route, and no action is left out."""
    rules = Rules(settings.rules)
    found = set()
    for path, item in document_of(settings)["paths"].items():
        asked = path.replace("{rid}", RID).replace("{parent}", "projects/p").replace("{", "").replace("}", "")
        for method in set(item) - {"parameters"}:
            route = routes.find_route(method.upper(), asked, settings, rules)
            assert route is not None, f"{method} {path} is no route"
            assert route.rid == (RID if "{rid}" in path else "")
            found.add(route.action)
    assert found == set(routes.Action)


def test_every_method_of_every_route_is_there() -> None:
    paths = document_of(Settings())["paths"]
    expected = {("/bgrs", method) for method in routes._ALL_ROUTE}
    expected |= {(f"/bgrs/{name}", method) for name, actions in routes._GENERAL_ROUTES.items() for method in actions}
    for name, actions in routes._ROUTES.items():
        expected |= {(f"/bgrs/{{rid}}{'/' if name else ''}{name}", method) for method in actions}
    expected |= {(OPERATIONS, method) for method in routes._OPERATIONS_ROUTE}
    for verb, actions in routes._OPERATION_ROUTES.items():
        expected |= {(f"{OPERATIONS}/{{rid}}{':' if verb else ''}{verb}", method) for method in actions}
    assert {(path, method.upper()) for path, item in paths.items() for method in item if method != "parameters"} == (
        expected
    )


def test_the_results_of_rules_are_there_once() -> None:
    plain, ruled = (set(document_of(settings)["paths"]) for settings in (Settings(), Settings(rules=RULES)))
    assert ruled - plain == {
        "/processing/results/{rid}",
        "/processing/{workflow}/{rid}",
        "/{rid_}/results/{rid}",
        "/of/{rid_}/{rest}/{rid}",
    }


def test_every_status_of_an_error_is_described() -> None:
    components = document_of(Settings())["components"]["responses"]
    described = {int(name.removeprefix("BgrsProblem")) for name in components if name.startswith("BgrsProblem")}
    assert described == set(errors.HTTP_STATUS.values()) - {405}


def test_it_is_the_same_object_for_the_same_names() -> None:
    assert openapi_document(Settings()) is openapi_document(Settings(concurrency=1))
    assert openapi_document(Settings()) != openapi_document(Settings(param="later"))


@pytest.mark.parametrize(("path", "root"), [("/bgrs", ".."), ("/a/b/c", "../../..")])
def test_the_server_is_found_from_the_document(path: str, root: str) -> None:
    """Wherever the application is mounted."""
    (server,) = document_of(Settings(path=path))["servers"]
    assert server["url"] == root
    mounted = httpx.URL(f"https://h.example/mounted{path}/openapi.json")
    assert str(mounted.join(server["url"])) == "https://h.example/mounted/"


def test_it_can_be_merged_into_fastapis() -> None:
    """By what the page on FastAPI says."""
    (block,) = [each for each in blocks("docs/howto-fastapi.md", "python") if each.file == "one_document.py"]
    namespace: dict[str, Any] = {}
    exec(block.text, namespace)
    app = namespace["app"]
    app.get("/report/{kind}")(lambda kind: kind)
    document = app.openapi()
    OpenAPIV31SpecValidator(document).validate()
    assert {"/report/{kind}", "/bgrs/{rid}"} <= set(document["paths"])
    assert app.openapi() is document


@pytest.mark.parametrize(
    ("item", "is_good"),
    [
        ({"method": "GET", "path": "/a?b=c"}, True),
        ({"method": "GET", "path": "/a", "headers": {"a": "b", "c": ["d", "e"]}, "body": "text"}, True),
        ({"method": "GET", "path": "/a", "headers": None, "body": {"a": [1, None]}, "body_base64": None}, True),
        ({"method": "GET", "path": "/a", "body": None, "body_base64": "aGk="}, True),
        ({"method": "GET"}, False),
        ({"path": "/a"}, False),
        ({"method": "GET", "path": "a"}, False),
        ({"method": "GET", "path": None}, False),
        ({"method": 1, "path": "/a"}, False),
        ({"method": "GET", "path": "/a", "more": 1}, False),
        ({"method": "GET", "path": "/a", "headers": [["a", "b"]]}, False),
        ({"method": "GET", "path": "/a", "headers": {"a": 1}}, False),
        ({"method": "GET", "path": "/a", "body_base64": 1}, False),
        ("/a", False),
    ],
)
@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_the_schema_of_a_batch_takes_what_is_taken(item: Any, count: int, is_good: bool) -> None:
    settings = Settings(max_batch_items=3)
    body = {"requests": [item] * count}
    document = document_of(settings)
    schema = document["components"]["schemas"]["BgrsBatchRequest"]
    assert Draft202012Validator(schema).is_valid(body) is (is_good and 1 <= count <= 3)
    try:
        read_batch(json.dumps(body).encode(), request_head("POST", "/bgrs"), settings, Rules(()))
        taken = True
    except errors.BadRequest:
        taken = False
    assert taken is (is_good and 1 <= count <= 3)


Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a real server, who is known to it."""
    data_dir = tmp_path_factory.mktemp("openapi") / "data"
    with serve("uvicorn", "office:app", folder=APPS, data_dir=data_dir, env=ENV) as server:
        headers = {"Authorization": "Bearer me"}
        with httpx.Client(base_url=server.url, headers=headers, timeout=60) as client:
            yield client


@pytest.fixture(scope="module")
def ask(client: httpx.Client) -> Ask:
    """Asks the server, and checks the answer against what its own document says of the route and the status."""
    document = client.get("/bgrs/openapi.json").json()

    def ask(method: str, path: str, template: str, expected: int, **more: Any) -> httpx.Response:
        response = client.request(method, path, **more)
        assert response.status_code == expected, response.text
        check(response, document["paths"][template][method.lower()], document)
        return response

    return ask


def check(response: httpx.Response, operation: dict[str, Any], document: dict[str, Any]) -> None:
    """Fail where an answer is not as described: status, type, headers, body."""
    described = operation["responses"].get(str(response.status_code))
    assert described is not None, f"{response.status_code} is not described"
    if "$ref" in described:
        described = document["components"]["responses"][described["$ref"].rpartition("/")[2]]
    for name, header in described.get("headers", {}).items():
        component = document["components"]["headers"][header["$ref"].rpartition("/")[2]]
        if name in response.headers:
            text = response.headers[name]
            value = int(text) if component["schema"].get("type") == "integer" else text
            Draft202012Validator(component["schema"]).validate(value)
    kind = response.headers.get("content-type", "").partition(";")[0]
    assert set(described.get("content", {})) == ({kind} if response.content else set())
    if response.content:
        validate(response.json(), described["content"][kind]["schema"], document)


def validate(value: Any, schema: dict[str, Any], document: dict[str, Any]) -> None:
    """Validate against a schema of the document, keys that it does not name forbidden."""
    closed = closed_schema(schema | {"components": document["components"]})
    Draft202012Validator(closed, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


def closed_schema(schema: Any) -> Any:
    """The same schema, each object with properties closed to others."""
    if isinstance(schema, list):
        return [closed_schema(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: closed_schema(each) for name, each in schema.items()}
    is_open_record = closed.get("type") == "object" and "properties" in closed and "additionalProperties" not in closed
    return closed | {"unevaluatedProperties": False} if is_open_record else closed


def started(client: httpx.Client, path: str) -> str:
    """The rid of a request for the background."""
    answer = client.post(path, params={"bgrs": "yes"})
    assert answer.status_code == 202, answer.text
    rid: str = answer.json()["request"]
    return rid


def ended(client: httpx.Client, path: str) -> str:
    """The rid of one that has ended."""
    rid = started(client, path)
    while client.get(f"/bgrs/{rid}?{WAIT}").json()[0]["finished_dt"] is None:
        pass
    return rid


def reported(client: httpx.Client) -> str:
    """The rid of one that runs and has reported progress and items."""
    rid = started(client, "/long")
    while not client.get(f"/bgrs/{rid}?wait_for=0.1").json()[0]["items"]:
        pass
    return rid


def look_at_all(ask: Ask, rid: str) -> None:
    """Its status, details, and the operation of both kinds."""
    (status,) = ask("GET", f"/bgrs/{rid}", "/bgrs/{rid}", 200).json()
    assert status["rid"] == rid
    assert ask("GET", f"/bgrs/{rid}/details", "/bgrs/{rid}/details", 200).json()
    assert ask("GET", f"/bgrs/{rid}/operation", "/bgrs/{rid}/operation", 200).json()["id"] == rid
    operation = ask("GET", f"{OPERATIONS}/{rid}", f"{OPERATIONS}/{{rid}}", 200).json()
    assert operation["name"].endswith(rid)


@pytest.mark.parametrize("path", ["/report", "/page", "/missing", "/break"])
def test_what_is_said_of_one_that_has_ended_is_as_described(client: httpx.Client, ask: Ask, path: str) -> None:
    look_at_all(ask, ended(client, path))


def test_what_is_said_of_one_that_runs_and_is_cancelled_is_as_described(client: httpx.Client, ask: Ask) -> None:
    rid = reported(client)
    look_at_all(ask, rid)
    assert ask("GET", f"/bgrs/{rid}/result", "/bgrs/{rid}/result", 202).headers["retry-after"]
    ask("DELETE", f"/bgrs/{rid}", "/bgrs/{rid}", 409)
    waited = ask("POST", f"{OPERATIONS}/{rid}:wait", f"{OPERATIONS}/{{rid}}:wait", 200, json={"timeout": "0.01s"})
    assert waited.json()["done"] is False
    ask("DELETE", f"{OPERATIONS}/{rid}", f"{OPERATIONS}/{{rid}}", 400)
    ask("POST", f"/bgrs/{rid}/cancel", "/bgrs/{rid}/cancel", 202)
    while client.get(f"/bgrs/{rid}?{WAIT}").json()[0]["finished_dt"] is None:
        pass
    look_at_all(ask, rid)
    ask("POST", f"/bgrs/{rid}/cancel", "/bgrs/{rid}/cancel", 200)
    ask("GET", f"/bgrs/{rid}/result", "/bgrs/{rid}/result", 409)


def test_an_operation_is_cancelled_and_deleted_as_described(client: httpx.Client, ask: Ask) -> None:
    rid = reported(client)
    ask("POST", f"{OPERATIONS}/{rid}:cancel", f"{OPERATIONS}/{{rid}}:cancel", 200)
    while client.get(f"/bgrs/{rid}?{WAIT}").json()[0]["finished_dt"] is None:
        pass
    ask("DELETE", f"{OPERATIONS}/{rid}", f"{OPERATIONS}/{{rid}}", 200)
    ask("GET", f"{OPERATIONS}/{rid}", f"{OPERATIONS}/{{rid}}", 404)


def test_lists_are_as_described(client: httpx.Client, ask: Ask) -> None:
    for path in ("/report", "/missing"):
        ended(client, path)
    assert ask("GET", "/bgrs?page_size=1", "/bgrs", 200).json()["next_page_token"]
    assert ask("GET", "/bgrs?status=finished", "/bgrs", 200).json()["requests"]
    ask("GET", "/bgrs?status=nonsense", "/bgrs", 400)
    page = ask("GET", f"{OPERATIONS}?filter=done%3Dtrue&pageSize=1", OPERATIONS, 200).json()
    assert page["operations"]
    assert page["nextPageToken"]
    ask("GET", f"{OPERATIONS}?filter=nonsense%3D1", OPERATIONS, 400)


def test_retry_and_delete_are_as_described(client: httpx.Client, ask: Ask) -> None:
    rid = ended(client, "/break")
    ask("GET", f"/bgrs/{rid}/result", "/bgrs/{rid}/result", 500)
    ask("POST", f"/bgrs/{rid}/retry", "/bgrs/{rid}/retry", 202)
    while client.get(f"/bgrs/{rid}?{WAIT}").json()[0]["finished_dt"] is None:
        pass
    ask("DELETE", f"/bgrs/{rid}", "/bgrs/{rid}", 204)
    ask("GET", f"/bgrs/{rid}", "/bgrs/{rid}", 404)


def test_a_status_that_the_client_has_is_as_described(client: httpx.Client, ask: Ask) -> None:
    rid = ended(client, "/report")
    etag = ask("GET", f"/bgrs/{rid}", "/bgrs/{rid}", 200).headers["etag"]
    ask("GET", f"/bgrs/{rid}", "/bgrs/{rid}", 304, headers={"If-None-Match": etag})


def test_health_and_the_document_itself_are_as_described(client: httpx.Client, ask: Ask) -> None:
    assert ask("GET", "/bgrs/health", "/bgrs/health", 200).json()["status"] == "pass"
    own = client.get("/bgrs/openapi.json", headers={"Authorization": ""})
    assert own.json() == document_of(Settings.from_env(environ=ENV))


def test_too_many_polls_are_answered_as_described(client: httpx.Client) -> None:
    rid = reported(client)
    document = client.get("/bgrs/openapi.json").json()
    for path in ("/bgrs/{rid}", OPERATIONS + "/{rid}"):
        # One more may be let through at any time: the answer that is checked is the one that was refused.
        while (answer := client.get(path.format(rid=rid))).status_code == 200:
            pass
        assert answer.status_code == 429
        check(answer, document["paths"][path]["get"], document)
    client.post(f"/bgrs/{rid}/cancel")


def test_what_a_rules_results_path_answers_is_as_described(client: httpx.Client, ask: Ask) -> None:
    rid = client.post("/slow/report?wait_for=0").json()["processing_id"]
    for template in ("/slow/results/{rid}", "/slow/{kind}/{rid}"):
        path = template.format(rid=rid, kind="report")
        assert ask("GET", f"{path}?wait_for=0", template, 202).json() == {"processing_id": rid}
    client.post(f"/bgrs/{rid}/cancel")


def test_a_batch_is_as_described(client: httpx.Client, ask: Ask) -> None:
    paths = ("/report", "/missing", "/break")
    body = {"requests": [{"method": "POST", "path": path, "body": {"a": 1}} for path in paths]}
    ask("POST", f"/bgrs?{WAIT}", "/bgrs", 200, json=body)
    accepted = ask("POST", "/bgrs", "/bgrs", 202, json=body)
    assert {"location", "operation-location", "retry-after"} <= set(accepted.headers)
    rid = accepted.json()["request"]
    while client.get(f"/bgrs/{rid}?{WAIT}").json()[0]["finished_dt"] is None:
        pass
    look_at_all(ask, rid)
    operation = client.get(f"{OPERATIONS}/{rid}").json()
    assert len(operation["metadata"]["value"]["individualProcessStatuses"]) == len(paths)
    ask("POST", "/bgrs", "/bgrs", 400, json={"requests": []})


def test_keys_that_are_not_described_are_found() -> None:
    """The check itself: a key more, a key less and a wrong kind are errors, in nested documents too."""
    document = document_of(Settings())
    schema = {"$ref": "#/components/schemas/BgrsHealth"}
    host = dict.fromkeys(("processes", "slots", "running", "stuck", "lease_losses"), 1)
    store = {"state": "ok", "queued": 0, "oldest_queued_seconds": None, "running": 0}
    good = {"status": "pass", "reasons": [], "store": store, "host": host}
    validate(good, schema, document)
    for bad in (
        good | {"more": 1},
        good | {"host": host | {"more": 1}},
        {name: each for name, each in good.items() if name != "store"},
        good | {"reasons": None},
    ):
        with pytest.raises(ValidationError):
            validate(bad, schema, document)
