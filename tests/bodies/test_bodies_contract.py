"""What `Bodies` promises, of every kind of bodies: complete or absent, readable while deleted, names that are checked.

A new kind is added to the fixture `bodies`, and has to pass all of it.
"""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bgrs_middleware.bodies import Bodies
from bgrs_middleware.errors import BodyError, BodyNotFound

NAME = "0123456789abcdef" * 2 + ".1.result"
OTHER = "fedcba9876543210" * 2 + ".1.result"


def put(bodies: Bodies, name: str, *pieces: bytes | memoryview) -> None:
    writer = bodies.create(name)
    for piece in pieces:
        writer.write(piece)
    writer.seal()


def whole(bodies: Bodies, name: str) -> bytes:
    reader = bodies.read(name)
    try:
        return reader.read(0, reader.size + 1)
    finally:
        reader.close()


def assert_absent(bodies: Bodies, name: str) -> None:
    with pytest.raises(BodyNotFound):
        bodies.read(name)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=8))
def test_a_sealed_body_is_what_was_written(bodies: Bodies, pieces: list[bytes]) -> None:
    put(bodies, NAME, *pieces)
    assert whole(bodies, NAME) == b"".join(pieces)


def test_views_of_larger_buffers_are_written_too(bodies: Bodies) -> None:
    put(bodies, NAME, memoryview(b"..data.."), memoryview(b"0123456789")[3:5])
    assert whole(bodies, NAME) == b"..data..34"


def test_a_writer_does_not_keep_the_buffer_it_was_given(bodies: Bodies) -> None:
    buffer = bytearray(b"first")
    writer = bodies.create(NAME)
    writer.write(memoryview(buffer))
    buffer[:] = b"second, longer"
    writer.seal()
    assert whole(bodies, NAME) == b"first"


def test_a_body_is_absent_until_it_is_sealed(bodies: Bodies) -> None:
    writer = bodies.create(NAME)
    writer.write(b"some of it")
    assert_absent(bodies, NAME)
    writer.seal()
    assert whole(bodies, NAME) == b"some of it"


def test_a_discarded_body_is_absent_and_discarding_twice_does_nothing(bodies: Bodies) -> None:
    writer = bodies.create(NAME)
    writer.write(b"some of it")
    writer.discard()
    writer.discard()
    assert_absent(bodies, NAME)


def test_discarding_after_sealing_does_nothing(bodies: Bodies) -> None:
    writer = bodies.create(NAME)
    writer.write(b"all of it")
    writer.seal()
    writer.discard()
    assert whole(bodies, NAME) == b"all of it"


@pytest.mark.parametrize("end", ["seal", "discard"])
def test_a_writer_that_ended_takes_nothing_more(bodies: Bodies, end: str) -> None:
    writer = bodies.create(NAME)
    getattr(writer, end)()
    with pytest.raises(BodyError):
        writer.write(b"more")
    with pytest.raises(BodyError):
        writer.seal()


def test_a_body_of_the_same_name_is_replaced_at_the_seal(bodies: Bodies) -> None:
    put(bodies, NAME, b"old")
    writer = bodies.create(NAME)
    writer.write(b"new")
    assert whole(bodies, NAME) == b"old"
    writer.seal()
    assert whole(bodies, NAME) == b"new"


def test_two_writers_of_one_name_do_not_mix(bodies: Bodies) -> None:
    first, second = bodies.create(NAME), bodies.create(NAME)
    first.write(b"aaaa")
    second.write(b"bb")
    first.seal()
    second.discard()
    assert whole(bodies, NAME) == b"aaaa"


def test_any_part_can_be_read_in_any_order(bodies: Bodies) -> None:
    data = bytes(range(256)) * 300
    put(bodies, NAME, data)
    reader = bodies.read(NAME)
    assert reader.size == len(data)
    for offset, length in [(76_000, 10_000), (0, 1), (255, 2), (10, 0), (len(data), 5), (len(data) + 7, 5)]:
        assert reader.read(offset, length) == data[offset : offset + length]
    reader.close()


