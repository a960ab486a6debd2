"""The background request's own routes: which action a method and a path mean, or none because the path is not ours.

Everything below the setting `path` is ours; a rule's result paths are too. The method is looked at before the id, and
an id that is no rid gets the same answer as an unknown one, so that no answer tells which ids exist.
"""

from __future__ import annotations

from enum import StrEnum

from ..errors import MethodNotAllowed, NotFound
from ..hot import hot_dataclass
from ..models import is_rid
from ..settings import Rule, Settings
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


@hot_dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An action on one background request. `rid` is empty for LIST and HEALTH, which are about none in particular.

    `natif` is the rule whose path was used.
    """

    action: Action
    rid: str
    natif: Rule | None = None


_LIST_ROUTE = {"GET": Action.LIST}
_HEALTH_ROUTE = {"GET": Action.HEALTH}
_ROUTES: dict[str, dict[str, Action]] = {
    "": {"GET": Action.STATUS, "DELETE": Action.DELETE},
    "details": {"GET": Action.DETAILS},
    "result": {"GET": Action.RESULT},
    "cancel": {"POST": Action.CANCEL},
    "retry": {"POST": Action.RETRY},
}


def is_about_health(concern: object) -> bool:
    """Whether it is the route that is answered whoever asks, and whatever the store does."""
    return isinstance(concern, Route) and concern.action is Action.HEALTH


def find_route(method: str, route_path: str, settings: Settings, rules: Rules) -> Route | None:
    """Return the route, or None where the path belongs to the application.

    Parameters:
        route_path: decoded, below `root_path`. One slash at the end is tolerated.

    Raises:
        MethodNotAllowed: the route takes other methods; its header `Allow` names them.
        NotFound: there is no such route below `path`, or the id is no rid.
    """
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


def _own_route(method: str, below: str) -> Route:
    segments = below.removesuffix("/").split("/")[1:]
    if "" in segments or len(segments) > 2:
        raise NotFound
    if not segments:
        return Route(action=_action(method, _LIST_ROUTE), rid="")
    if segments == ["health"]:
        return Route(action=_action(method, _HEALTH_ROUTE), rid="")
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
