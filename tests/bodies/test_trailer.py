"""What stands behind a response's body: it comes back as it was, from a body that is whole, and from no other."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.bodies import Bodies, MemoryBodies
from bgrs_middleware.bodies.names import result_name
from bgrs_middleware.bodies.recorder import Recorder
from bgrs_middleware.bodies.trailer import captured_in, trailer_of
from bgrs_middleware.models import Captured

RID = "0123456789abcdef" * 2
NAME = result_name(RID, 1)
HEADERS = ((b"content-type", b"text/plain; charset=\xff"), (b"X-Twice", b"1"), (b"x-twice", b""))


def put(bodies: Bodies, data: bytes, name: str = NAME) -> None:
    writer = bodies.create(name)
    writer.write(data)
    writer.seal()


def found(bodies: Bodies, name: str = NAME) -> Captured | None:
    reader = bodies.read(name)
    try:
        return captured_in(reader, name)
    finally:
        reader.close()


def a_captured(body: bytes, headers: tuple[tuple[bytes, bytes], ...] = HEADERS) -> Captured:
    digest = hashlib.sha256(body).hexdigest()
    return Captured(status=201, headers=headers, length=len(body), sha256=digest, body_name=NAME)


@given(st.binary(max_size=300), st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=5))
def test_a_response_comes_back_as_it_was(body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    bodies = MemoryBodies()
    captured = a_captured(body, tuple(headers))
    put(bodies, body + trailer_of(captured))
    assert found(bodies) == captured


@pytest.mark.parametrize("length", [100_000, 3_000_000])
def test_what_a_recorder_seals_can_be_found(bodies: Bodies, length: int) -> None:
    recorder = Recorder(
        body_name=NAME, create_body=bodies.create, max_result_bytes=1 << 40, derive_progress=lambda _: None
    )
    recorder.start(200, HEADERS)
    recorder.write(b"x" * length)
    captured = recorder.finish()
    assert captured.length == length
    assert found(bodies) == captured


def test_what_is_not_to_outlive_its_process_has_nothing_behind_it(bodies: Bodies) -> None:
    recorder = Recorder(
        body_name=NAME,
        create_body=bodies.create,
        max_result_bytes=1 << 40,
        derive_progress=lambda _: None,
        may_outlive=lambda: False,
    )
    recorder.start(200, HEADERS)
    recorder.write(b"x" * 100_000)
    recorder.finish()
    assert bodies.read(NAME).size == 100_000
    assert found(bodies) is None


WHOLE = b"0123456789" * 3 + trailer_of(a_captured(b"0123456789" * 3))


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_one_changed_byte_anywhere_is_seen(at: int, change: int) -> None:
    bodies = MemoryBodies()
    changed = bytearray(WHOLE)
    changed[at] ^= change
    put(bodies, bytes(changed))
    assert found(bodies) is None


@given(st.integers(0, len(WHOLE) - 1))
def test_a_body_that_is_cut_short_at_either_end_is_seen(at: int) -> None:
    bodies = MemoryBodies()
    put(bodies, WHOLE[:at])
    assert found(bodies) is None
    put(bodies, WHOLE[at + 1 :])
    assert found(bodies) is None


@given(st.binary(max_size=200))
def test_any_other_body_is_none(data: bytes) -> None:
    bodies = MemoryBodies()
    put(bodies, data)
    assert found(bodies) is None


def test_what_was_sealed_for_another_attempt_does_not_count(bodies: Bodies) -> None:
    other = result_name(RID, 2)
    put(bodies, WHOLE, other)
    assert found(bodies, other) is None
