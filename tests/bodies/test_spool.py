"""The body of a request on its way in and out again: in memory while small, sealed while large, gone when refused."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrs_middleware.bodies import Bodies, FileBodies
from bgrs_middleware.bodies.base import BodyReader, BodyWriter, RequestBody
from bgrs_middleware.bodies.spool import INLINE_BYTES, Spool, check_declared_length
from bgrs_middleware.bodies.stored import InlineRequestBody, SealedRequestBody
from bgrs_middleware.errors import BadRequest, BodyNotFound, BodyTooLarge, DiskFull, SealError
from bgrs_middleware.sealing import Keyring

RID = "0123456789abcdef" * 2
NAME = f"{RID}.request"
LIMIT = 1_000_000


def stored_body(bodies: Bodies, keyring: Keyring, inline: bytes | None, name: str | None) -> RequestBody:
    if name is not None:
        assert inline is None
        return SealedRequestBody(bodies.read(name), keyring, RID.encode())
    assert inline is not None
    return InlineRequestBody(inline)


def assert_nothing_left(bodies: Bodies) -> None:
    with pytest.raises(BodyNotFound):
        bodies.read(NAME)
    if isinstance(bodies, FileBodies):
        assert [path for path in Path(bodies.folder).rglob("*") if path.is_file()] == []


def test_a_digest_is_made_only_where_it_is_asked_for(bodies: Bodies, keyring: Keyring) -> None:
    with Spool(RID, bodies, keyring, LIMIT) as spool:
        spool.write(b"data")
        spool.finish()
    assert spool.sha256 is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    lengths=st.lists(
        st.one_of(st.integers(0, 300), st.sampled_from([65_535, 65_536, 65_537, 131_072, 200_000])), max_size=4
    )
)
def test_what_was_written_is_what_a_replay_reads(bodies: Bodies, keyring: Keyring, lengths: list[int]) -> None:
    pieces = [bytes([index]) * length for index, length in enumerate(lengths)]
    data = b"".join(pieces)
    with Spool(RID, bodies, keyring, LIMIT, hashed=True) as spool:
        for piece in pieces:
            spool.write(piece)
        inline, name = spool.finish()
    assert spool.length == len(data)
    assert spool.sha256 == hashlib.sha256(data).digest()
    assert (name is None) == (len(data) <= INLINE_BYTES)
    body = stored_body(bodies, keyring, inline, name)
    assert body.length == len(data)
    got = list(body.pieces())
    assert b"".join(got) == data
    assert all(0 < len(piece) <= 65_536 for piece in got)
    body.close()
    body.close()


def test_a_body_up_to_64_kib_touches_no_storage(bodies: Bodies, keyring: Keyring) -> None:
    spool = Spool(RID, bodies, keyring, LIMIT)
    spool.write(b"x" * INLINE_BYTES)
    assert spool.finish() == (b"x" * INLINE_BYTES, None)
    assert_nothing_left(bodies)


def test_an_empty_body_is_inline(bodies: Bodies, keyring: Keyring) -> None:
    assert Spool(RID, bodies, keyring, LIMIT).finish() == (b"", None)


def test_a_large_body_is_stored_under_the_rid_and_not_in_plain(file_bodies: FileBodies, keyring: Keyring) -> None:
    spool = Spool(RID, file_bodies, keyring, LIMIT)
    spool.write(b"Bearer very secret " * 10_000)
    assert spool.finish() == (None, NAME)
    (path,) = (path for path in Path(file_bodies.folder).rglob("*") if path.is_file())
    assert path.name == NAME
    assert b"secret" not in path.read_bytes()


def test_a_sealed_body_opens_for_its_own_request_only(bodies: Bodies, keyring: Keyring) -> None:
    spool = Spool(RID, bodies, keyring, LIMIT)
    spool.write(b"x" * 100_000)
    spool.finish()
    with pytest.raises(SealError):
        SealedRequestBody(bodies.read(NAME), keyring, b"f" * 32)


class PieceSizes(BodyWriter):
    """Notes what arrives in storage."""

    def __init__(self, below: BodyWriter, sizes: list[int]) -> None:
        self._below = below
        self._sizes = sizes

    def write(self, data: bytes | memoryview) -> None:
        self._sizes.append(len(data))
        self._below.write(data)

    def seal(self) -> None:
        self._below.seal()

    def discard(self) -> None:
        self._below.discard()


class Watched(Bodies):
    def __init__(self, below: Bodies) -> None:
        self._below = below
        self.sizes: list[int] = []

    def open(self) -> None:
        self._below.open()

    def create(self, name: str) -> BodyWriter:
        return PieceSizes(self._below.create(name), self.sizes)

    def read(self, name: str) -> BodyReader:
        return self._below.read(name)

    def delete(self, name: str) -> None:
        self._below.delete(name)

    def check_room(self) -> None:
        self._below.check_room()


def test_one_huge_piece_is_stored_in_chunks(bodies: Bodies, keyring: Keyring) -> None:
    watched = Watched(bodies)
    spool = Spool(RID, watched, keyring, 10 * LIMIT)
    spool.write(b"x" * 5_000_000)
    spool.finish()
    assert len(watched.sizes) == 77
    assert max(watched.sizes) < 66_000


@pytest.mark.parametrize("before", [0, 10, 70_000])
def test_over_the_limit_is_refused_and_discarding_leaves_nothing(bodies: Bodies, keyring: Keyring, before: int) -> None:
    spool = Spool(RID, bodies, keyring, 100_000)
    spool.write(b"x" * before)
    spool.write(b"x" * (100_000 - before))
    assert spool.length == 100_000
    with pytest.raises(BodyTooLarge, match="100,000 bytes"), spool:
        spool.write(b"x")
    assert_nothing_left(bodies)


@pytest.mark.parametrize("length", [10, 200_000])
@pytest.mark.parametrize("finished", [False, True])
def test_discarding_leaves_nothing_and_may_be_repeated(
    bodies: Bodies, keyring: Keyring, length: int, finished: bool
) -> None:
    spool = Spool(RID, bodies, keyring, LIMIT)
    spool.write(b"x" * length)
    if finished:
        spool.finish()
    spool.discard()
    spool.discard()
    assert_nothing_left(bodies)
    with pytest.raises(ValueError, match="finished or discarded"):
        spool.write(b"more")
    with pytest.raises(ValueError, match="finished or discarded"):
        spool.finish()


def test_leaving_the_block_before_the_end_leaves_nothing(bodies: Bodies, keyring: Keyring) -> None:
    with Spool(RID, bodies, keyring, LIMIT) as spool:
        spool.write(b"x" * 200_000)
    assert_nothing_left(bodies)


def test_an_error_after_the_end_leaves_nothing(bodies: Bodies, keyring: Keyring) -> None:
    def fail_after_finishing() -> None:
        with Spool(RID, bodies, keyring, LIMIT) as spool:
            spool.write(b"x" * 200_000)
            spool.finish()
            raise RuntimeError("nothing was recorded")

    with pytest.raises(RuntimeError):
        fail_after_finishing()
    assert_nothing_left(bodies)


def test_a_body_that_cannot_be_flushed_leaves_nothing(
    file_bodies: FileBodies, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    spool = Spool(RID, file_bodies, keyring, LIMIT)
    spool.write(b"x" * 200_000)
    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(DiskFull):
        spool.finish()
    assert_nothing_left(file_bodies)


def test_a_closed_inline_body_gives_nothing() -> None:
    body = InlineRequestBody(b"data")
    body.close()
    assert list(body.pieces()) == []


@pytest.mark.parametrize(
    ("header", "length"), [(None, None), (b"0", 0), (b"100", 100), (b" 7 ", 7), (b"0" * 30 + b"5", 5)]
)
def test_a_declared_length_within_the_limit(header: bytes | None, length: int | None) -> None:
    assert check_declared_length(header, 100) == length


@pytest.mark.parametrize("header", [b"101", b"9" * 19, b"9" * 5_000])
def test_a_declared_length_over_the_limit_is_refused_at_once(header: bytes) -> None:
    with pytest.raises(BodyTooLarge, match="100 bytes"):
        check_declared_length(header, 100)


@pytest.mark.parametrize("header", [b"", b" ", b"-1", b"+1", b"1.0", b"0x10", b"1 0", b"5, 5", b"\xb2", b"1_0", b"ten"])
def test_a_declared_length_that_is_no_number_is_refused(header: bytes) -> None:
    with pytest.raises(BadRequest, match="Content-Length"):
        check_declared_length(header, 100)
