"""The words of a filter: its text cut into tokens, in one pass that looks at each character once or twice.

What stands after a comparator is a value, where `:`, `.` and `-` are ordinary characters, so that a time needs no
quotes; everywhere else a word is a name or a keyword. Nothing goes back, so the time is linear in the length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import NoReturn

from ...errors import InvalidFilter

MAX_CHARACTERS = 10_000

_SPACES = frozenset(" \t\r\n")
_QUOTES = frozenset("\"'")
_ESCAPED = frozenset("\"'\\*")
_ENDS_A_VALUE = _SPACES | _QUOTES | frozenset("(),=!<>")
_ENDS_A_NAME = _ENDS_A_VALUE | {":"}

# NUL and lone surrogates: no database holds them, and no client means them.
_IMPOSSIBLE = re.compile("[\x00\ud800-\udfff]")


class Comparator(StrEnum):
    """How a field is compared. `:` is AIP-160's "has"."""

    EQUAL = "="
    UNEQUAL = "!="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="
    HAS = ":"


class Kind(Enum):
    """What a token is."""

    NAME = auto()
    VALUE = auto()
    COMPARATOR = auto()
    OPEN = auto()
    CLOSE = auto()
    MINUS = auto()
    AND = auto()
    OR = auto()
    NOT = auto()
    END = auto()


_COMPARATORS = frozenset(comparator.value for comparator in Comparator)
_KEYWORDS = {"AND": Kind.AND, "OR": Kind.OR, "NOT": Kind.NOT}
_MARKS = {"(": Kind.OPEN, ")": Kind.CLOSE, "-": Kind.MINUS}


@dataclass(frozen=True, slots=True)
class Token:
    """`text` as it was written, but for a quoted value, which has only its `parts`."""

    kind: Kind
    position: int
    is_spaced: bool
    """Whether white space stands before it."""
    text: str = ""
    parts: tuple[str, ...] = ()


def refuse(position: int, what: str, *, field: str | None = None) -> NoReturn:
    """Raise the error for a character of the filter, the first being 1."""
    raise InvalidFilter(f"filter, character {position}: {what}", position=position, field=field)


def quoted(text: str) -> str:
    """A client's text for an error message, cut where it is long."""
    return f"`{text if len(text) <= 60 else text[:60] + '…'}`"


class Tokeniser:
    """Cuts the text of a filter into tokens."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = len(text)
        self._at = 0

    def tokens(self) -> list[Token]:
        """All tokens; the last one is the END.

        Raises:
            InvalidFilter: the text is too long, or cannot be cut into tokens.
        """
        if self._end > MAX_CHARACTERS:
            refuse(MAX_CHARACTERS + 1, f"a filter has at most {MAX_CHARACTERS} characters.")
        if (impossible := _IMPOSSIBLE.search(self._text)) is not None:
            refuse(impossible.start() + 1, "this character cannot be part of a filter.")
        found: list[Token] = []
        is_value_next = False
        while not found or found[-1].kind is not Kind.END:
            found.append(self._token(is_value_next))
            is_value_next = found[-1].kind is Kind.COMPARATOR
        return found

    def _token(self, is_value: bool) -> Token:
        before = self._at
        while self._at < self._end and self._text[self._at] in _SPACES:
            self._at += 1
        is_spaced = self._at > before
        position = self._at + 1
        if self._at == self._end:
            return Token(Kind.END, position, is_spaced)
        character = self._text[self._at]
        if character in _QUOTES:
            return Token(Kind.VALUE, position, is_spaced, parts=self._string(character))
        if character in _MARKS and not (is_value and character == "-"):
            self._at += 1
            return Token(_MARKS[character], position, is_spaced, character)
        word = self._word(_ENDS_A_VALUE if is_value else _ENDS_A_NAME)
        if not word:
            return Token(Kind.COMPARATOR, position, is_spaced, self._comparator(character))
        if word in _KEYWORDS:
            return Token(_KEYWORDS[word], position, is_spaced, word)
        if not is_value:
            return Token(Kind.NAME, position, is_spaced, word)
        if "\\" in word:
            refuse(position + word.index("\\"), "a backslash can stand only in a quoted string.")
        return Token(Kind.VALUE, position, is_spaced, word, tuple(word.split("*")))

    def _word(self, ends: frozenset[str]) -> str:
        start = self._at
        while self._at < self._end and self._text[self._at] not in ends:
            self._at += 1
        return self._text[start : self._at]

    def _comparator(self, character: str) -> str:
        start = self._at
        self._at += 1
        if character in "!<>" and self._at < self._end and self._text[self._at] == "=":
            character += "="
            self._at += 1
        if character not in _COMPARATORS:
            refuse(start + 1, f"{quoted(character)} has no meaning here.")
        return character

    def _string(self, quote: str) -> tuple[str, ...]:
        start = self._at
        self._at += 1
        parts: list[str] = []
        part: list[str] = []
        while (character := self._next_of_string(start)) != quote:
            if character == "\\":
                part.append(self._escaped(start))
            elif character == "*":
                parts.append("".join(part))
                part = []
            else:
                part.append(character)
        return (*parts, "".join(part))

    def _next_of_string(self, start: int) -> str:
        if self._at == self._end:
            refuse(start + 1, "this quoted string has no end.")
        self._at += 1
        return self._text[self._at - 1]

    def _escaped(self, start: int) -> str:
        character = self._next_of_string(start)
        if character not in _ESCAPED:
            refuse(self._at - 1, "in a quoted string a backslash stands before \", ', * or another backslash.")
        return character
