"""The whole OpenAPI document, put together from its parts and made once for each way in which the settings name paths.

Paths are below `root_path`, which the settings do not know: without a `public_url` the server's URL is therefore
relative to the document's own, as OpenAPI allows (section 4.8.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from ...settings import Rule, Settings
from ..documents import to_json
from ..message import Reply, RequestHead
from ..replies import json_reply
from .parts import HEADERS, RESPONSES, parameters
from .paths import Names, RuleResults, paths
from .schemas import SCHEMAS, batch_request

_ABOUT = (
    "Background requests: any request of this application with `{param}=yes` in its query, or with the header"
    " `Prefer: respond-async`, is answered with 202 and the id of a background request. Below are the routes of that"
    " background request. The components say what the asking request takes and answers, for the application's own"
    " document."
)


def openapi_document(settings: Settings) -> bytes:
    """Return the OpenAPI 3.1 document of our routes as JSON. The same bytes for the same settings.

    Parameters:
        settings: those of the door; what they say of paths and names is all that counts.
    """
    parent = settings.operations_parent
    names = Names(
        path=settings.path,
        operations_path=settings.operations_path,
        operations_parent=parent if isinstance(parent, str) else None,
        results=tuple(each for rule in settings.rules for each in _results(rule)),
        max_batch_items=settings.max_batch_items,
    )
    return _made(names, settings.param, settings.public_url, settings.max_wait_seconds)


def openapi_reply(settings: Settings, head: RequestHead) -> Reply:
    """Return the answer that carries the document."""
    return json_reply(head, 200, openapi_document(settings))


@lru_cache(maxsize=16)
def _made(names: Names, param: str, public_url: str | None, max_wait_seconds: float) -> bytes:
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": "Background requests", "version": "1", "description": _ABOUT.format(param=param)},
        "servers": [{"url": public_url or _root_from(names.path)}],
        "tags": [
            {
                "name": "background requests",
                "description": "Status, history and result of one, and what to do with it.",
            },
            {"name": "operations", "description": "The same as long-running operations of Google's and Azure's kind."},
        ],
        "paths": paths(names),
        "components": {
            "schemas": SCHEMAS | {"BgrsBatchRequest": batch_request(names.max_batch_items)},
            "parameters": parameters(param, max_wait_seconds),
            "headers": HEADERS,
            "responses": RESPONSES,
        },
    }
    return to_json(document)


def _results(rule: Rule) -> Iterator[RuleResults]:
    """Where else a rule's results are: at its `results_path`, and below the path that asks for them."""
    if rule.results_path is not None:
        yield rule.results_path.replace("{rid}", "{rid_}").replace("{id}", "{rid}"), rule.id_field
        yield rule.path.rstrip("/").replace("{rid}", "{rid_}") + "/{rid}", rule.id_field


def _root_from(path: str) -> str:
    """The application's root, seen from the document, which lies one step below `path`."""
    return "/".join([".."] * path.count("/"))
