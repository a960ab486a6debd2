"""The routes: paths, methods, and one answer for everything that is not there."""

from __future__ import annotations

import pytest

from bgrs_middleware.errors import MethodNotAllowed, NotFound
from bgrs_middleware.protocol.routes import Action, Route, find_route, is_for_anybody
from bgrs_middleware.protocol.rules import Rules
from bgrs_middleware.settings import Rule, Settings
from protocol.samples import RID

NATIF = Rule(path="/processing/{workflow}", results_path="/processing/results/{id}")
RULES = Rules((NATIF,))


def route(method: str, path: str, settings: Settings | None = None) -> Route | None:
    return find_route(method, path, settings or Settings(), RULES)


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", f"/bgrs/{RID}", Action.STATUS),
        ("HEAD", f"/bgrs/{RID}", Action.STATUS),
        ("DELETE", f"/bgrs/{RID}", Action.DELETE),
        ("GET", f"/bgrs/{RID}/details", Action.DETAILS),
        ("HEAD", f"/bgrs/{RID}/details", Action.DETAILS),
        ("GET", f"/bgrs/{RID}/result", Action.RESULT),
        ("HEAD", f"/bgrs/{RID}/result", Action.RESULT),
        ("POST", f"/bgrs/{RID}/cancel", Action.CANCEL),
        ("POST", f"/bgrs/{RID}/retry", Action.RETRY),
    ],
)
def test_the_routes_of_one_request(method: str, path: str, action: Action, slash: str) -> None:
    assert route(method, path + slash) == Route(action=action, rid=RID)


@pytest.mark.parametrize("path", ["/bgrs", "/bgrs/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_list(method: str, path: str) -> None:
    assert route(method, path) == Route(action=Action.LIST, rid="")


@pytest.mark.parametrize("path", ["/bgrs/health", "/bgrs/health/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_health(method: str, path: str) -> None:
    found = route(method, path)
    assert found == Route(action=Action.HEALTH, rid="")
    assert is_for_anybody(found)
    assert not is_for_anybody(Route(action=Action.LIST, rid=""))


@pytest.mark.parametrize("path", ["/bgrs/health/details", "/bgrs/health/x", "/bgrs/Health", "/bgrs/healthy"])
def test_what_is_like_the_health_and_is_not(path: str) -> None:
    with pytest.raises(NotFound):
        route("GET", path)


@pytest.mark.parametrize(
    "path", ["/", "", "/bgrsx", f"/bgrsx/{RID}", "/bgr", f"/x/bgrs/{RID}", "/BGRS", "bgrs", "//bgrs"]
)
def test_other_paths_belong_to_the_application(path: str) -> None:
    assert route("GET", path) is None


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize(
    "path",
    [
        "/bgrs//",
        f"/bgrs//{RID}",
        f"/bgrs/{RID}//",
        f"/bgrs/{RID}/nothing",
        f"/bgrs/{RID}/details/1",
        f"/bgrs/{RID}//result",
        f"/bgrs/{RID}/result/x",
        "/bgrs/v1/projects/x",
    ],
)
def test_what_is_not_there_below_our_path(path: str, method: str) -> None:
    with pytest.raises(NotFound):
        route(method, path)


@pytest.mark.parametrize(
    "rid",
    ["x", RID.upper(), RID[:-1], RID + "0", RID[:-1] + "g", RID[:-1] + "\n", RID[:-1] + "٣", "v1", "..", "%2e%2e"],
)
def test_a_malformed_id_is_answered_like_an_unknown_one(rid: str) -> None:
    for method, path in (
        ("GET", f"/bgrs/{rid}"),
        ("DELETE", f"/bgrs/{rid}"),
        ("GET", f"/bgrs/{rid}/result"),
        ("POST", f"/bgrs/{rid}/cancel"),
        ("GET", f"/processing/results/{rid}"),
    ):
        with pytest.raises(NotFound):
            route(method, path)


@pytest.mark.parametrize("rid", [RID, "malformed"])
@pytest.mark.parametrize(
    ("method", "below", "allow"),
    [
        ("POST", "", b"GET, HEAD, DELETE"),
        ("PUT", "", b"GET, HEAD, DELETE"),
        ("OPTIONS", "", b"GET, HEAD, DELETE"),
        ("get", "", b"GET, HEAD, DELETE"),
        ("POST", "/details", b"GET, HEAD"),
        ("DELETE", "/result", b"GET, HEAD"),
        ("GET", "/cancel", b"POST"),
        ("HEAD", "/cancel", b"POST"),
        ("GET", "/retry/", b"POST"),
    ],
)
def test_the_method_is_looked_at_before_the_id(rid: str, method: str, below: str, allow: bytes) -> None:
    with pytest.raises(MethodNotAllowed) as refused:
        route(method, f"/bgrs/{rid}{below}")
    assert refused.value.headers == ((b"allow", allow),)


def test_all_requests_are_listed_and_batches_are_sent_to_one_path() -> None:
    assert route("GET", "/bgrs") == Route(action=Action.LIST, rid="")
    assert route("POST", "/bgrs") == Route(action=Action.BATCH, rid="")
    with pytest.raises(MethodNotAllowed) as refused:
        route("PUT", "/bgrs")
    assert refused.value.headers == ((b"allow", b"GET, HEAD, POST"),)


def test_our_path_is_a_setting() -> None:
    settings = Settings(path="/jobs/background")
    assert route("GET", f"/jobs/background/{RID}", settings) == Route(action=Action.STATUS, rid=RID)
    assert route("GET", f"/bgrs/{RID}", settings) is None
    assert route("GET", "/jobs", settings) is None


@pytest.mark.parametrize("path", [f"/processing/results/{RID}", f"/processing/invoice/{RID}"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_rules_result_paths_are_ours(method: str, path: str) -> None:
    assert route(method, path) == Route(action=Action.RESULT, rid=RID, natif=NATIF)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/processing/invoice"),
        ("POST", "/processing/invoice"),
        ("POST", f"/processing/results/{RID}"),
        ("GET", "/processing/invoice/7"),
        ("DELETE", f"/processing/invoice/{RID}"),
    ],
)
def test_what_stands_beside_them_is_the_applications(method: str, path: str) -> None:
    assert route(method, path) is None
