"""The answers of our own routes: status, headers and bodies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from bgrs_middleware.errors import BadRequest, Conflict, Gone, NoResponse, Refusal
from bgrs_middleware.models import Detail, Status
from bgrs_middleware.protocol import replies
from bgrs_middleware.protocol.documents import status_document
from bgrs_middleware.protocol.message import Reply, RequestHead
from bgrs_middleware.settings import Rule, Settings
from protocol.samples import RID, finished, record, request_head, value

GET = request_head()
NOW = 1_514_312_516.75 + 70.0
"""So long after the record of `samples` was queued."""
DETAIL = Detail(id=1, rid=RID, at=0.0, text="é")


def accepted(
    rule: Rule | None = None,
    *,
    by_prefer: bool = False,
    settings: Settings | None = None,
    base_url: str = "https://h:8/app",
) -> Reply:
    return replies.accepted(
        RID,
        rule=rule,
        by_prefer=by_prefer,
        base_url=base_url,
        settings=settings or Settings(),
        retry_after_seconds=3,
    )


def test_the_202_to_the_letter() -> None:
    url = f"https://h:8/app/bgrs/{RID}".encode()
    assert accepted() == Reply(
        status=202,
        headers=(
            (b"content-type", b"application/json"),
            (b"content-length", b"47"),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            (b"location", url + b"/result"),
            (b"operation-location", url + b"/operation"),
            (b"link", b"<" + url + b'>; rel="status", <' + url + b'/details>; rel="details"'),
            (b"retry-after", b"3"),
            (b"vary", b"Prefer"),
        ),
        body=b'{"request": "%s"}' % RID.encode(),
    )


def test_the_202_of_a_rule_has_its_own_key_and_nothing_else() -> None:
    rule = Rule(path="/processing/{workflow}", id_field="processing_id")
    assert accepted(rule).body == b'{"processing_id": "%s"}' % RID.encode()
    assert accepted(Rule(path="/a")).body == accepted().body


def test_prefer_is_confirmed_where_it_was_used() -> None:
    assert value(accepted(by_prefer=True), b"preference-applied") == b"respond-async"
    assert value(accepted(), b"preference-applied") is None


def test_urls_follow_the_setting_and_are_ascii() -> None:
    location = value(accepted(settings=Settings(path="/jobs/all"), base_url="https://é.example"), b"location")
    assert location == b"https://%%C3%%A9.example/jobs/all/%s/result" % RID.encode()


JSON_REPLIES: list[Callable[[RequestHead], Reply]] = [
    lambda head: replies.status_reply(finished(), head, NOW),
    lambda head: replies.details_reply([DETAIL], head),
    lambda head: replies.list_reply([record(message="é")], "next", head),
    lambda head: replies.not_ready(record(), head, NOW),
    lambda head: replies.cancel_reply(record(status=Status.CANCELLED), head, NOW),
    lambda head: replies.retry_reply(RID, head),
]


@pytest.mark.parametrize("make", JSON_REPLIES)
def test_every_json_reply_has_its_length_and_is_not_stored(make: Callable[[RequestHead], Reply]) -> None:
    reply = make(GET)
    assert isinstance(reply.body, bytes)
    json.loads(reply.body)
    assert value(reply, b"content-type") == b"application/json"
    assert value(reply, b"content-length") == b"%d" % len(reply.body)
    assert value(reply, b"cache-control") == b"no-store"
    assert value(reply, b"x-content-type-options") == b"nosniff"


@pytest.mark.parametrize("make", JSON_REPLIES)
def test_a_head_gets_the_headers_of_the_get_and_no_body(make: Callable[[RequestHead], Reply]) -> None:
    reply = make(request_head("HEAD"))
    assert reply.headers == make(GET).headers
    assert reply.body == b""


def test_the_status_is_the_document_with_an_entity_tag() -> None:
    reply = replies.status_reply(finished(), GET, NOW)
    assert reply.status == 200
    assert isinstance(reply.body, bytes)
    assert reply.body == status_document(finished())
    assert re.fullmatch(rb'"[0-9a-f]+"', value(reply, b"etag") or b"")
    assert value(reply, b"etag") != value(replies.status_reply(record(), GET, NOW), b"etag")


ETAG = value(replies.status_reply(finished(), GET, NOW), b"etag") or b""


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "lines",
    [[ETAG], [b"*"], [b" * "], [b"W/" + ETAG], [b'"x", ' + ETAG + b' ,"y"'], [b'"x"', ETAG], [b'"a,b",' + ETAG]],
)
def test_what_the_client_has_already_is_not_sent_again(lines: list[bytes], method: str) -> None:
    head = request_head(method, headers=tuple((b"if-none-match", line) for line in lines))
    assert replies.status_reply(finished(), head, NOW) == Reply(
        status=304, headers=((b"etag", ETAG), (b"cache-control", b"no-store"))
    )


@pytest.mark.parametrize(
    "line", [b"", b'"x"', b"**", ETAG[1:-1], ETAG[:-1], ETAG.upper(), b'"x' + ETAG + b'"', b'w/"x"']
)
def test_another_entity_tag_gets_the_document(line: bytes) -> None:
    head = request_head(headers=((b"if-none-match", line),))
    assert replies.status_reply(finished(), head, NOW).status == 200


def test_a_result_that_is_not_ready() -> None:
    reply = replies.not_ready(record(), GET, NOW)
    assert reply.status == 202
    assert isinstance(reply.body, bytes)
    assert reply.body == status_document(record())
    assert value(reply, b"retry-after") == b"7"
    assert value(reply, b"bgrs-status") == b"running"


def test_at_a_rules_own_path_a_result_that_is_not_ready_is_answered_as_the_request_was() -> None:
    rule = Rule(path="/processing/{workflow}", id_field="processing_id")
    reply, plain = replies.not_ready(record(), GET, NOW, rule), replies.not_ready(record(), GET, NOW)
    assert (reply.status, reply.body) == (202, b'{"processing_id": "%s"}' % RID.encode())
    for name in (b"retry-after", b"bgrs-status", b"cache-control"):
        assert value(reply, name) == value(plain, name)


@pytest.mark.parametrize(
    ("status", "kind", "label"),
    [
        (Status.FINISHED, Gone, b"finished"),
        (Status.EXPIRED, Gone, b"expired"),
        (Status.CANCELLED, Conflict, b"cancelled"),
        (Status.FAILED, NoResponse, b"failed"),
        (Status.LOST, NoResponse, b"lost"),
    ],
)
def test_an_end_without_a_response(status: Status, kind: type[Refusal], label: bytes) -> None:
    error = replies.no_response(record(status=status))
    assert type(error) is kind
    assert error.rid == RID
    assert error.headers == ((b"bgrs-status", label),)


def test_every_final_state_has_an_answer() -> None:
    for status in Status:
        if status.is_final:
            assert replies.no_response(record(status=status)).detail


@pytest.mark.parametrize(
    ("status", "code", "retry_after"), [(Status.CANCELLING, 202, b"7"), (Status.CANCELLED, 200, None)]
)
def test_a_cancel_is_202_until_the_work_has_stopped(status: Status, code: int, retry_after: bytes | None) -> None:
    reply = replies.cancel_reply(record(status=status), request_head("POST"), NOW)
    assert reply.status == code
    assert isinstance(reply.body, bytes)
    assert reply.body == status_document(record(status=status))
    assert value(reply, b"retry-after") == retry_after
    assert value(reply, b"bgrs-status") == status.label.encode()


def test_a_retry_is_202_with_the_same_rid() -> None:
    reply = replies.retry_reply(RID, request_head("POST"))
    assert (reply.status, reply.body) == (202, b'{"request": "%s"}' % RID.encode())


def test_deleted_is_204_without_a_body_or_a_length() -> None:
    assert replies.deleted() == Reply(status=204, headers=((b"cache-control", b"no-store"),))


@pytest.mark.parametrize(
    ("query", "after"),
    [(b"", 0), (b"after=", 0), (b"after=0", 0), (b"after=5802", 5802), (b"after=" + b"9" * 5_000, 2**63 - 1)],
)
def test_details_after_an_id(query: bytes, after: int) -> None:
    assert replies.read_after(request_head(query=query)) == after


@pytest.mark.parametrize("query", [b"after=-1", b"after=x", b"after=1.5", b"after=%D9%A3", b"after=1%0A"])
def test_after_takes_an_id(query: bytes) -> None:
    with pytest.raises(BadRequest, match="after"):
        replies.read_after(request_head(query=query))
