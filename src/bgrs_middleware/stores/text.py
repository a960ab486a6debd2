"""Text as every store can hold it: without NUL characters and lone surrogates.

PostgreSQL refuses the first, UTF-8 the second, and both can come from a client (a percent-encoded path) or from an
application (a progress message). They are replaced, not refused: an odd name must not stop a request. All stores do it
here, so that they hold the same text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..models import Item

_UNSAFE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """Return the text with U+FFFD in place of every NUL character and lone surrogate."""
    if text.isascii() and "\x00" not in text:
        return text
    return _UNSAFE.sub("\ufffd", text)


def clean_optional(text: str | None) -> str | None:
    """The same, where there may be no text."""
    return None if text is None else clean(text)


def clean_items(items: Iterable[Item]) -> tuple[Item, ...]:
    """The same for all texts of a request's items."""
    return tuple(
        Item(name=clean(item.name), state=clean(item.state), message=clean_optional(item.message)) for item in items
    )
