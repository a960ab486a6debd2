"""The settings that are code: functions and objects, given themselves or named by text as "module:attribute".

Objects are known by their methods, not by their class: to import the class would import what it needs, and these are
the words, below everything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from .setting_kinds import Kind


def load(reference: str) -> Any:
    """Return the object that "module:attribute" names.

    Raises:
        ValueError: there is no such module or attribute, or the text has another form.
    """
    module, _, path = reference.partition(":")
    if not module or not path:
        raise ValueError('not of the form "module:attribute"')
    try:
        value: Any = import_module(module)
    except ImportError as error:
        raise ValueError(f"it cannot be imported: {error}") from error
    for attribute in path.split("."):
        if not hasattr(value, attribute):
            raise ValueError(f"there is no {attribute!r} in it")
        value = getattr(value, attribute)
    return value


class Function(Kind):
    """Something to call with what the gateway hands over."""

    accepts = 'a function of one argument, the scope or environ (in text: "module:function")'

    def check(self, value: Any) -> Any:
        if not callable(value):
            raise ValueError
        return value

    def read(self, text: str) -> Any:
        return load(text)

    def adopt(self, value: Any) -> Any:
        return load(value) if isinstance(value, str) else value


class TextOrFunction(Function):
    """A function as above, or text of a certain kind, in which there is no ":".

    Parameters:
        text: the kind of that text.
    """

    def __init__(self, text: Kind) -> None:
        self.text = text
        self.accepts = f"{text.accepts}; or {Function.accepts}"

    def check(self, value: Any) -> Any:
        return self.text.check(value) if isinstance(value, str) else super().check(value)

    def read(self, text: str) -> Any:
        return load(text) if ":" in text else text

    def adopt(self, value: Any) -> Any:
        return self.read(value) if isinstance(value, str) else value


class Part(Kind):
    """An object with certain methods, or one of a few words that stand for such objects.

    Parameters:
        noun: what it is called.
        methods: what it must have.
        words: what stands for one that comes with this package.
        later: words that a later version will have, refused with a text that says so.
        secret: whether text that is refused may hold a password, as URLs do.
    """

    def __init__(
        self,
        noun: str,
        methods: Iterable[str],
        *,
        words: Iterable[str] = (),
        later: Iterable[str] = (),
        secret: bool = False,
    ) -> None:
        self.methods = tuple(methods)
        self.words = tuple(words)
        self.later = tuple(later)
        self.secret = secret
        self.accepts = "".join(f'"{word}", ' for word in self.words) + ("or " if self.words else "")
        self.accepts += f'{noun} (in text: "module:object")'

    def check(self, value: Any) -> Any:
        if isinstance(value, str):
            if value in self.later:
                raise ValueError("a later version will have it, this one does not")
            if value not in self.words:
                raise ValueError
            return value
        _check_is_object(value)
        missing = [method for method in self.methods if not hasattr(value, method)]
        if missing:
            raise ValueError(f"it has no {missing[0]}()")
        return value

    def read(self, text: str) -> Any:
        return load(text) if ":" in text and "://" not in text else text

    def adopt(self, value: Any) -> Any:
        return self.read(value) if isinstance(value, str) else value


class Database(Part):
    """Where records live: the URL of a database, an engine for it, or a store."""

    def __init__(self) -> None:
        noun = 'an SQLAlchemy URL such as "postgresql+psycopg://host/name", a synchronous engine, or a store object'
        super().__init__(noun, ("open", "close", "transaction", "get"), secret=True)

    def check(self, value: Any) -> Any:
        if isinstance(value, str):
            if re.match(r"[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://", value) is None:
                raise ValueError("text that is no URL")
            return value
        if hasattr(value, "sync_engine"):
            raise ValueError("an asynchronous engine")
        if _is_engine(value):
            return value
        return super().check(value)


class Place(Part):
    """Where bodies live: a folder, or an object that keeps them."""

    def __init__(self) -> None:
        noun = 'an absolute folder such as "/srv/bodies", its URL "file:///srv/bodies", or an object that keeps bodies'
        super().__init__(noun, ("open", "create", "read", "delete", "check_room"), secret=True)

    def check(self, value: Any) -> Any:
        if isinstance(value, str):
            if value.startswith(("/", "file:///")):
                return value
            raise ValueError("object storage is not in this version" if "://" in value else "no absolute folder")
        return super().check(value)


def _check_is_object(value: Any) -> None:
    if isinstance(value, type):
        raise ValueError("a class, where an object of it is wanted")


def _is_engine(value: Any) -> bool:
    _check_is_object(value)
    return all(hasattr(value, name) for name in ("dialect", "begin", "dispose"))
