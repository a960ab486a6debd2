"""Header lists: order and repetition survive every change."""

from __future__ import annotations

from bgrs_middleware.protocol.fields import field_values, first_field, only_fields, with_field, without_fields

HEADERS = ((b"A", b"1"), (b"b", b"2"), (b"a", b"3"), (b"c", b"4"))


def test_a_field_is_replaced_where_it_stood_first() -> None:
    assert with_field(HEADERS, b"a", b"9") == ((b"A", b"9"), (b"b", b"2"), (b"c", b"4"))
    assert with_field(HEADERS, b"d", b"9") == (*HEADERS, (b"d", b"9"))


def test_fields_are_chosen_by_name_in_any_case() -> None:
    assert without_fields(HEADERS, (b"a",)) == ((b"b", b"2"), (b"c", b"4"))
    assert only_fields(HEADERS, (b"a", b"c")) == ((b"A", b"1"), (b"a", b"3"), (b"c", b"4"))
    assert field_values(HEADERS, b"a") == [b"1", b"3"]
    assert first_field(HEADERS, b"a") == b"1"
    assert first_field(HEADERS, b"x") is None
