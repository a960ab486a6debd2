"""Fixtures for the doors: each test runs once per gateway, on a data directory of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .door import KINDS, Door, Kind


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Which gateway."""
    chosen: Kind = request.param
    return chosen


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The setting of that name; the folder is not there yet."""
    return tmp_path / "data"


@pytest.fixture
def open_door(kind: Kind, data_dir: Path) -> Iterator[Callable[..., Door]]:
    """Opens a door with settings; doors of one test share a data directory, as processes do."""
    doors: list[Door] = []

    def make(**options: Any) -> Door:
        door = Door(kind, **{"data_dir": data_dir, **options})
        doors.append(door)
        return door

    yield make
    for door in doors:
        door.close()


@pytest.fixture
def door(open_door: Callable[..., Door]) -> Door:
    """A door with the usual settings."""
    return open_door()
