"""Google's operations: the contract's words, and what Google's own protobuf and client code make of every document."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import httpx
import pytest
from google.api import httpbody_pb2
from google.api_core import exceptions
from google.api_core.operation import Operation as OperationFuture
from google.longrunning import operations_pb2
from google.protobuf import json_format, struct_pb2
from google.rpc import code_pb2, error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.models import Captured, Item, Record, Status
from bgrs_middleware.protocol.operation_ends import CODES, Code, code_of
from bgrs_middleware.protocol.operation_names import OperationPath, operation_name, read_operation_path
from bgrs_middleware.protocol.operations import (
    MAX_RESPONSE_BYTES,
    error_document,
    late_cancel_document,
    operation_document,
    operations_list,
)
from bgrs_middleware.protocol.struct_json import MAX_DEPTH
from protocol.samples import RID, captured, finished, record

PARENT = "projects/default/locations/default"
NAME = f"{PARENT}/operations/{RID}"
RESULT = f"https://api.example.com/bgrs/{RID}/result"
STRUCT = "type.googleapis.com/google.protobuf.Struct"
HTTP_BODY = "type.googleapis.com/google.api.HttpBody"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"
JSON = ((b"content-type", b"application/json"),)


def document(record: Record, captured: Captured | None = None) -> bytes:
    return operation_document(record, captured, name=NAME, result_uri=RESULT)


def answered(body: bytes, content_type: bytes = b"application/json", status: int = 200, **changes: Any) -> Any:
    """The document of a request that the application answered so, as plain JSON."""
    response = captured(body, status, ((b"content-type", content_type),))
    return json.loads(document(finished(http_status=status, **changes), response))


def parsed(document: bytes) -> Any:
    """The document as Google's client reads it: strictly."""
    return json_format.Parse(document, operations_pb2.Operation(), ignore_unknown_fields=False)


def unpacked(any_message: Any, kind: Any) -> Any:
    message = kind()
    assert any_message.Unpack(message), f"it is a {any_message.type_url}"
    return message


def future_of(operation: Any, result_type: Any = struct_pb2.Struct) -> OperationFuture:
    """The future of google-api-core; it must neither ask nor cancel."""
    return OperationFuture(
        operation, refresh=None, cancel=None, result_type=result_type, metadata_type=struct_pb2.Struct
    )


def as_plain(message: Any) -> Any:
    return json_format.MessageToDict(message)


def test_a_running_operation_is_the_contracts_to_the_letter() -> None:
    running = record(
        progress=33.337, message="page 1 of 3", started_at=1_514_312_516.9, items=(Item(name="1", state="done"),)
    )
    assert json.loads(document(running)) == {
        "name": NAME,
        "metadata": {
            "@type": STRUCT,
            "value": {
                "state": "RUNNING",
                "stateMessage": "page 1 of 3",
                "createTime": "2017-12-26T18:21:56.750000Z",
                "updateTime": "2017-12-26T18:21:57.000000Z",
                "progressPercent": 33.34,
                "type": "GET_V2_5_USERS_ME",
                "individualProcessStatuses": [{"name": "1", "state": "done", "message": None}],
            },
        },
        "done": False,
    }


@pytest.mark.parametrize(
    ("status", "state", "done"),
    [
        (Status.QUEUED, "PENDING", False),
        (Status.RUNNING, "RUNNING", False),
        (Status.CANCELLING, "CANCELLING", False),
        (Status.FINISHED, "SUCCEEDED", True),
        (Status.FAILED, "FAILED", True),
        (Status.CANCELLED, "CANCELLED", True),
        (Status.LOST, "FAILED", True),
        (Status.EXPIRED, "FAILED", True),
    ],
)
def test_every_status_has_its_state(status: Status, state: str, done: bool) -> None:
    operation = json.loads(document(record(status=status, http_status=200)))
    assert operation["metadata"]["value"]["state"] == state
    assert operation["done"] is done
    ends = {"response", "error"} & set(operation)
    assert ends == ({"response" if state == "SUCCEEDED" else "error"} if done else set())


