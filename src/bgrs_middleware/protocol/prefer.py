"""The header `Prefer` (RFC 7240): read what a client would like, and take our two preferences out of it.

A preference is a wish: what is unknown or malformed is ignored, nothing here raises. Elements are found by commas
outside quoted strings, in one pass and in linear time whatever a client sends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_QUOTED = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+'

# A quoted string, closed or not (then it runs to the end), or a comma between elements.
_QUOTED_OR_COMMA = re.compile(_QUOTED + rb'"?+|,', re.DOTALL)

# token [ BWS "=" BWS [ word ] ], then the end or the first parameter. Possessive, so that no input makes it backtrack.
_PREFERENCE = re.compile(
    rb"[ \t]*+(" + _TOKEN + rb")[ \t]*+(?:=[ \t]*+(" + _TOKEN + rb"|" + _QUOTED + rb'")?+[ \t]*+)?+(?:;|\Z)', re.DOTALL
)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_SECONDS = re.compile(rb"[0-9]{1,18}(?:\.[0-9]{1,18})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What a client would like: an answer at once (`respond-async`), and how long it would wait (`wait=N`)."""

    respond_async: bool = False
    wait_seconds: float | None = None


NONE = Preferences()


def parse(values: Sequence[bytes]) -> Preferences:
    """Read the values of all `Prefer` header lines, in order.

    Names are matched in any case; of several preferences of one name the first counts, even where its value is
    unusable (RFC 7240, section 2). Parameters after `;` change nothing. Never raises.

    Parameters:
        values: one element per header line.

    Returns:
        `wait_seconds` is None where `wait` is missing or no number of seconds; decimals are taken.
    """
    if not values:
        return NONE
    found: dict[bytes, bytes] = {}
    for line in values:
        for element in _elements(line):
            name, value = _preference(element)
            found.setdefault(name, value)
    return Preferences(
        respond_async=found.get(b"respond-async") == b"",
        wait_seconds=_seconds(found.get(b"wait", b"")),
    )


def without_async(values: Sequence[bytes]) -> list[bytes]:
    """Return the header lines without `respond-async` and `wait`, the rest of each byte for byte.

    A line with neither stays as it is; one that has nothing else is dropped.
    """
    lines = []
    for line in values:
        elements = list(_elements(line))
        kept = [element for element in elements if _preference(element)[0] not in (b"respond-async", b"wait")]
        if len(kept) == len(elements):
            lines.append(line)
        elif b",".join(kept).strip(b" \t,"):
            lines.append(b",".join(kept).strip(b" \t"))
    return lines


def _elements(line: bytes) -> Iterator[bytes]:
    """The texts between commas, with their spaces."""
    start = 0
    for found in _QUOTED_OR_COMMA.finditer(line):
        if found.group() == b",":
            yield line[start : found.start()]
            start = found.end()
    yield line[start:]


def _preference(element: bytes) -> tuple[bytes, bytes]:
    """The lower-case name and the value; a missing value is an empty one. A malformed element has no name."""
    found = _PREFERENCE.match(element)
    if found is None:
        return b"", b""
    value = found.group(2) or b""
    if value.startswith(b'"'):
        value = _ESCAPE.sub(rb"\1", value[1:-1])
    return found.group(1).lower(), value


def _seconds(value: bytes) -> float | None:
    return float(value) if _SECONDS.fullmatch(value) else None
