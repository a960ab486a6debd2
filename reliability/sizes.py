"""How much of each fault is done: a fast size for every change, a full one for the figures that are published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """A size of a fault: of what, and how many in the fast and in the full set."""

    of: str
    fast: int
    full: int


class SizeError(ValueError):
    """A size that no chosen fault has, or that is no number above 0."""


class Sizes:
    """The sizes of one run: `sizes["server_kills"]`.

    Parameters:
        known: those of the fault, `SIZES`.
        fast: whether the fast ones are taken.
        given: what the command line says instead, by name.
    """

    def __init__(self, known: Mapping[str, Size], *, fast: bool, given: Mapping[str, int] | None = None) -> None:
        chosen = {name: size.fast if fast else size.full for name, size in known.items()}
        self._chosen = chosen | {name: number for name, number in (given or {}).items() if name in chosen}

    def __getitem__(self, name: str) -> int:
        return self._chosen[name]


def read_sizes(texts: Iterable[str], known: Iterable[str]) -> dict[str, int]:
    """Read what the command line says, texts such as "server_kills=500".

    Raises:
        SizeError: a text is not of this form, or its name is not among those known.
    """
    names = sorted(known)
    sizes: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in names:
            raise SizeError(f"{name}: no size of this name; there are {', '.join(names)}")
        if not number.isascii() or not number.isdigit() or int(number) < 1:
            raise SizeError(f"{text}: a size is written {name}=N, with a number above 0")
        sizes[name] = int(number)
    return sizes