def test_a_json_object_is_answered_as_a_struct() -> None:
    operation = answered(b'{"total": 12.5, "lines": [1, null, {"a": true}], "caf\xc3\xa9": "\\u20ac"}')
    assert set(operation) == {"name", "metadata", "done", "response"}
    value = {"total": 12.5, "lines": [1, None, {"a": True}], "café": "€"}
    assert operation["response"] == {"@type": STRUCT, "value": value}


@pytest.mark.parametrize("content_type", [b"application/problem+json", b'Application/JSON; Charset="UTF-8"'])
def test_json_is_known_by_its_media_type(content_type: bytes) -> None:
    assert answered(b"{}", content_type)["response"] == {"@type": STRUCT, "value": {}}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"a,b\r\n1,2\r\n", b"text/csv; charset=utf-8"),
        (b"\x89PNG\0\xff", b"image/png"),
        (b"", b""),
        (b"{}", b"text/plain"),
        (b"[1, 2]", b"application/json"),
        (b'"text"', b"application/json"),
        (b"null", b"application/json"),
        (b"", b"application/json"),
        (b'{"a": 1', b"application/json"),
        (b'{"a": "\xe9"}', b"application/json; charset=iso-8859-1"),
        (b'{"a": "\xc3\xa9"}', b"application/json; charset=iso-8859-1"),
    ],
)
def test_everything_else_is_answered_as_an_http_body(body: bytes, content_type: bytes) -> None:
    expected = {"@type": HTTP_BODY, "contentType": content_type.decode(), "data": b64encode(body).decode()}
    assert answered(body, content_type)["response"] == expected


ODD_JSON = {
    "a name twice": b'{"a": 1, "a": 2}',
    "a name twice, deep inside": b'{"a": [{"b": 1, "b": 1}]}',
    "a whole number that no double holds": b'{"id": 9007199254740993}',
    "a negative one": b'{"id": -9007199254740993}',
    "a whole number beyond all doubles": b'{"id": 1%s}' % (b"0" * 400),
    "more digits than Python reads": b'{"id": 1%s}' % (b"0" * 5_000),
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": [Infinity]}',
    "-Infinity": b'{"a": -Infinity}',
    "a number that becomes infinite": b'{"a": 1e999}',
    "a lone surrogate": b'{"a": "\\ud800"}',
    "a lone surrogate in a name": b'{"\\udc00": 1}',
    "invalid UTF-8": b'{"a": "\xff"}',
    "a surrogate in UTF-8": b'{"a": "\xed\xa0\x80"}',
    "a byte order mark": b'\xef\xbb\xbf{"a": 1}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "too deep for a Struct": b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "too deep for a Struct, in arrays": b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}",
    "too deep for Python": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
}


@pytest.mark.parametrize("body", ODD_JSON.values(), ids=ODD_JSON)
def test_json_that_a_struct_would_change_or_refuse_is_handed_on_as_its_bytes(body: bytes) -> None:
    assert len(body) <= MAX_RESPONSE_BYTES - 1
    operation = parsed(document(finished(), captured(body, headers=JSON)))
    message = unpacked(operation.response, httpbody_pb2.HttpBody)
    assert (message.content_type, message.data) == ("application/json", body)


@pytest.mark.parametrize(("opening", "closing"), [(b'{"a":', b"}"), (b"[", b"]")])
def test_the_deepest_struct_is_read_by_protobuf_also_in_a_list(opening: bytes, closing: bytes) -> None:
    depth = MAX_DEPTH - 1
    body = b'{"a":' + opening * depth + b"1" + closing * depth + b"}"
    page = operations_list([document(finished(), captured(body, headers=JSON))], None)
    (operation,) = json_format.Parse(page, operations_pb2.ListOperationsResponse()).operations
    assert as_plain(unpacked(operation.response, struct_pb2.Struct)) == json.loads(body)


