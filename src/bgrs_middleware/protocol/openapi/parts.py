"""What several routes share: their parameters, the headers of their answers, and the errors."""

from __future__ import annotations

from typing import Any

from ...models import RID_LENGTH, Status
from ..page_tokens import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE
from .schemas import RID, TEXT, URI, Schema, described, ref

Part = dict[str, Any]

JSON = "application/json"
PROBLEM = "application/problem+json"


def pointer(kind: str, name: str) -> Part:
    """A reference to a component by its kind and name."""
    return {"$ref": f"#/components/{kind}/{name}"}


def content(media_type: str, schema: Schema) -> Part:
    """A body of one type."""
    return {media_type: {"schema": schema}}


def response(description: str, body: Part | None = None, *headers: str) -> Part:
    """An answer, and the names of its headers."""
    answer: Part = {"description": description}
    if headers:
        answer["headers"] = {name: pointer("headers", _component_of(name)) for name in headers}
    if body is not None:
        answer["content"] = body
    return answer


def errors(*statuses: int) -> Part:
    """The errors of one of our own routes, as problems; every route answers 500 and 503 where the store cannot."""
    return {str(status): pointer("responses", f"BgrsProblem{status}") for status in (*statuses, 500, 503)}


def google_errors(*statuses: int) -> Part:
    """The errors of a route of Google's operations, in their form."""
    return {str(status): pointer("responses", f"BgrsGoogleError{status}") for status in (*statuses, 500, 503)}


def _component_of(header: str) -> str:
    return "Bgrs" + header.replace("Bgrs-", "").replace("-", "")


_ABOUT_HEADERS: dict[str, Schema] = {
    "Retry-After": described({"type": "integer", "minimum": 1}, "After how many seconds to ask again."),
    "Location": described(URI, "The absolute URL of the result."),
    "Operation-Location": described(URI, "The absolute URL of the operation, for Azure's pollers."),
    "Link": described(TEXT, 'The URLs of status and details: `rel="status"`, `rel="details"`.'),
    "Preference-Applied": described(TEXT, "`respond-async`, where `Prefer` asked for it."),
    "ETag": described(TEXT, "For `If-None-Match`."),
    "Content-Range": described(TEXT, "Which part it is, of how many bytes."),
    "Bgrs-Request": described(RID, "The id of the background request."),
    "Bgrs-Status": {"enum": [status.label for status in Status], "description": "Its state."},
}
HEADERS: dict[str, Part] = {
    _component_of(name): {"schema": {key: each for key, each in schema.items() if key != "description"}}
    | {"description": schema["description"]}
    for name, schema in _ABOUT_HEADERS.items()
}

_ERRORS = {
    400: "A marker, parameter, header or body cannot be understood.",
    401: "The caller must say who they are.",
    403: "It is not the caller's to manage.",
    404: "Unknown, malformed, or not the caller's to see: one answer for all three.",
    409: "Its state does not allow it.",
    410: "There is no response any more, or there never will be one.",
    413: "The body is too large.",
    416: "The range lies outside the result.",
    422: "The `Idempotency-Key` was used for another request.",
    429: "This caller asks far too often, or has too much waiting. `Retry-After` says when to ask again.",
    500: "The request failed or was lost, so there is no response; or a fault on the server.",
    503: "The store cannot be used just now, or there is no room; nothing was recorded.",
}
_ERROR_HEADERS = {
    409: ("Bgrs-Status",),
    410: ("Bgrs-Status",),
    416: ("Content-Range",),
    429: ("Retry-After",),
    500: ("Bgrs-Status",),
    503: ("Retry-After",),
}
_GOOGLE_ERRORS = {
    400: "What was asked for cannot be understood, or the operation's state does not allow it (FAILED_PRECONDITION).",
    403: _ERRORS[403],
    404: _ERRORS[404],
    413: _ERRORS[413],
    429: _ERRORS[429],
    500: "A fault on the server.",
    503: _ERRORS[503],
}

