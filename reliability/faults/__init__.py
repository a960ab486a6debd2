"""The faults, one file each; the docstring of a file is the fault and what must hold.

Each file has `SIZES`, how much of it is done, and `run(card, folder, sizes)`, which does it in an empty folder.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from ..card import Card
from ..sizes import Size, Sizes


class Fault(Protocol):
    """What a file of this folder has."""

    SIZES: Mapping[str, Size]

    def run(self, card: Card, folder: Path, sizes: Sizes) -> None:
        """Do it, and write its lines into the card."""


def names() -> list[str]:
    """The names of all faults, sorted."""
    return sorted(found.name for found in pkgutil.iter_modules(__path__))


def load(name: str) -> Fault:
    """The fault of a name that `names()` gave."""
    return cast(Fault, import_module(f"{__name__}.{name}"))