@pytest.mark.parametrize(
    "response",
    [
        captured(b"x" * (MAX_RESPONSE_BYTES + 1), headers=JSON),
        captured(body_name="a-file", headers=JSON),
        captured(b"\x1f\x8b", headers=(*JSON, (b"Content-Encoding", b"gzip"))),
        None,
    ],
    ids=["large", "in a file", "compressed", "not at hand"],
)
def test_what_an_operation_cannot_carry_is_a_struct_with_its_url(response: Captured | None) -> None:
    operation = json.loads(document(finished(content_type="application/json"), response))
    value = {"resultUri": RESULT, "contentType": "application/json"}
    assert operation["response"] == {"@type": STRUCT, "value": value}


def test_the_largest_body_that_an_operation_carries() -> None:
    body = b"x" * MAX_RESPONSE_BYTES
    assert answered(body, b"text/plain")["response"]["data"] == b64encode(body).decode()


def test_an_error_of_the_application_is_the_operations_error() -> None:
    operation = answered(b'{"detail": "no such user"}', status=404)
    assert set(operation) == {"name", "metadata", "done", "error"}
    assert operation["metadata"]["value"]["state"] == "FAILED"
    assert operation["metadata"]["value"]["stateMessage"] == operation["error"]["message"]
    assert operation["error"] == {
        "code": 5,
        "message": "The application answered with status 404.",
        "details": [
            {
                "@type": ERROR_INFO,
                "reason": "HTTP_404",
                "domain": "bgrs_middleware",
                "metadata": {"bgrsStatus": "finished", "httpStatus": "404", "resultUri": RESULT},
            }
        ],
    }


def test_the_codes_are_the_contracts() -> None:
    table = "400:3 401:16 403:7 404:5 408:4 504:4 409:10 412:9 428:9 429:8 500:13 501:12 502:14 503:14"
    assert set(table.split()) == {f"{status}:{code}" for status, code in CODES.items()}
    assert {code_of(status) for status in range(400, 500) if status not in CODES} == {9}
    assert {code_of(status) for status in range(500, 1_000) if status not in CODES} == {2}
    assert {code.name: code.value for code in Code}.items() <= dict(code_pb2.Code.items()).items()
    assert 0 not in set(Code)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (Status.FAILED, 13, "REQUEST_FAILED"),
        (Status.LOST, 13, "REQUEST_LOST"),
        (Status.EXPIRED, 9, "REQUEST_EXPIRED"),
        (Status.CANCELLED, 1, "REQUEST_CANCELLED"),
        (Status.FINISHED, 9, "RESPONSE_REMOVED"),
    ],
)
def test_an_end_without_a_response_says_why(status: Status, code: int, reason: str) -> None:
    error = json.loads(document(record(status=status)))["error"]
    (info,) = error["details"]
    assert (error["code"], info["reason"], info["metadata"]) == (code, reason, {"bgrsStatus": status.label})
    assert error["message"]


def test_the_errors_of_the_routes_are_the_contracts_to_the_letter() -> None:
    assert json.loads(late_cancel_document(NAME)) == {
        "error": {
            "code": 400,
            "message": f"Operation has completed and cannot be cancelled: '{NAME}'.",
            "status": "FAILED_PRECONDITION",
            "details": [
                {
                    "@type": ERROR_INFO,
                    "reason": "OPERATION_COMPLETED",
                    "domain": "bgrs_middleware",
                    "metadata": {"operation": NAME},
                }
            ],
        }
    }


