"""The plain values that settings take: what each kind accepts, in words, as a check, and read from text.

`settings.py` names one kind for each field. A kind gives a value back in the form in which it is kept, or raises a
`ValueError` whose text, where it has one, says what is wrong with just this value.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from .errors import SettingsError

LARGEST_INTEGER = 2**63 - 1
"""The largest that a database column holds."""

LONGEST_SECONDS = 1e9
"""Some thirty years. Python refuses to wait for much longer than that."""


class Kind(ABC):
    """What a setting accepts."""

    accepts: str
    """In words, to stand after "it takes"."""

    secret: bool = False
    """Whether a refused value must not be shown."""

    @abstractmethod
    def check(self, value: Any) -> Any:
        """Return the value in the form in which it is kept, or raise ValueError."""

    def read(self, text: str) -> Any:
        """Turn text (never empty) from the environment into a value for `check`, or raise ValueError."""
        return text

    def parse(self, text: str) -> Any:
        """Read text and check what it says."""
        return self.check(self.read(text))

    def adopt(self, value: Any) -> Any:
        """Turn a value from a mapping, such as Django's settings, into one for `check`, or raise ValueError."""
        return value


def apply(kind: Kind, step: Callable[[Any], Any], name: str, value: Any) -> Any:
    """Return `step(value)`, where `step` is one of the methods of `kind`.

    Raises:
        SettingsError: the field's name, the value unless it is secret, and what the field takes.
    """
    try:
        return step(value)
    except SettingsError:
        raise
    except ValueError as error:
        shown = "the value given" if kind.secret else _short(value)
        reason = f" ({error})" if str(error) else ""
        # Without the cause: a parser's own message repeats the value, which may be secret.
        raise SettingsError(f"{name}: {shown} is not usable{reason}; it takes {kind.accepts}") from None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."


def unknown(key: str, names: Iterable[str], prefix: str = "") -> SettingsError:
    """The error for a key that is no setting, with the names that look like it, written as the key is."""
    import difflib

    name = key.removeprefix(prefix)
    near = difflib.get_close_matches(name.lower(), list(names), n=3)
    written = [found.upper() if name.isupper() else found for found in near]
    # The very same letters: then it is the case that is wrong.
    written = [found.swapcase() if found == name else found for found in written]
    hint = f"; did you mean {' or '.join(prefix + found for found in written)}?" if written else ""
    return SettingsError(f"{key}: there is no such setting{hint}")


class Maybe(Kind):
    """None, or what another kind accepts."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.accepts = f"None or {kind.accepts}"
        self.secret = kind.secret

    def check(self, value: Any) -> Any:
        return None if value is None else self.kind.check(value)

    def read(self, text: str) -> Any:
        return self.kind.read(text)

    def adopt(self, value: Any) -> Any:
        return None if value is None else self.kind.adopt(value)


class Flag(Kind):
    """True or False."""

    accepts = "True or False"

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value


class Integer(Kind):
    """A whole number from `least` to `most`."""

    def __init__(self, least: int, most: int = LARGEST_INTEGER) -> None:
        self.least, self.most = least, most
        self.accepts = f"a whole number from {least} to {most}"

    def check(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            raise ValueError
        return value

    def read(self, text: str) -> int:
        return int(_formed(text, r"[+-]?[0-9]{1,30}"))


class Number(Kind):
    """A finite number from `least`, or only what is `above` it, to `most`. Kept as a float."""

    def __init__(self, least: float, most: float, *, above: bool = False) -> None:
        self.least, self.most, self.above = least, most, above
        self.accepts = f"a number {'above' if above else 'from'} {least:g} {'up ' if above else ''}to {most:.0f}"

    def check(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        if not self.least <= value <= self.most or (self.above and value == self.least):
            raise ValueError
        return float(value)

    def read(self, text: str) -> float:
        return float(_formed(text, r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"))


def _formed(text: str, form: str) -> str:
    """The text, where it has that form: what Python's own parsers accept (`1_0`, `nan`) is wider."""
    if re.fullmatch(form, text) is None:
        raise ValueError
    return text


