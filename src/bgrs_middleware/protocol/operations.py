"""Google's surface: the same record as a google.longrunning.Operation in JSON (CONTRACT, section 5).

An operation has the keys `name`, `metadata`, `done`, `error` and `response` and no other: google-api-core refuses what
it does not know. What an application answers may be anything; whatever it is, the document can be read as protobuf's
JSON. The routes' own errors have Google's form too.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from ..models import Captured, Item, Record
from .documents import to_json
from .fields import first_field
from .operation_ends import Code, Failure, code_of, failure_of, percent, rfc3339
from .operation_state import state_of
from .struct_json import NotAStruct, is_json, read_struct

DOMAIN = "bgrs_middleware"
"""The domain of the reasons in an ErrorInfo."""

MAX_RESPONSE_BYTES = 256 * 1024
"""The largest body that an operation carries itself; of a larger one it tells the URL. So much for all of a page, too:
to read and write JSON takes its time, which others wait for.
"""

_TYPE = "type.googleapis.com/"
_STRUCT = f"{_TYPE}google.protobuf.Struct"
_HTTP_BODY = f"{_TYPE}google.api.HttpBody"
_ERROR_INFO = f"{_TYPE}google.rpc.ErrorInfo"

_NOT_ENCODED = (b"", b"identity")


def operation_document(
    record: Record,
    captured: Captured | None,
    *,
    name: str,
    result_uri: str,
    batch_items: Sequence[Mapping[str, Any]] = (),
) -> bytes:
    """Return the operation as JSON.

    Parameters:
        captured: its response. None: there is none, or it is not at hand; one that succeeded then tells `result_uri`.
        name: as `operation_name` gives it.
        result_uri: absolute URL of the result.
        batch_items: of a batch, what `batch_item` returned for each of its items.
    """
    failure = failure_of(record)
    operation: dict[str, Any] = {
        "name": name,
        "metadata": _struct(_metadata(record, failure, batch_items)),
        "done": record.status.is_final,
    }
    if failure is not None:
        operation["error"] = _error(record, failure, result_uri)
    elif record.status.is_final:
        operation["response"] = _response(record, captured, result_uri)
    return to_json(operation)


def operations_list(documents: Sequence[bytes], next_page_token: str | None) -> bytes:
    """Return a page of operations.

    Parameters:
        documents: what `operation_document` returned for each.
        next_page_token: None: this is the last page; the token is then empty (AIP-158).
    """
    return b'{"operations": [%s], "nextPageToken": %s}' % (b", ".join(documents), to_json(next_page_token or ""))


def error_document(
    http_status: int,
    message: str,
    *,
    reason: str,
    code: Code | None = None,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return the error of an operations route, as AIP-193 has it.

    Parameters:
        http_status: of the answer that carries it.
        message: one sentence for people.
        reason: for programs, in capitals with `_`.
        code: its name is the `status`. None: the one that belongs to the HTTP status.
        metadata: of the ErrorInfo.
    """
    status = code_of(http_status) if code is None else code
    error = {
        "code": http_status,
        "message": message,
        "status": status.name,
        "details": [_error_info(reason, metadata or {})],
    }
    return to_json({"error": error})


def late_cancel_document(name: str) -> bytes:
    """Return the error, to be sent with status 400, for cancelling an operation that has ended, in Google's words."""
    return error_document(
        400,
        f"Operation has completed and cannot be cancelled: '{name}'.",
        reason="OPERATION_COMPLETED",
        code=Code.FAILED_PRECONDITION,
        metadata={"operation": name},
    )


def batch_item(item: Record, *, name: str, result_uri: str) -> dict[str, Any]:
    """Return what a batch's operation tells of one of its items: as of an item that was reported, and more.

    Parameters:
        name: of the item's own operation.
        result_uri: absolute URL of the item's own result.
    """
    return {
        "name": name,
        "state": state_of(item.status, item.http_status),
        "message": item.message,
        "httpStatus": item.http_status,
        "resultUri": result_uri,
    }


def _metadata(record: Record, failure: Failure | None, batch_items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "state": state_of(record.status, record.http_status),
        "stateMessage": (record.message or "") if failure is None else failure.message,
        "createTime": rfc3339(record.created_at),
        "updateTime": rfc3339(record.updated_at),
        "progressPercent": percent(record),
        "type": record.type,
        "individualProcessStatuses": [*batch_items, *map(_item, record.items)],
    }


def _item(item: Item) -> dict[str, str | None]:
    return {"name": item.name, "state": item.state, "message": item.message}


def _error(record: Record, failure: Failure, result_uri: str) -> dict[str, Any]:
    metadata = {"bgrsStatus": record.status.label}
    if failure.http_status is not None:
        metadata |= {"httpStatus": str(failure.http_status), "resultUri": result_uri}
    details = [_error_info(failure.reason, metadata)]
    return {"code": int(failure.code), "message": failure.message, "details": details}


def _error_info(reason: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    return {"@type": _ERROR_INFO, "reason": reason, "domain": DOMAIN, "metadata": dict(metadata)}


def _response(record: Record, captured: Captured | None, result_uri: str) -> dict[str, Any]:
    """The answer itself where a document can carry it unchanged, else where to get it."""
    content_type = _content_type(record, captured)
    body = None if captured is None else _carried(captured)
    if body is None:
        return _struct({"resultUri": result_uri, "contentType": content_type})
    if is_json(content_type):
        try:
            return _struct(read_struct(body))
        except NotAStruct:
            pass  # It is handed on as the bytes that it is.
    return {"@type": _HTTP_BODY, "contentType": content_type, "data": b64encode(body).decode("ascii")}


def _carried(captured: Captured) -> bytes | None:
    """The body, unless it is large, lies in a file, or is compressed, which an HttpBody has no field to say."""
    encoding = first_field(captured.headers, b"content-encoding") or b""
    if captured.inline is None or len(captured.inline) > MAX_RESPONSE_BYTES:
        return None
    return captured.inline if encoding.strip().lower() in _NOT_ENCODED else None


def _content_type(record: Record, captured: Captured | None) -> str:
    sent = None if captured is None else first_field(captured.headers, b"content-type")
    return (record.content_type or "") if sent is None else sent.decode("latin-1")


def _struct(value: Mapping[str, Any]) -> dict[str, Any]:
    return {"@type": _STRUCT, "value": value}
