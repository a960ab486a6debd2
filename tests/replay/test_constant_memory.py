"""A huge upload sent back as a huge response: captured in constant memory, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bgrs_middleware

TESTS = Path(__file__).parent.parent
SOURCE = Path(bgrs_middleware.__file__).parent.parent


@pytest.mark.parametrize("gateway", ["asgi", "wsgi"])
def test_a_response_of_256_mib_takes_less_than_16_mib(gateway: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "replay.big_response", gateway, "256", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{TESTS}"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(ran.stdout) < 16 * 1024
