"""The fast set of `python -m reliability`: each fault at the sizes that every change must pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from reliability import faults
from reliability.card import Card
from reliability.sizes import Sizes


@pytest.mark.parametrize("name", faults.names())
def test_what_was_acknowledged_survives(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    said: list[str] = []
    card, fault = Card(said.append), faults.load(name)
    fault.run(card, tmp_path, Sizes(fault.SIZES, fast=True))
    assert card.lines
    assert not card.failed, "\n".join(said)
    for line in card.lines:
        if not line.n:
            # Said at the end of the run: nothing of this was tried.
            record_property(f"{line.fault}: not run", line.note)
