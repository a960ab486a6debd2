"""The schemas (JSON Schema 2020-12) of what is sent and answered: the contract's documents, key for key.

A test validates what a real server answers against them, with keys that are not described forbidden. Except for
Google's messages they are open here: a later version may add keys.
"""

from __future__ import annotations

from typing import Any

from ...models import Status
from ..health import StoreState
from ..operation_ends import Code
from ..operation_state import OperationState

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
RID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
RID_OR_NULL: Schema = {"type": ["string", "null"], "pattern": "^[0-9a-f]{32}$"}
URI: Schema = {"type": "string", "format": "uri"}
COUNT: Schema = {"type": "integer", "minimum": 0}
COUNT_OR_NULL: Schema = {"type": ["integer", "null"], "minimum": 0}

_DIGITS = "^[0-9]+$"
_TIME = "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$"
_RFC_3339: Schema = {"type": "string", "format": "date-time"}
_PERCENT: Schema = {"type": ["number", "null"], "minimum": 0, "maximum": 100}
_TYPE = "type.googleapis.com/"


def ref(name: str) -> Schema:
    """A reference to a schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def described(schema: Schema, description: str) -> Schema:
    """A schema with a description."""
    return {**schema, "description": description}


def _digits(description: str, *, nullable: bool = False) -> Schema:
    return {"type": ["string", "null"] if nullable else "string", "pattern": _DIGITS, "description": description}


def _time(description: str, *, nullable: bool = False) -> Schema:
    kind = ["string", "null"] if nullable else "string"
    return {"type": kind, "pattern": _TIME, "description": f"{description}; UTC."}


def _record(properties: Schema, *, optional: tuple[str, ...] = (), closed: bool = False) -> Schema:
    """An object: everything in it is always there but what is optional."""
    schema: Schema = {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": properties,
    }
    return {**schema, "additionalProperties": False} if closed else schema


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _of_type(name: str, value: Schema) -> Schema:
    return _record({"@type": {"const": f"{_TYPE}{name}"}, **value}, closed=True)


_STATUS = _record(
    {
        "id": _digits("Counts up from 1 within the store."),
        "rid": RID,
        "user_id": described(TEXT_OR_NULL, "Who asked; null: anonymous."),
        "name": described(TEXT, "Path and query as sent; values that look like secrets are masked."),
        "created_dt": _time("When it was accepted"),
        "status_id": {"enum": [str(int(status)) for status in Status]},
        "status_name": {"enum": [status.label for status in Status]},
        "progress": {"type": ["string", "null"], "pattern": r"^[0-9]+\.[0-9]{2}$", "description": "Percent."},
        "finished_dt": _time("When it ended, in whatever state", nullable=True),
        "status": _digits("The HTTP status of the captured response.", nullable=True),
        "content_type": described(TEXT_OR_NULL, "Of the captured response."),
        "result": described(TEXT_OR_NULL, "The name of the stored result."),
        "method": described(TEXT, "The HTTP method."),
        "type": described(TEXT, "The rule's type, else made of method and path."),
        "parent": described(RID_OR_NULL, "The batch that it is an item of."),
        "attempt": _digits("How often it was started; 0 while it never was."),
        "message": described(TEXT_OR_NULL, "What the application reported last."),
        "queued_dt": _time("When it last entered the queue"),
        "started_dt": _time("When it was last started", nullable=True),
        "items": described(
            _list(ref("BgrsItem")), "What the application reported of single items, or a batch's items."
        ),
    }
)

_BATCH_ITEM = _record(
    {
        "rid": RID,
        "method": TEXT,
        "name": TEXT,
        "status_name": {"enum": [status.label for status in Status]},
        "http_status": {"type": ["integer", "null"]},
        "content_type": TEXT_OR_NULL,
        "result": described(URI, "The URL of its own result."),
    }
)

_HEALTH = _record(
    {
        "status": {"enum": ["pass", "fail"]},
        "reasons": described(_list(TEXT), "Why it is `fail`, one sentence each."),
        "store": _record(
            {
                "state": {"enum": [state.value for state in StoreState]},
                "queued": COUNT_OR_NULL,
                "oldest_queued_seconds": {"type": ["number", "null"], "minimum": 0},
                "running": COUNT_OR_NULL,
            }
        ),
        "host": _record(dict.fromkeys(("processes", "slots", "running", "stuck", "lease_losses"), COUNT)),
    }
)

_METADATA = _record(
    {
        "state": {"enum": [state.value for state in OperationState]},
        "stateMessage": TEXT,
        "createTime": _RFC_3339,
        "updateTime": _RFC_3339,
        "progressPercent": _PERCENT,
        "type": TEXT,
        "individualProcessStatuses": _list(ref("BgrsProcessStatus")),
    }
)

_RPC_STATUS = _record(
    {
        "code": {"enum": [int(code) for code in Code], "description": "A google.rpc.Code, never 0."},
        "message": TEXT,
        "details": _list(ref("BgrsErrorInfo")),
    },
    closed=True,
)

_OPERATION = {
    **_record(
        {
            "name": described(TEXT, "`{operations_parent}/operations/{rid}`"),
            "metadata": _of_type("google.protobuf.Struct", {"value": ref("BgrsOperationMetadata")}),
            "done": {"type": "boolean"},
            "error": ref("BgrsRpcStatus"),
            "response": {"oneOf": [ref("BgrsStruct"), ref("BgrsHttpBody")]},
        },
        optional=("error", "response"),
        closed=True,
    ),
    "description": "A google.longrunning.Operation in JSON: `error` or `response` once it is done.",
    "if": {"properties": {"done": {"const": True}}},
    "then": {"oneOf": [{"required": ["error"]}, {"required": ["response"]}]},
    "else": {"not": {"anyOf": [{"required": ["error"]}, {"required": ["response"]}]}},
}

_AZURE = _record(
    {
        "id": RID,
        "status": {"enum": ["NotStarted", "Running", "Succeeded", "Failed", "Canceled"]},
        "percentComplete": _PERCENT,
        "createdDateTime": _RFC_3339,
        "resourceLocation": described(URI, "The URL of the result."),
        "error": _record({"code": TEXT, "message": TEXT}),
    },
    optional=("error",),
)

SCHEMAS: dict[str, Schema] = {
    "BgrsAccepted": described(
        _record({"request": RID}), "The id of a background request. A rule may give the key another name."
    ),
    "BgrsRequest": described(_STATUS, "One background request. All values are text, or null while they are unknown."),
    "BgrsStatusDocument": {"type": "array", "items": ref("BgrsRequest"), "minItems": 1, "maxItems": 1},
    "BgrsItem": _record({"name": TEXT, "state": TEXT, "message": TEXT_OR_NULL}),
    "BgrsDetail": _record(
        {"id": _digits("Counts up."), "rid": RID, "dt": _time("When it was written"), "details": TEXT}
    ),
    "BgrsDetailsList": described(_list(ref("BgrsDetail")), "Oldest first."),
    "BgrsRequestList": _record(
        {
            "requests": described(_list(ref("BgrsRequest")), "Newest first."),
            "next_page_token": described(TEXT_OR_NULL, "For `page_token`; null on the last page."),
        }
    ),
    "BgrsBatchResult": described(
        _record({"rid": RID, "items": _list(_BATCH_ITEM)}), "The result of a batch: its items, in order."
    ),
    "BgrsHealth": _HEALTH,
    "BgrsProblem": described(
        _record(
            {
                "type": described(TEXT, "about:blank"),
                "title": TEXT,
                "status": {"type": "integer", "minimum": 400, "maximum": 599},
                "detail": TEXT,
                "rid": RID,
            },
            optional=("rid",),
        ),
        "An error (RFC 9457).",
    ),
    "BgrsAzureOperation": _AZURE,
    "BgrsOperation": _OPERATION,
    "BgrsOperationMetadata": _METADATA,
    "BgrsProcessStatus": _record(
        {
            "name": described(TEXT, "As it was reported; of a batch, the name of the item's own operation."),
            "state": TEXT,
            "message": TEXT_OR_NULL,
            "httpStatus": {"type": ["integer", "null"], "description": "Of an item of a batch."},
            "resultUri": described(URI, "Of an item of a batch."),
        },
        optional=("httpStatus", "resultUri"),
    ),
    "BgrsOperationList": _record(
        {
            "operations": _list(ref("BgrsOperation")),
            "nextPageToken": described(TEXT, "For `pageToken`; empty on the last page."),
        },
        closed=True,
    ),
    "BgrsWaitOperation": {
        "type": "object",
        "properties": {"timeout": {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?s$", "examples": ["10s"]}},
    },
    "BgrsEmpty": {"type": "object", "additionalProperties": False},
    "BgrsStruct": _of_type("google.protobuf.Struct", {"value": {"type": "object"}}),
    "BgrsHttpBody": _of_type(
        "google.api.HttpBody", {"contentType": TEXT, "data": {"type": "string", "contentEncoding": "base64"}}
    ),
    "BgrsErrorInfo": _of_type(
        "google.rpc.ErrorInfo",
        {"reason": TEXT, "domain": TEXT, "metadata": {"type": "object", "additionalProperties": TEXT}},
    ),
    "BgrsRpcStatus": _RPC_STATUS,
    "BgrsGoogleError": described(
        _record(
            {
                "error": _record(
                    {
                        "code": {"type": "integer", "minimum": 400, "maximum": 599},
                        "message": TEXT,
                        "status": {"enum": [code.name for code in Code]},
                        "details": _list(ref("BgrsErrorInfo")),
                    },
                    closed=True,
                )
            },
            closed=True,
        ),
        "An error of the operations (AIP-193).",
    ),
}
"""All of them by their names, but what depends on the settings."""


def batch_request(max_batch_items: int) -> Schema:
    """The body that asks for a batch.

    Parameters:
        max_batch_items: the most items that it may have.
    """
    value = {"oneOf": [TEXT, _list(TEXT)]}
    item = _record(
        {
            "method": TEXT,
            "path": {"type": "string", "pattern": "^/", "description": "Below the application's root, with its query."},
            "headers": {"type": ["object", "null"], "additionalProperties": value},
            "body": {"description": "A text, sent in UTF-8; anything else is sent as JSON."},
            "body_base64": {"type": ["string", "null"], "contentEncoding": "base64"},
        },
        optional=("headers", "body", "body_base64"),
        closed=True,
    )
    requests = {"type": "array", "items": item, "minItems": 1, "maxItems": max_batch_items}
    return _record({"requests": requests}, closed=True)


def accepted(id_field: str) -> Schema:
    """The body of a 202 that a rule gives another key."""
    return _record({id_field: RID})
