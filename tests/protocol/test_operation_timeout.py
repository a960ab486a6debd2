"""The body of `:wait`: what protobuf's own encoder writes is read, and whatever else comes is refused in words."""

from __future__ import annotations

import pytest
from google.longrunning import operations_pb2
from google.protobuf import duration_pb2, json_format
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.errors import BadRequest
from bgrs_middleware.protocol.operation_timeout import read_timeout

LONGEST_SECONDS = 315_576_000_000
"""Of a google.protobuf.Duration: some 10,000 years."""


@given(seconds=st.integers(0, LONGEST_SECONDS), nanos=st.integers(0, 999_999_999))
def test_every_duration_is_read_as_protobuf_writes_it(seconds: int, nanos: int) -> None:
    request = operations_pb2.WaitOperationRequest(
        name="projects/x/operations/y", timeout=duration_pb2.Duration(seconds=seconds, nanos=nanos)
    )
    assert read_timeout(json_format.MessageToJson(request).encode()) == pytest.approx(seconds + nanos / 1e9)


@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b'{"name": "x"}', b'{"timeout": null}'])
def test_nothing_said_is_none(body: bytes) -> None:
    assert read_timeout(body) is None


@given(
    st.binary(max_size=40)
    | st.text(max_size=12).map(lambda text: b'{"timeout": "%s"}' % text.encode("utf-8", "replace"))
)
def test_anything_else_is_a_number_of_seconds_or_refused(body: bytes) -> None:
    try:
        seconds = read_timeout(body)
    except BadRequest:
        return
    assert seconds is None or 0 <= seconds < 1e12


@pytest.mark.parametrize(
    "timeout", ["-1s", "1", "s", ".5s", "1.s", "1e3s", "0x1s", "1_0s", "infs", "1s ", "1s\\n", "٣s"]
)
def test_what_is_no_duration_is_told_by_the_fields_name(timeout: str) -> None:
    with pytest.raises(BadRequest, match="timeout") as refused:
        read_timeout(f'{{"timeout": "{timeout}"}}'.encode())
    assert refused.value.field == "timeout"
