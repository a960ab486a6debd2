"""Conditional and partial requests (RFC 9110, 13 and 14): what the client has already, and which part it wants.

Whatever is malformed is as if it had not been sent: the client then gets the whole answer, which is never wrong.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import RangeNotSatisfiable

_ENTITY_TAG = re.compile(rb'(?:W/)?("[^"]*")')
_RANGE = re.compile(rb"bytes=[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*", re.IGNORECASE)

# More digits than any length has; `int` would refuse the longest texts.
_MAX_DIGITS = 19


def has_already(if_none_match: Sequence[bytes], etag: bytes) -> bool:
    """Tell whether the client has what this entity tag stands for.

    Parameters:
        if_none_match: the values of all `If-None-Match` lines: `*`, or entity tags separated by commas.
        etag: the current entity tag. Compared weakly (section 8.8.3.2).
    """
    opaque = etag.removeprefix(b"W/")
    return any(line.strip() == b"*" or opaque in _ENTITY_TAG.findall(line) for line in if_none_match)


def range_still_holds(if_range: Sequence[bytes], etag: bytes, last_modified: bytes | None) -> bool:
    """Tell whether a `Range` counts: there is no `If-Range`, or it names what is here now (section 13.1.5).

    Parameters:
        if_range: the values of all `If-Range` lines.
        etag: the current entity tag; only a strong one can hold.
        last_modified: the captured header; a date must be the same to the letter.
    """
    if not if_range:
        return True
    if len(if_range) > 1:
        return False
    validator = if_range[0].strip()
    if validator.startswith((b'"', b"W/")):
        return validator == etag and not etag.startswith(b"W/")
    return last_modified is not None and validator == last_modified.strip()


def wanted_range(values: Sequence[bytes], length: int) -> tuple[int, int] | None:
    """Return offset and length of the one range that is asked for, or None for the whole.

    Parameters:
        values: the values of all `Range` lines.
        length: of the whole, in bytes.

    Raises:
        RangeNotSatisfiable: it begins beyond the end, or asks for the last 0 bytes.
    """
    found = _RANGE.fullmatch(values[0].strip()) if len(values) == 1 else None
    if found is None:
        return None
    if found[3] is not None:
        start, end = max(0, length - _number(found[3])), length
    else:
        start = _number(found[1])
        end = _number(found[2]) + 1 if found[2] else max(length, start + 1)
        if end <= start:
            return None
    if start >= length:
        raise RangeNotSatisfiable(
            f"The result has {length} bytes; the range lies outside.",
            headers=((b"content-range", b"bytes */%d" % length),),
        )
    return start, min(end, length) - start


def _number(digits: bytes) -> int:
    digits = digits.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= _MAX_DIGITS else 10**_MAX_DIGITS