def seconds(*, above: bool = False) -> Number:
    """A duration: from 0, or above it."""
    return Number(0, LONGEST_SECONDS, above=above)


class Choice(Kind):
    """One of a few words."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(words)
        self.accepts = ", ".join(f'"{word}"' for word in self.words[:-1]) + f' or "{self.words[-1]}"'

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or value not in self.words:
            raise ValueError
        return value


class Member(Choice):
    """A member of an enumeration of texts, or its text."""

    def __init__(self, enumeration: type[StrEnum]) -> None:
        super().__init__(str(member) for member in enumeration)
        self.enumeration = enumeration

    def check(self, value: Any) -> StrEnum:
        return self.enumeration(super().check(value))


class Text(Kind):
    """Text of a certain form, a regular expression for the whole of it."""

    def __init__(self, form: str, accepts: str) -> None:
        self.form = re.compile(form)
        self.accepts = accepts

    def check(self, value: Any) -> str:
        if not isinstance(value, str) or self.form.fullmatch(value) is None:
            raise ValueError
        return value


class Folder(Kind):
    """A path in the file system. Kept as text."""

    accepts = "the path of a folder, as text or a path object"

    def check(self, value: Any) -> str:
        path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
        if not isinstance(path, str) or not path.strip() or "\0" in path:
            raise ValueError
        return path


class Secrets(Kind):
    """Several secret texts, each of a least length."""

    secret = True

    def __init__(self, least_length: int) -> None:
        self.least_length = least_length
        self.accepts = f"a tuple of texts of {least_length} characters or more, the newest first"

    def check(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, tuple | list):
            raise ValueError(f"a {type(value).__name__}")
        for number, text in enumerate(value, start=1):
            if not isinstance(text, str) or len(text) < self.least_length:
                raise ValueError(f"number {number} is no such text")
        return tuple(value)

    def read(self, text: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())


class LogLevel(Kind):
    """The name of a level of `logging`, in any case. Kept in capitals."""

    accepts = 'the name of a logging level, such as "INFO"'

    def check(self, value: Any) -> str:
        import logging

        if not isinstance(value, str) or value.upper() not in logging.getLevelNamesMapping():
            raise ValueError
        return value.upper()


class Methods(Kind):
    """HTTP methods, in any case. Kept in capitals."""

    accepts = 'a tuple of HTTP methods, such as ("POST",)'

    def check(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, tuple | list) or not value:
            raise ValueError
        methods = tuple(method.upper() if isinstance(method, str) else "" for method in value)
        if not all(re.fullmatch(r"[A-Z0-9!#$%&'*+.^_`|~-]+", method) for method in methods):
            raise ValueError
        return methods


class Template(Kind):
    """A path in which `{name}` stands for one segment and `{name:path}` for the rest."""

    def __init__(self, required: str | None = None) -> None:
        self.required = required
        example = "/processing/{workflow}" if required is None else f"/processing/results/{{{required}}}"
        self.accepts = f'a path such as "{example}"'

    def check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError
        names = _names_in(value)
        if len({name.partition(":")[0] for name in names}) < len(names):
            raise ValueError("a name stands in it twice")
        if self.required is not None and self.required not in names:
            raise ValueError(f"there is no {{{self.required}}} in it")
        return value


def _names_in(template: str) -> list[str]:
    """The names in braces, with `:path` where they have it."""
    if not template.startswith("/"):
        raise ValueError('it does not start with "/"')
    if re.search(r"[\s?#\x00-\x1f\x7f]", template):
        raise ValueError("there is white space or a query in it")
    place = r"\{([A-Za-z_][A-Za-z0-9_]*)(:path)?\}"
    if re.search(r"[{}]", re.sub(place, "", template)):
        raise ValueError("it has a brace that is no {name} and no {name:path}")
    return [name if not rest else f"{name}{rest}" for name, rest in re.findall(place, template)]