ACCEPTED = response(
    "Recorded and flushed to disk; it runs in the background.",
    content(JSON, ref("BgrsAccepted")),
    *("Location", "Operation-Location", "Link", "Retry-After", "Preference-Applied"),
)

RESPONSES: dict[str, Part] = {
    "BgrsAccepted": ACCEPTED,
    **{
        f"BgrsProblem{status}": response(text, content(PROBLEM, ref("BgrsProblem")), *_ERROR_HEADERS.get(status, ()))
        for status, text in _ERRORS.items()
    },
    **{
        f"BgrsGoogleError{status}": response(
            text, content(JSON, ref("BgrsGoogleError")), *(("Retry-After",) if status in (429, 503) else ())
        )
        for status, text in _GOOGLE_ERRORS.items()
    },
}


def _parameter(name: str, place: str, schema: Schema, description: str, **more: Any) -> Part:
    return {"name": name, "in": place, "schema": schema, "description": description, **more}


def parameters(param: str, max_wait_seconds: float) -> dict[str, Part]:
    """All parameters by their component's name, those of the asking request included.

    Parameters:
        param: the marker's name.
        max_wait_seconds: the longest wait.
    """
    seconds = {"type": "number", "minimum": 0}
    longest = f"More than {max_wait_seconds:g} is cut to it."
    return {
        "BgrsMarker": _parameter(
            param, "query", {"enum": ["yes", "no"]}, "`yes`: run this request in the background, and answer with 202."
        ),
        "BgrsWaitFor": _parameter(
            "wait_for", "query", seconds, f"Hold the answer for at most so many seconds. {longest}"
        ),
        "BgrsPrefer": _parameter(
            "Prefer",
            "header",
            TEXT,
            f"`respond-async`, optionally `wait=N` (RFC 7240), instead of the marker. {longest}",
        ),
        "BgrsIdempotencyKey": _parameter(
            "Idempotency-Key",
            "header",
            TEXT,
            "A text in double quotes. The same caller, key and request get the same background request again.",
        ),
        "BgrsRid": _parameter(
            "rid", "path", RID, f"The id: {RID_LENGTH} lower-case hexadecimal characters.", required=True
        ),
        "BgrsAfter": _parameter("after", "query", _WHOLE, "Only those with a higher id."),
        "BgrsStatuses": _parameter(
            "status", "query", TEXT, "Names or numbers of states, separated by commas.", examples=_STATUSES_EXAMPLE
        ),
        "BgrsPageSize": _parameter("page_size", "query", _WHOLE, _ABOUT_PAGE_SIZE),
        "BgrsPageToken": _parameter(
            "page_token", "query", TEXT, "The `next_page_token` of the page before, with the same `status`."
        ),
        "BgrsIfNoneMatch": _parameter("If-None-Match", "header", TEXT, "304 where the client has it already."),
        "BgrsRange": _parameter("Range", "header", TEXT, "One range of bytes of a captured 200."),
        "BgrsIfRange": _parameter("If-Range", "header", TEXT, "The range counts only while this is the `ETag`."),
        "BgrsFilter": _parameter(
            "filter",
            "query",
            TEXT,
            "AIP-160, on `type`, `done`, `metadata.state`, `metadata.createTime`, `metadata.updateTime` and"
            " `metadata.progressPercent`.",
            examples={"failed": {"value": "done = true AND metadata.state = FAILED"}},
        ),
        "BgrsOperationsPageSize": _parameter("pageSize", "query", _WHOLE, _ABOUT_PAGE_SIZE),
        "BgrsOperationsPageToken": _parameter(
            "pageToken", "query", TEXT, "The `nextPageToken` of the page before, with the same `filter`."
        ),
        "BgrsOperationsParent": _parameter(
            "parent", "path", TEXT, "What the operations' names begin with, slashes included.", required=True
        ),
    }


_STATUSES_EXAMPLE = {"unfinished": {"value": "queued,running,cancelling"}}
_WHOLE: Schema = {"type": "integer", "minimum": 0}
_ABOUT_PAGE_SIZE = f"{DEFAULT_PAGE_SIZE} where it is not given or 0; more than {MAX_PAGE_SIZE} is cut to it."
