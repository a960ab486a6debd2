"""The grammar of a filter (AIP-160): from its text to a small tree that says what was written, not what it means.

Read in one pass, in linear time: a tokeniser that looks at each character once, and a recursive descent that never
goes back. The depth, the length and the number of comparisons are bounded. From the loosest to the tightest:

    expression  = sequence { "AND" sequence }       sequence = factor { white space factor }, which also means AND
    factor      = term { "OR" term }                term     = [ "NOT" | "-" ] ( comparison | "(" expression ")" )
    comparison  = field ( "=" | "!=" | "<" | "<=" | ">" | ">=" | ":" ) value

A value is a word or a quoted string. Bare values, functions and lists of values, which AIP-160 also has, are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .tokens import Comparator, Kind, Token, Tokeniser, quoted, refuse

MAX_DEPTH = 50
"""Parentheses within parentheses."""
MAX_COMPARISONS = 100
"""Each is evaluated for each record; and SQLite takes no expression that is 1,000 deep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """What a field is compared with.

    `parts` is its text, unescaped, cut at each `*` that is a wildcard; `position` as in the errors.
    """

    position: int
    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        """As it was meant, wildcards being `*`."""
        return "*".join(self.parts)

    @property
    def has_wildcard(self) -> bool:
        """Whether it stands for more than one text."""
        return len(self.parts) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One field compared with one value; the position is the field's."""

    position: int
    field: str
    comparator: Comparator
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """All of these; the empty filter is none of them."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """At least one of these."""

    terms: tuple[Expression, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """Not this."""

    term: Expression


Expression = And | Or | Not | Comparison


def parse(text: str) -> Expression:
    """Read a filter.

    Raises:
        InvalidFilter: it does not follow the grammar, or is beyond the bounds.
    """
    return _Parser(Tokeniser(text).tokens()).filter()


class _Parser:
    """Recursive descent over the tokens, one of which it looks ahead."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0
        self._comparisons = 0

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._peek()
        self._at += 1
        return token

    def filter(self) -> Expression:
        """The whole text."""
        if self._peek().kind is Kind.END:
            return And(terms=())
        expression = self._expression()
        if self._peek().kind is not Kind.END:
            refuse(self._peek().position, "this `)` closes nothing.")
        return expression

    def _expression(self) -> Expression:
        terms = [self._factor()]
        while self._peek().kind not in (Kind.END, Kind.CLOSE):
            if self._peek().kind is Kind.AND:
                self._take()
            elif not self._peek().is_spaced or self._peek().kind in (Kind.COMPARATOR, Kind.VALUE):
                refuse(self._peek().position, "AND, OR, white space and another comparison, or the end was expected.")
            terms.append(self._factor())
        return terms[0] if len(terms) == 1 else And(terms=tuple(terms))

    def _factor(self) -> Expression:
        terms = [self._term()]
        while self._peek().kind is Kind.OR:
            self._take()
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else Or(terms=tuple(terms))

    def _term(self) -> Expression:
        if self._peek().kind in (Kind.NOT, Kind.MINUS):
            self._take()
            return Not(term=self._simple())
        return self._simple()

    def _simple(self) -> Expression:
        token = self._take()
        if token.kind is Kind.NAME:
            return self._comparison(token)
        if token.kind is not Kind.OPEN:
            refuse(token.position, "a field (its name without quotes) or `(` was expected.")
        return self._composite(token)

    def _composite(self, opening: Token) -> Expression:
        if self._depth == MAX_DEPTH:
            refuse(opening.position, f"parentheses can stand at most {MAX_DEPTH} deep in each other.")
        self._depth += 1
        expression = self._expression()
        self._depth -= 1
        if self._take().kind is not Kind.CLOSE:
            refuse(opening.position, "this `(` is never closed.")
        return expression

    def _comparison(self, name: Token) -> Comparison:
        self._comparisons += 1
        if self._comparisons > MAX_COMPARISONS:
            refuse(name.position, f"a filter has at most {MAX_COMPARISONS} comparisons.", field=name.text)
        if self._peek().kind is not Kind.COMPARATOR:
            what = f"after {quoted(name.text)} one of {' '.join(Comparator)} was expected."
            refuse(self._peek().position, what, field=name.text)
        comparator = Comparator(self._take().text)
        value = self._take()
        if value.kind is not Kind.VALUE:
            refuse(
                value.position, f"a value for {quoted(name.text)} was expected, in quotes if need be.", field=name.text
            )
        return Comparison(
            position=name.position,
            field=name.text,
            comparator=comparator,
            value=Value(position=value.position, parts=value.parts),
        )
