"""The routes themselves: what each takes and answers. The order is that of the reference in `docs/`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .parts import ACCEPTED, JSON, Part, content, errors, google_errors, pointer, response
from .schemas import TEXT, Schema, accepted, ref

_BACKGROUND = ["background requests"]
_OPERATIONS = ["operations"]


RuleResults = tuple[str, str]
"""A path with `{rid}` in it, and the key of the id in the body of a 202."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the settings say that changes paths and bounds.

    Parameters:
        operations_parent: None: it differs from request to request, so that it is a parameter.
        results: the further paths of results that rules name.
    """

    path: str
    operations_path: str
    operations_parent: str | None
    results: tuple[RuleResults, ...]
    max_batch_items: int


def paths(names: Names) -> dict[str, Part]:
    """Return the path items of all routes."""
    one = f"{names.path}/{{rid}}"
    found = {
        names.path: {"get": _LIST, "post": _BATCH},
        f"{names.path}/health": {"get": _HEALTH},
        f"{names.path}/openapi.json": {"get": _OPENAPI},
        one: _with_parameters({"get": _STATUS, "delete": _DELETE}, _RID),
        f"{one}/details": _with_parameters({"get": _DETAILS}, _RID),
        f"{one}/result": _with_parameters(
            {"get": _result("getBackgroundRequestResult", ref("BgrsStatusDocument"))}, _RID
        ),
        f"{one}/cancel": _with_parameters({"post": _CANCEL}, _RID),
        f"{one}/retry": _with_parameters({"post": _RETRY}, _RID),
        f"{one}/operation": _with_parameters({"get": _AZURE_OPERATION}, _RID),
    }
    found |= _operation_paths(names)
    shapes = {_shape_of(path) for path in found}
    for number, (template, id_field) in enumerate(names.results, start=1):
        path = template.replace(":path}", "}")
        # Two rules may say the same path, with other names for what varies; a document must not.
        if _shape_of(path) not in shapes:
            shapes.add(_shape_of(path))
            more = [_path_parameter(name) for name in re.findall(_PLACE, path) if name != "rid"]
            found[path] = _with_parameters(
                {"get": _result(f"getResultByRule{number}", accepted(id_field))}, _RID, *more
            )
    return found


_PLACE = r"\{(\w+)\}"


def _shape_of(path: str) -> str:
    return re.sub(_PLACE, "{}", path)


def _operation_paths(names: Names) -> dict[str, Part]:
    parent, more = names.operations_parent, []
    if parent is None:
        parent, more = "{parent}", [_parameter("OperationsParent")]
    all_of_them = f"{names.operations_path}/{parent}/operations"
    one = f"{all_of_them}/{{rid}}"
    return {
        all_of_them: _with_parameters({"get": _OPERATION_LIST}, *more),
        one: _with_parameters({"get": _OPERATION, "delete": _OPERATION_DELETE}, _RID, *more),
        f"{one}:wait": _with_parameters({"post": _OPERATION_WAIT}, _RID, *more),
        f"{one}:cancel": _with_parameters({"post": _OPERATION_CANCEL}, _RID, *more),
    }


def _with_parameters(item: Part, *shared: Part) -> Part:
    return {"parameters": list(shared), **item} if shared else item


def _parameter(name: str) -> Part:
    return pointer("parameters", f"Bgrs{name}")


def _path_parameter(name: str) -> Part:
    return {"name": name, "in": "path", "required": True, "schema": TEXT}


def _call(
    operation_id: str,
    summary: str,
    responses: dict[str, Any],
    *parameters: str,
    tags: list[str] = _BACKGROUND,
    **more: Any,
) -> Part:
    call: Part = {"operationId": operation_id, "tags": tags, "summary": summary}
    if parameters:
        call["parameters"] = [_parameter(name) for name in parameters]
    return {**call, **more, "responses": responses}


def _shown(schema: str, description: str, *headers: str) -> Part:
    return response(description, content(JSON, ref(schema)), *headers)


_RID = _parameter("Rid")
_NOT_MODIFIED = response("The client has it already.", None, "ETag", "Retry-After")
_LIST = _call(
    "listBackgroundRequests",
    "The caller's own requests, newest first.",
    {"200": _shown("BgrsRequestList", "A page of them."), **errors(400)},
    *("Statuses", "PageSize", "PageToken"),
)
_BATCH = _call(
    "createBatch",
    "Run several requests in the background, as items of one.",
    {
        "200": _shown("BgrsBatchResult", "All of them have ended within the wait.", "Bgrs-Request"),
        "202": ACCEPTED,
        **errors(400, 401, 403, 409, 410, 413, 422, 429),
    },
    *("WaitFor", "Prefer", "IdempotencyKey"),
    requestBody={"required": True, "content": content(JSON, ref("BgrsBatchRequest"))},
)
_HEALTH = _call(
    "getBackgroundHealth",
    "Whether requests can be accepted and run. For anybody.",
    {
        "200": _shown("BgrsHealth", "They can."),
        "503": _shown("BgrsHealth", "They cannot; `reasons` says why.", "Retry-After"),
    },
)
_OPENAPI = _call(
    "getBackgroundOpenapi",
    "This document. For anybody.",
    {"200": response("OpenAPI 3.1.", content(JSON, {"type": "object"}))},
)
_STATUS = _call(
    "getBackgroundRequest",
    "Status and progress; with `wait_for`, held until the status changes.",
    {
        "200": _shown("BgrsStatusDocument", "The status document.", "ETag", "Retry-After"),
        "304": _NOT_MODIFIED,
        **errors(400, 404, 429),
    },
    *("WaitFor", "IfNoneMatch"),
)
_DELETE = _call(
    "deleteBackgroundRequest",
    "Remove it and all that is stored of it.",
    {"204": response("It is gone."), **errors(403, 404, 409)},
)
_DETAILS = _call(
    "getBackgroundRequestDetails",
    "Its history, oldest first; at most 1,000 lines.",
    {"200": _shown("BgrsDetailsList", "The details."), **errors(400, 403, 404, 429)},
    "After",
)
_CANCEL = _call(
    "cancelBackgroundRequest",
    "Ask it to stop.",
    {
        "200": _shown("BgrsStatusDocument", "It has stopped.", "Bgrs-Status"),
        "202": _shown("BgrsStatusDocument", "It still stops.", "Retry-After", "Bgrs-Status"),
        **errors(403, 404, 409),
    },
)
_RETRY = _call(
    "retryBackgroundRequest",
    "Run a failed, lost or cancelled one again, under the same id.",
    {"202": _shown("BgrsAccepted", "It is queued again.", "Retry-After"), **errors(403, 404, 409)},
)
_AZURE_OPERATION = _call(
    "getAzureOperation",
    "What Azure's pollers read at `Operation-Location`.",
    {"200": _shown("BgrsAzureOperation", "The operation.", "Retry-After"), **errors(404, 429)},
    tags=_OPERATIONS,
)


def _result(operation_id: str, while_unfinished: Schema) -> Part:
    not_ready = response("It has not ended.", content(JSON, while_unfinished), "Retry-After", "Bgrs-Status")
    return _call(
        operation_id,
        "The captured response; 202 until it is there. With `wait_for`, held until it is.",
        {
            "202": not_ready,
            "206": response("A part of a captured 200.", {"*/*": {}}, "Content-Range", "ETag", "Bgrs-Request"),
            "304": response("The client has it already.", None, "ETag", "Bgrs-Request"),
            **errors(400, 404, 409, 410, 416, 429),
            "default": response(
                "The captured response: the application's own status, headers and body.",
                {"*/*": {}},
                *("Bgrs-Request", "Bgrs-Status", "ETag"),
            ),
        },
        *("WaitFor", "Range", "IfRange", "IfNoneMatch"),
    )


_SHOWN_OPERATION = _shown("BgrsOperation", "The operation.", "Retry-After")
_DONE_EMPTY = _shown("BgrsEmpty", "It is done.")

_OPERATION_LIST = _call(
    "listOperations",
    "The caller's own operations, newest first.",
    {"200": _shown("BgrsOperationList", "A page of them; it may be empty and not the last."), **google_errors(400)},
    *("Filter", "OperationsPageSize", "OperationsPageToken"),
    tags=_OPERATIONS,
)
_OPERATION = _call(
    "getOperation", "The operation.", {"200": _SHOWN_OPERATION, **google_errors(404, 429)}, tags=_OPERATIONS
)
_OPERATION_WAIT = _call(
    "waitOperation",
    "The operation once it is done, or when the time is up.",
    {"200": _SHOWN_OPERATION, **google_errors(400, 404, 413, 429)},
    tags=_OPERATIONS,
    requestBody={"content": content(JSON, ref("BgrsWaitOperation"))},
)
_OPERATION_CANCEL = _call(
    "cancelOperation",
    "Ask it to stop.",
    {"200": _DONE_EMPTY, **google_errors(400, 403, 404)},
    tags=_OPERATIONS,
    requestBody={"content": content(JSON, ref("BgrsEmpty"))},
)
_OPERATION_DELETE = _call(
    "deleteOperation",
    "Remove it; one that runs is not cancelled, but refused.",
    {"200": _DONE_EMPTY, **google_errors(400, 403, 404)},
    tags=_OPERATIONS,
)