def test_the_status_of_a_routes_error_is_that_of_its_http_status() -> None:
    statuses = {
        code: json.loads(error_document(code, "no", reason="NO"))["error"]["status"] for code in (400, 404, 503)
    }
    assert statuses == {400: "INVALID_ARGUMENT", 404: "NOT_FOUND", 503: "UNAVAILABLE"}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, exceptions.BadRequest),
        (401, exceptions.Unauthorized),
        (403, exceptions.Forbidden),
        (404, exceptions.NotFound),
        (429, exceptions.TooManyRequests),
        (503, exceptions.ServiceUnavailable),
    ],
)
def test_googles_client_raises_its_own_exception_for_a_routes_error(
    status: int, kind: type[exceptions.GoogleAPICallError]
) -> None:
    body = error_document(status, "It is so.", reason="A_REASON", metadata={"operation": NAME})
    request = httpx.Request("POST", "https://api.example.com/bgrs/v1/operations")
    error = exceptions.from_http_response(httpx.Response(status, content=body, request=request))
    assert isinstance(error, kind)
    assert error.message.endswith("It is so.")
    (info,) = error.details
    assert info == {
        "@type": ERROR_INFO,
        "reason": "A_REASON",
        "domain": "bgrs_middleware",
        "metadata": {"operation": NAME},
    }


def test_googles_future_gives_the_response() -> None:
    future = future_of(parsed(document(finished(), captured(b'{"total": 1}', headers=JSON))))
    assert future.done()
    assert as_plain(future.result(timeout=0)) == {"total": 1}
    assert as_plain(future.metadata)["progressPercent"] == 100

    csv = captured(b"a,b", headers=((b"content-type", b"text/csv"),))
    future = future_of(parsed(document(finished(), csv)), httpbody_pb2.HttpBody)
    assert future.result(timeout=0).data == b"a,b"


def test_googles_future_raises_the_error() -> None:
    future = future_of(parsed(document(finished(http_status=403))))
    error = future.exception(timeout=0)
    assert isinstance(error, exceptions.GoogleAPICallError)
    assert error.message == "The application answered with status 403."
    (status,) = error.errors
    assert status.code == code_pb2.PERMISSION_DENIED
    (detail,) = status.details
    assert unpacked(detail, error_details_pb2.ErrorInfo).reason == "HTTP_403"
    assert not future.cancelled()


def test_googles_future_knows_a_cancelled_operation() -> None:
    future = future_of(parsed(document(record(status=Status.CANCELLED))))
    assert future.cancelled()
    assert isinstance(future.exception(timeout=0), exceptions.GoogleAPICallError)


def test_a_page_has_two_keys_and_is_read_by_google() -> None:
    page = operations_list([document(record()), document(finished())], 'token"')
    assert list(json.loads(page)) == ["operations", "nextPageToken"]
    message = json_format.Parse(page, operations_pb2.ListOperationsResponse(), ignore_unknown_fields=False)
    assert [operation.done for operation in message.operations] == [False, True]
    assert message.next_page_token == 'token"'
    assert json.loads(operations_list([], None)) == {"operations": [], "nextPageToken": ""}


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        (f"/{NAME}", OperationPath(parent=PARENT, rid=RID)),
        (f"/{NAME}:wait", OperationPath(parent=PARENT, rid=RID, verb="wait")),
        (f"/{NAME}:cancel", OperationPath(parent=PARENT, rid=RID, verb="cancel")),
        (f"/{PARENT}/operations", OperationPath(parent=PARENT, rid="")),
        (f"/a/operations/b/operations/{RID}", OperationPath(parent="a/operations/b", rid=RID)),
        (f"/{NAME}:", None),
        (f"/{NAME}/", None),
        (f"/{NAME.upper()}", None),
        (f"/{PARENT}/operations/{RID[1:]}", None),
        (f"/{PARENT}/operations/", None),
        (f"/{PARENT}/operations:wait", None),
        (f"/{PARENT}/{RID}", None),
        (f"//{NAME}", None),
        (f"/operations/{RID}", None),
        (f"//operations/{RID}", None),
        ("/operations", None),
        (NAME, None),
        ("/", None),
        ("", None),
    ],
)
def test_paths_of_operations(below: str, expected: OperationPath | None) -> None:
    assert read_operation_path(below) == expected


