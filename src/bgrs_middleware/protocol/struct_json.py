"""Which JSON can become a google.protobuf.Struct and come out of it as what it was.

A Struct has text in Unicode, numbers as doubles, names that are there once, and a bounded depth. JSON bodies that go
beyond that are not wrong, and are not changed to fit: `NotAStruct` is raised, and they are handed on as bytes.
"""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 24
"""Of objects and arrays in each other. Protobuf stops at 100 messages; each object in a Struct takes three."""

MAX_INTEGER = 2**53
"""The largest whole number up to which a double holds every one."""

_CHARSETS = ("utf-8", "utf8", "us-ascii")


class NotAStruct(ValueError):
    """These bytes are no JSON object that a Struct holds unchanged."""


def is_json(content_type: str) -> bool:
    """Tell whether a content type is JSON in UTF-8 (RFC 8259; RFC 6839 for `+json`)."""
    media_type, *parameters = [part.strip().lower() for part in content_type.split(";")]
    if media_type != "application/json" and not media_type.endswith("+json"):
        return False
    charsets = [
        value.strip('"') for name, _, value in (each.partition("=") for each in parameters) if name == "charset"
    ]
    return all(charset in _CHARSETS for charset in charsets)


def read_struct(body: bytes) -> dict[str, Any]:
    """Return a JSON object.

    Raises:
        NotAStruct: it is none, or holds what a Struct would change or refuse: NaN, infinities, whole numbers beyond
            `MAX_INTEGER`, names given twice, lone surrogates, more than `MAX_DEPTH` levels.
    """
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_unique)
        if not isinstance(value, dict):
            raise NotAStruct("not an object")
        _check(value, 1)
    except (ValueError, RecursionError) as error:
        raise NotAStruct(str(error)) from error
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise NotAStruct("a name is given twice")
    return found


def _check(value: Any, depth: int) -> None:
    if isinstance(value, str):
        value.encode("utf-8")  # A UnicodeEncodeError is a ValueError.
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise NotAStruct("NaN, or beyond all doubles")
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise NotAStruct("a whole number that no double holds")
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise NotAStruct("too deep")
        for each in value:
            _check(each, depth + 1)
        if isinstance(value, dict):
            for each in value.values():
                _check(each, depth + 1)
