"""The bodies under test, one of each kind, and keys: what every file of this folder begins with."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgrs_middleware.bodies import Bodies, FileBodies, MemoryBodies
from bgrs_middleware.sealing import Keyring


@pytest.fixture
def file_bodies(tmp_path: Path) -> FileBodies:
    bodies = FileBodies(str(tmp_path / "data" / "bodies"), 0)
    bodies.open()
    return bodies


@pytest.fixture(params=["files", "memory"])
def bodies(request: pytest.FixtureRequest) -> Bodies:
    if request.param == "memory":
        return MemoryBodies()
    files: FileBodies = request.getfixturevalue("file_bodies")
    return files


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring(["a secret of the tests"])
