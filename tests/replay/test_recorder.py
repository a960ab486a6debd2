"""The recorder: bytes in, a `Captured` out, or a reason why the response is not whole."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.bodies.base import BodyWriter
from bgrs_middleware.bodies.memory import MemoryBodies
from bgrs_middleware.bodies.recorder import Recorder
from bgrs_middleware.errors import BodyError, ResponseBroken, ResponseTooLarge
from bgrs_middleware.models import Captured, Headers
from replay.helpers import BODY_NAME, MIB, RID, stage

PIECE = 65_536


def recorder_on(bodies: MemoryBodies, progress: list[float] | None = None, **changes: int) -> Recorder:
    return Recorder(
        **{
            "body_name": BODY_NAME,
            "create_body": bodies.create,
            "max_result_bytes": 1 << 40,
            "derive_progress": ([] if progress is None else progress).append,
            **changes,
        }  # type: ignore[arg-type]  # mypy takes the dict for one of a single type
    )


def content(captured: Captured, bodies: MemoryBodies) -> bytes:
    if captured.inline is not None:
        return captured.inline
    assert captured.body_name is not None
    reader = bodies.read(captured.body_name)
    return reader.read(0, captured.length)


KINDS: list[Callable[[bytes], bytes | bytearray | memoryview]] = [bytes, bytearray, memoryview]
PIECES = st.lists(st.tuples(st.integers(0, 3 * PIECE), st.sampled_from(KINDS)), max_size=6)
DATA = random.Random(1).randbytes(4 * PIECE)


@given(PIECES, st.sampled_from([0, 1, 1000, PIECE, 2 * PIECE]))
def test_any_pieces_come_out_as_they_went_in(
    shapes: list[tuple[int, Callable[[bytes], bytes | bytearray | memoryview]]], inline_bytes: int
) -> None:
    bodies = MemoryBodies()
    recorder = recorder_on(bodies, inline_bytes=inline_bytes)
    recorder.start(200, [])
    pieces = [DATA[number : number + length] for number, (length, _) in enumerate(shapes)]
    for piece, (_, kind) in zip(pieces, shapes, strict=True):
        recorder.write(kind(piece))
    captured = recorder.finish()
    whole = b"".join(pieces)
    assert content(captured, bodies) == whole
    assert captured.length == len(whole)
    assert captured.sha256 == hashlib.sha256(whole).hexdigest()
    assert (captured.body_name is None) == (len(whole) <= inline_bytes)
    assert recorder.complete


class CountingWriter(BodyWriter):
    """Remembers how much came at a time."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths = lengths
        self.discarded = False

    def write(self, data: bytes | memoryview) -> None:
        self.lengths.append(len(data))

    def seal(self) -> None:
        self.lengths.append(-1)

    def discard(self) -> None:
        self.discarded = True


def counting_recorder(lengths: list[int]) -> Recorder:
    return Recorder(
        body_name=BODY_NAME,
        create_body=lambda _: CountingWriter(lengths),
        max_result_bytes=1 << 40,
        derive_progress=lambda _: None,
    )


def test_small_pieces_are_gathered_and_one_huge_piece_is_written_in_steps() -> None:
    lengths: list[int] = []
    recorder = counting_recorder(lengths)
    recorder.start(200, [])
    wrote = [recorder.write(b"x" * 100) for _ in range(3 * 656)]
    assert sum(wrote) <= 4
    assert all(length <= PIECE for length in lengths)
    lengths.clear()
    seen = [len(lengths) for _ in recorder.write_steps(bytes(MIB))]
    assert seen == list(range(1, len(seen) + 1)), "a step must not write twice"
    assert len(seen) >= 16
    assert max(lengths) <= PIECE


def test_what_is_written_is_told_apart_from_what_is_gathered() -> None:
    recorder = counting_recorder([])
    recorder.start(200, [])
    seen = [(recorder.write(piece), recorder.on_disk) for piece in (bytes(PIECE), b"x", b"x", bytes(PIECE))]
    assert seen == [(False, False), (True, True), (False, True), (True, True)]


def test_a_buffer_that_its_owner_uses_again_is_recorded_as_it_was(tmp_path: Path) -> None:
    """Hashing comes later than writing; both must see the bytes of the moment of the call."""
    on = stage(tmp_path)
    recorder = on.job.recorder
    recorder.start(200, [])
    buffer = bytearray(PIECE)
    expected = hashlib.sha256()
    for number in range(200):
        buffer[:] = bytes([number]) * PIECE
        expected.update(buffer)
        recorder.write(memoryview(buffer))
    assert recorder.finish().sha256 == expected.hexdigest()


def test_a_long_body_is_hashed_in_a_thread_that_ends(tmp_path: Path) -> None:
    on = stage(tmp_path)
    recorder = on.job.recorder
    recorder.start(200, [])
    data = random.Random(7).randbytes(MIB)
    for _ in range(12):
        recorder.write(data)
    assert "bgrs-sha256" in {thread.name for thread in threading.enumerate()}
    assert recorder.finish().sha256 == hashlib.sha256(data * 12).hexdigest()
    assert "bgrs-sha256" not in {thread.name for thread in threading.enumerate()}


