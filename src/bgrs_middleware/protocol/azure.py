"""Azure's surface: what its pollers read at `Operation-Location`, `GET /bgrs/<rid>/operation` (CONTRACT, section 5).

`resourceLocation` is always there. Without it azure-core ends the polling of a PUT or PATCH by a GET on the original
URL, `?bgrs=yes` and all, and so would start another background request.
"""

from __future__ import annotations

from typing import Any

from ..models import Record, Status
from .documents import to_json
from .message import Reply, RequestHead
from .operation_ends import failure_of, percent, rfc3339
from .replies import json_reply, when_to_ask

_STATUSES = {
    Status.QUEUED: "NotStarted",
    Status.RUNNING: "Running",
    Status.CANCELLING: "Running",
    Status.CANCELLED: "Canceled",
}


def azure_reply(record: Record, head: RequestHead, *, result_uri: str, now: float) -> Reply:
    """Return the document, always with 200: pollers tell from it how an operation ended, not from the status.

    Parameters:
        result_uri: absolute URL of the result.
        now: seconds since the epoch; for `Retry-After`, by which the pollers wait while it has not ended.
    """
    return json_reply(head, 200, azure_document(record, result_uri=result_uri), when_to_ask(record, now))


def azure_document(record: Record, *, result_uri: str) -> bytes:
    """Return the document as JSON.

    Parameters:
        result_uri: absolute URL of the result.
    """
    failure = failure_of(record)
    document: dict[str, Any] = {
        "id": record.rid,
        "status": _STATUSES.get(record.status) or ("Succeeded" if failure is None else "Failed"),
        "percentComplete": percent(record),
        "createdDateTime": rfc3339(record.created_at),
        "resourceLocation": result_uri,
    }
    if failure is not None:
        document["error"] = {"code": failure.reason, "message": failure.message}
    return to_json(document)