def test_an_open_body_stays_readable_when_it_is_deleted_or_replaced(bodies: Bodies) -> None:
    put(bodies, NAME, b"the old one")
    deleted = bodies.read(NAME)
    bodies.delete(NAME)
    assert_absent(bodies, NAME)
    put(bodies, NAME, b"another")
    assert deleted.read(0, 100) == b"the old one"
    deleted.close()


def test_deleting_removes_one_body_and_what_is_absent_is_no_error(bodies: Bodies) -> None:
    put(bodies, NAME, b"one")
    put(bodies, OTHER, b"two")
    bodies.delete(NAME)
    bodies.delete(NAME)
    assert_absent(bodies, NAME)
    assert whole(bodies, OTHER) == b"two"


def test_a_closed_reader_reads_nothing_and_closing_twice_does_nothing(bodies: Bodies) -> None:
    put(bodies, NAME, b"data")
    reader = bodies.read(NAME)
    reader.close()
    reader.close()
    with pytest.raises(BodyError):
        reader.read(0, 1)


def test_many_threads_read_one_reader(bodies: Bodies) -> None:
    data = b"".join(number.to_bytes(4, "big") for number in range(50_000))
    put(bodies, NAME, data)
    reader = bodies.read(NAME)
    wrong: list[int] = []

    def read_all(step: int) -> None:
        wrong.extend(
            offset for offset in range(0, len(data), step) if reader.read(offset, step) != data[offset : offset + step]
        )

    threads = [threading.Thread(target=read_all, args=(step,)) for step in (997, 1_009, 4_096, 5_003)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader.close()
    assert wrong == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "request",
        "../../etc/passwd",
        "0123456789abcdef" * 2 + "/x",
        "0123456789abcdef" * 2 + ".",
        "0123456789abcdef" * 2 + "..",
        "0123456789abcdef" * 2 + ".a/../b",
        "0123456789abcdef" * 2 + ".Result",
        "0123456789abcdef" * 2 + ".a\n",
        "0123456789abcdef" * 2 + ".a\0",
        "0123456789abcdef" * 2 + ".é",
        "0123456789ABCDEF" * 2 + ".result",
        "0123456789abcdef.result",
        "\N{ARABIC-INDIC DIGIT ZERO}" * 32 + ".result",
        "0123456789abcdef" * 2 + ".a" * 100,
    ],
)
def test_anything_but_a_name_is_refused_everywhere(bodies: Bodies, name: str) -> None:
    for use in (bodies.create, bodies.read, bodies.delete):
        with pytest.raises(ValueError, match="not the name of a body"):
            use(name)


@pytest.mark.parametrize("name", ["ab" * 16, "ab" * 16 + ".request", "ab" * 16 + ".12.result.json"])
def test_names_made_from_a_rid_are_taken(bodies: Bodies, name: str) -> None:
    put(bodies, name, b"data")
    assert whole(bodies, name) == b"data"


def test_there_is_room_and_opening_twice_does_nothing(bodies: Bodies) -> None:
    put(bodies, NAME, b"data")
    bodies.open()
    bodies.check_room()
    assert whole(bodies, NAME) == b"data"


def test_names_are_those_of_complete_bodies_of_an_age(bodies: Bodies) -> None:
    put(bodies, NAME, b"one")
    put(bodies, OTHER, b"two")
    unfinished = bodies.create("ab" * 16 + ".1.result")
    unfinished.write(b"not yet")
    now = time.time()
    assert sorted(bodies.names(60, now + 61)) == [NAME, OTHER]
    assert list(bodies.names(60, now + 59)) == []
    bodies.delete(NAME)
    assert list(bodies.names(60, now + 61)) == [OTHER]
    unfinished.discard()


def test_bodies_belong_to_the_first_store_that_asks_and_to_no_other(bodies: Bodies) -> None:
    assert bodies.belong_to("first")
    assert not bodies.belong_to("second")
    assert bodies.belong_to("first")


def test_nothing_unfinished_is_there_to_sweep(bodies: Bodies) -> None:
    put(bodies, NAME, b"one")
    assert bodies.sweep_temporary(0, 4e9) == 0
    assert whole(bodies, NAME) == b"one"
