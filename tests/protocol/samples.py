"""What the tests of the protocol need again and again: a head, a record, a captured response, with what is of interest.

Each takes the fields that a test is about and fills in the rest with something plain.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from bgrs_middleware.models import Captured, Headers, Record, Status
from bgrs_middleware.protocol.message import Reply, RequestHead

RID = "4ff7cc2d88b1de88e83cce3f1caa1509"


def request_head(method: str = "GET", path: str = "/", query: bytes = b"", headers: Headers = ()) -> RequestHead:
    return RequestHead(method=method, path=path, root_path="", raw_path=path.encode(), query=query, headers=headers)


def record(**changes: Any) -> Record:
    plain = Record(
        id=267,
        rid=RID,
        owner="1",
        method="GET",
        name="/v2.5/users/me?bgrs=yes",
        type="GET_V2_5_USERS_ME",
        status=Status.RUNNING,
        created_at=1_514_312_516.75,
        queued_at=1_514_312_516.75,
        updated_at=1_514_312_517.0,
        max_run_seconds=60.0,
        retention_days=30.0,
    )
    return replace(plain, **changes)


def finished(**changes: Any) -> Record:
    return replace(
        record(
            status=Status.FINISHED,
            started_at=1_514_312_517.0,
            finished_at=1_514_312_518.999,
            progress=100.0,
            attempt=1,
            http_status=200,
            content_type="application/json; charset=utf-8",
            result_length=2,
        ),
        **changes,
    )


def captured(body: bytes = b"", status: int = 200, headers: Headers = (), body_name: str | None = None) -> Captured:
    return Captured(
        status=status,
        headers=headers,
        length=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        inline=None if body_name else body,
        body_name=body_name,
    )


def values(reply: Reply, name: bytes) -> list[bytes]:
    return [value for key, value in reply.headers if key == name]


def value(reply: Reply, name: bytes) -> bytes | None:
    found = values(reply, name)
    assert len(found) <= 1, f"{name!r} is there {len(found)} times"
    return found[0] if found else None