def test_a_discarded_recorder_leaves_nothing(tmp_path: Path) -> None:
    on = stage(tmp_path)
    recorder = on.job.recorder
    recorder.start(200, [])
    for _ in range(12):
        recorder.write(bytes(MIB))
    assert len(on.files) == 1
    recorder.discard()
    recorder.discard()
    assert on.files == []
    assert "bgrs-sha256" not in {thread.name for thread in threading.enumerate()}


def test_discarding_after_the_end_keeps_the_body(tmp_path: Path) -> None:
    on = stage(tmp_path)
    on.job.recorder.start(200, [])
    on.job.recorder.write(bytes(MIB))
    on.job.recorder.finish()
    on.job.recorder.discard()
    assert on.files == [BODY_NAME]


def test_more_than_the_content_length_is_refused_at_once() -> None:
    recorder = recorder_on(MemoryBodies())
    recorder.start(200, [(b"Content-Length", b"10")])
    recorder.write(b"12345")
    with pytest.raises(ResponseBroken, match="longer than its Content-Length, 10"):
        recorder.write(b"123456")


def test_less_than_the_content_length_is_no_response() -> None:
    recorder = recorder_on(MemoryBodies())
    recorder.start(200, [(b"Content-Length", b"10")])
    recorder.write(b"12345")
    with pytest.raises(ResponseBroken, match="ended after 5 bytes, its Content-Length is 10"):
        recorder.finish()
    assert not recorder.complete


def test_a_response_beyond_the_limit_is_refused() -> None:
    recorder = recorder_on(MemoryBodies(), max_result_bytes=10)
    recorder.start(200, [])
    recorder.write(b"1234567890")
    with pytest.raises(ResponseTooLarge, match="max_result_bytes, 10"):
        recorder.write(b"1")


@pytest.mark.parametrize("status", [204, 304])
def test_the_body_of_a_response_that_has_none_is_ignored(status: int) -> None:
    recorder = recorder_on(MemoryBodies())
    recorder.start(status, [(b"content-length", b"3")])
    assert recorder.write(b"a lot more than three") is False
    captured = recorder.finish()
    assert (captured.inline, captured.length) == (b"", 0)


def test_the_response_to_head_has_no_body() -> None:
    recorder = Recorder(
        body_name=BODY_NAME,
        create_body=MemoryBodies().create,
        max_result_bytes=100,
        derive_progress=lambda _: None,
        method="HEAD",
    )
    recorder.start(200, [(b"content-length", b"1000")])
    recorder.write(b"x" * 1000)
    assert recorder.finish().length == 0


def test_progress_is_derived_from_the_content_length_and_told_in_steps() -> None:
    progress: list[float] = []
    recorder = recorder_on(MemoryBodies(), progress)
    recorder.start(200, [(b"content-length", b"1000000")])
    for _ in range(100_000):
        recorder.write(b"0123456789")
    assert progress[-1] == 100.0
    assert progress == sorted(progress)
    assert 9_000 <= len(progress) <= 10_001


def test_without_a_content_length_no_progress_is_derived() -> None:
    progress: list[float] = []
    recorder = recorder_on(MemoryBodies(), progress)
    recorder.start(200, [])
    recorder.write(b"x")
    recorder.finish()
    assert progress == []


def test_a_second_start_replaces_the_first_while_no_byte_has_come() -> None:
    recorder = recorder_on(MemoryBodies())
    recorder.start(200, [(b"content-length", b"10"), (b"set-cookie", b"a=b")])
    recorder.start(500, [(b"x", b"y")])
    recorder.write(b"abc")
    with pytest.raises(RuntimeError, match="started already"):
        recorder.start(200, [])
    captured = recorder.finish()
    assert (captured.status, captured.headers, recorder.withheld) == (500, ((b"x", b"y"),), ())


@pytest.mark.parametrize("status", [0, 99, 1000])
def test_a_status_that_is_none_is_refused(status: int) -> None:
    recorder = recorder_on(MemoryBodies())
    with pytest.raises(ResponseBroken, match="status"):
        recorder.start(status, [])
    assert not recorder.started


def test_the_captured_response_is_what_came_without_what_is_withheld() -> None:
    recorder = recorder_on(MemoryBodies())
    headers: Headers = ((b"X-B", b"1"), (b"Set-Cookie", b"a=b"), (b"X-A", b"2"), (b"x-b", b"3"))
    recorder.start(201, headers)
    captured = recorder.finish()
    assert (captured.status, captured.inline) == (201, b"")
    assert captured.headers == ((b"X-B", b"1"), (b"X-A", b"2"), (b"x-b", b"3"))
    assert recorder.withheld == ("set-cookie",)


def test_finishing_twice_or_before_the_start_is_a_fault_of_the_caller() -> None:
    recorder = recorder_on(MemoryBodies())
    with pytest.raises(RuntimeError):
        recorder.finish()
    recorder.start(200, [])
    recorder.finish()
    with pytest.raises(RuntimeError):
        recorder.finish()


def test_an_error_of_the_storage_reaches_the_caller() -> None:
    class FullWriter(CountingWriter):
        def write(self, data: bytes | memoryview) -> None:
            raise BodyError("no")

    recorder = Recorder(
        body_name=f"{RID}.1.result",
        create_body=lambda _: FullWriter([]),
        max_result_bytes=1 << 40,
        derive_progress=lambda _: None,
    )
    recorder.start(200, [])
    with pytest.raises(BodyError):
        recorder.write(bytes(MIB))
    recorder.discard()