@given(parent=st.lists(st.from_regex(r"[A-Za-z0-9._~-]+", fullmatch=True), min_size=1).map("/".join))
def test_a_name_is_read_as_what_it_was_made_of(parent: str) -> None:
    assert read_operation_path(f"/{operation_name(parent, RID)}") == OperationPath(parent=parent, rid=RID)


# Whatever an application says, lone surrogates included.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=20)
TIMES = st.floats(0, 4e9)
RECORDS = st.builds(
    record,
    status=st.sampled_from(Status),
    created_at=TIMES,
    updated_at=TIMES,
    progress=st.none() | st.floats(),
    message=st.none() | ANY_TEXT,
    type=ANY_TEXT,
    items=st.lists(st.builds(Item, name=ANY_TEXT, state=ANY_TEXT, message=st.none() | ANY_TEXT), max_size=3).map(tuple),
    http_status=st.none() | st.integers(100, 999),
    content_type=st.none() | ANY_TEXT,
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.integers().map(lambda n: n * 10**15),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=20,
)
OBJECTS = st.dictionaries(ANY_TEXT, VALUES, max_size=4)


def in_bytes(value: Any, is_ascii: bool) -> bytes:
    return json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")


BODIES = (
    st.builds(in_bytes, OBJECTS | VALUES, st.booleans())
    | st.binary(max_size=50)
    | st.builds(lambda body, cut: body[:cut], st.builds(in_bytes, OBJECTS, st.booleans()), st.integers(0, 40))
    | st.builds(lambda a, b: b'{"a": %s, "a": %s}' % (in_bytes(a, True), in_bytes(b, True)), VALUES, VALUES)
)
CONTENT_TYPES = st.sampled_from([b"application/json", b"application/ld+json; charset=utf-8", b"text/csv"])
RESPONSES = st.builds(
    lambda body, status, content_type, has_type: captured(body, status, ((b"Content-Type", content_type),) * has_type),
    BODIES,
    st.integers(100, 399) | st.integers(400, 999),
    CONTENT_TYPES | st.binary(max_size=20),
    st.booleans(),
)


@given(record=RECORDS, response=st.none() | RESPONSES)
def test_whatever_happened_google_reads_the_document_strictly(record: Record, response: Captured | None) -> None:
    operation = parsed(document(record, response))
    assert (operation.name, operation.done) == (NAME, record.status.is_final)
    assert operation.WhichOneof("result") is not None or not record.status.is_final
    assert set(unpacked(operation.metadata, struct_pb2.Struct)) == {
        *("state", "stateMessage", "createTime", "updateTime", "progressPercent", "type"),
        "individualProcessStatuses",
    }
    if operation.HasField("error"):
        assert operation.error.code in set(Code)
        unpacked(operation.error.details[0], error_details_pb2.ErrorInfo)
        assert future_of(operation).exception(timeout=0) is not None


@given(body=BODIES, content_type=CONTENT_TYPES)
def test_a_response_comes_out_of_googles_client_as_it_went_in(body: bytes, content_type: bytes) -> None:
    headers = ((b"content-type", content_type),)
    operation = parsed(document(finished(), captured(body, headers=headers)))
    if operation.response.type_url == STRUCT:
        assert b"json" in content_type
        value = as_plain(future_of(operation).result(timeout=0))
        assert value == json.loads(body)
    else:
        message = future_of(operation, httpbody_pb2.HttpBody).result(timeout=0)
        assert (message.content_type, message.data) == (content_type.decode(), body)


@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=20,
    )
)
def test_an_ordinary_object_is_always_a_struct(value: Any) -> None:
    operation = parsed(document(finished(), captured(in_bytes({"a": value}, False), headers=JSON)))
    assert as_plain(unpacked(operation.response, struct_pb2.Struct)) == {"a": value}
