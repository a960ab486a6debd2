"""Names of bodies: a rid, then words with dots between, such as `4ff7….request` or `4ff7….1.result`.

A name becomes a file name, so nothing else may ever pass: no path, no letter that a file system could read otherwise.
"""

from __future__ import annotations

import re

_NAME = re.compile(r"[0-9a-f]{32}(?:\.[a-z0-9]{1,32}){0,4}", re.ASCII)


def is_name(name: str) -> bool:
    """Whether this could be the name of a body."""
    return _NAME.fullmatch(name) is not None


def checked_name(name: str) -> str:
    """Return the name as it is.

    Raises:
        ValueError: it is not 32 lower-case hex characters, followed by at most four words of lower-case letters and
            digits with a dot before each.
    """
    if not is_name(name):
        raise ValueError(f"not the name of a body: {name!r}")
    return name


def result_name(rid: str, attempt: int) -> str:
    """The name of the body of a response. Each claim counts up `attempt`, so it is one worker's alone."""
    return f"{rid}.{attempt}.result"
