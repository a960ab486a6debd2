"""A house for each gateway, and one where the gateway is not the point."""

from __future__ import annotations

import pytest

from recovery.theatre import KINDS
from worker.house import House


@pytest.fixture(params=KINDS)
def house(request, tmp_path) -> House:
    (tmp_path / "go").mkdir()
    return House(gateway=request.param, folder=tmp_path)


@pytest.fixture
def asgi_house(tmp_path) -> House:
    (tmp_path / "go").mkdir()
    return House(gateway="asgi", folder=tmp_path)
