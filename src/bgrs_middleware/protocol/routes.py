"""The background request's own routes: which action a method and a path mean, or none because the path is not ours.

Everything below the setting `path` is ours; a rule's result paths are too, and what has the form of an operation's name
below `operations_path`. The method is looked at before the id, and an id that is no rid gets the same answer as an
unknown one, so that no answer tells which ids exist.
"""

from __future__ import annotations

from enum import StrEnum

from ..errors import MethodNotAllowed, NotFound
from ..hot import hot_dataclass
from ..models import is_rid
from ..settings import Rule, Settings
from .operation_names import OperationPath, read_operation_path
from .rules import Rules


class Action(StrEnum):
    """What a client wants to know or do."""

    STATUS = "status"
    DETAILS = "details"
    RESULT = "result"
    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"
    LIST = "list"
    HEALTH = "health"
    OPENAPI = "openapi"
    BATCH = "batch"
    AZURE_OPERATION = "azure operation"
    OPERATION = "operation"
    OPERATIONS = "operations"
    WAIT_OPERATION = "wait operation"
    CANCEL_OPERATION = "cancel operation"
    DELETE_OPERATION = "delete operation"


@hot_dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An action on one background request. `rid` is empty where it is about none in particular.

    `natif` is the rule whose path was used. `operations_parent` is the one of Google's operations that the path names.
    """

    action: Action
    rid: str
    natif: Rule | None = None
    operations_parent: str | None = None


_ALL_ROUTE = {"GET": Action.LIST, "POST": Action.BATCH}
_GENERAL_ROUTES = {"health": {"GET": Action.HEALTH}, "openapi.json": {"GET": Action.OPENAPI}}
_ROUTES: dict[str, dict[str, Action]] = {
    "": {"GET": Action.STATUS, "DELETE": Action.DELETE},
    "details": {"GET": Action.DETAILS},
    "result": {"GET": Action.RESULT},
    "cancel": {"POST": Action.CANCEL},
    "retry": {"POST": Action.RETRY},
    "operation": {"GET": Action.AZURE_OPERATION},
}
_OPERATIONS_ROUTE = {"GET": Action.OPERATIONS}
_OPERATION_ROUTES: dict[str, dict[str, Action]] = {
    "": {"GET": Action.OPERATION, "DELETE": Action.DELETE_OPERATION},
    "wait": {"POST": Action.WAIT_OPERATION},
    "cancel": {"POST": Action.CANCEL_OPERATION},
}


_FOR_ANYBODY = frozenset({Action.HEALTH, Action.OPENAPI})

MAX_BATCH_BODY_BYTES = 16 * 1024 * 1024
"""Of a batch, which is read into memory, and there several times: as bytes, as text, as values, as sealed items."""

MAX_WAIT_BODY_BYTES = 64 * 1024
"""Of the body of `:wait`, which holds a duration and perhaps the operation's name."""


def is_for_anybody(route: Route) -> bool:
    """Whether it is answered whoever asks, and whatever the store does."""
    return route.action in _FOR_ANYBODY


def max_body_bytes(route: Route, settings: Settings) -> int | None:
    """Return the most that the body of a request to this route may have; None where nobody reads it."""
    if route.action is Action.BATCH:
        return min(settings.max_body_bytes, MAX_BATCH_BODY_BYTES)
    return MAX_WAIT_BODY_BYTES if route.action is Action.WAIT_OPERATION else None


def is_googles_path(route_path: str, settings: Settings) -> bool:
    """Whether errors below a path have Google's form: where nothing but operations can be, or where one has its name.

    `operations_path` may be one that the application has, too; what is asked there in the background is no operation.
    """
    operations = settings.operations_path
    if not route_path.startswith(f"{operations}/"):
        return False
    return _is_all_ours(settings) or _operation_path(route_path[len(operations) :], settings) is not None


def find_route(method: str, route_path: str, settings: Settings, rules: Rules) -> Route | None:
    """Return the route, or None where the path belongs to the application.

    Parameters:
        route_path: decoded, below `root_path`. One slash at the end is tolerated.

    Raises:
        MethodNotAllowed: the route takes other methods; its header `Allow` names them.
        NotFound: there is no such route below `path`, or the id is no rid.
    """
    operations = settings.operations_path
    if route_path.startswith(operations):
        route = _operation_route(method, route_path[len(operations) :], settings)
        if route is not None:
            return route
    ours = settings.path
    if route_path.startswith(ours):
        below = route_path[len(ours) :]
        if not below or below[0] == "/":
            return _own_route(method, below)
    found = rules.result_rid(method, route_path)
    if found is None:
        return None
    rule, rid = found
    return Route(action=Action.RESULT, rid=_well_formed(rid), natif=rule)


def _is_all_ours(settings: Settings) -> bool:
    return settings.operations_path.startswith(f"{settings.path}/")


def _operation_path(below: str, settings: Settings) -> OperationPath | None:
    """None where no operation can have this path, or the application has the path, too, and the list may be its own.

    `/v1/hospitals/7/operations` is hardly about ours. An id of 32 characters says more than such a word.
    """
    path = read_operation_path(below)
    if path is None or path.rid or _is_all_ours(settings) or not isinstance(settings.operations_parent, str):
        return path
    return path if path.parent == settings.operations_parent else None


def _operation_route(method: str, below: str, settings: Settings) -> Route | None:
    path = _operation_path(below, settings)
    if path is None:
        return None
    actions = _OPERATION_ROUTES.get(path.verb) if path.rid else _OPERATIONS_ROUTE
    if actions is None:
        return None
    action = actions.get("GET" if method == "HEAD" else method)
    return None if action is None else Route(action=action, rid=path.rid, operations_parent=path.parent)


def _own_route(method: str, below: str) -> Route:
    segments = below.removesuffix("/").split("/")[1:]
    if "" in segments or len(segments) > 2:
        raise NotFound
    if not segments:
        return Route(action=_action(method, _ALL_ROUTE), rid="")
    if len(segments) == 1 and segments[0] in _GENERAL_ROUTES:
        return Route(action=_action(method, _GENERAL_ROUTES[segments[0]]), rid="")
    actions = _ROUTES.get(segments[1] if len(segments) == 2 else "")
    if actions is None:
        raise NotFound
    return Route(action=_action(method, actions), rid=_well_formed(segments[0]))


def _action(method: str, actions: dict[str, Action]) -> Action:
    action = actions.get("GET" if method == "HEAD" else method)
    if action is None:
        allowed = ", ".join(actions).replace("GET", "GET, HEAD")
        raise MethodNotAllowed(f"This route takes {allowed}.", headers=((b"allow", allowed.encode("ascii")),))
    return action


def _well_formed(rid: str) -> str:
    if not is_rid(rid):
        raise NotFound
    return rid
