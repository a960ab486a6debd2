"""The command `bgrs` itself: help, version, and command lines that are wrong."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bgrs_middleware
from bgrs_middleware.cli import main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["--version"])
    assert exit_info.value.code == 0
    assert capsys.readouterr().out == f"bgrs {bgrs_middleware.__version__}\n"


@pytest.mark.parametrize("argv", [["--help"], ["demo", "--help"]])
def test_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(argv)
    assert exit_info.value.code == 0
    assert "demo" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["dance"],
        ["demo", "--port", "0"],
        ["demo", "--port", "65536"],
        ["demo", "--port", "http"],
        ["demo", "--seconds", "0"],
        ["demo", "--seconds", "nan"],
        ["demo", "--seconds", "601"],
    ],
)
def test_wrong_command_line_is_exit_code_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(argv)
    assert exit_info.value.code == 2
    assert "usage: bgrs" in capsys.readouterr().err


def test_help_needs_no_extra() -> None:
    """It must be there for those who have installed nothing else."""
    blocked = "import sys; sys.modules.update(dict.fromkeys(['httpx', 'rich', 'sqlalchemy', 'starlette', 'uvicorn']))"
    code = f"{blocked}; from bgrs_middleware.cli import main; main(['demo', '--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
