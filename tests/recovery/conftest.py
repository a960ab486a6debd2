"""One theatre for each gateway."""

from __future__ import annotations

import pytest

from recovery.theatre import KINDS, Theatre


@pytest.fixture(params=KINDS)
def theatre(request, tmp_path) -> Theatre:
    (tmp_path / "go").mkdir()
    return Theatre(gateway=request.param, folder=tmp_path)
