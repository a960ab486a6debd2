"""What importing this package costs, and what it brings along."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files

import pytest

import bgrs_middleware

HEAVY = {"asgiref", "cryptography", "httpx", "itsdangerous", "rich", "sqlalchemy"}
FRAMEWORKS = {"aiohttp", "django", "fastapi", "flask", "litestar", "starlette", "uvicorn", "werkzeug"}


def modules_after(statement: str) -> set[str]:
    """The top-level modules that a new interpreter has after a statement, less those it begins with."""
    script = (
        "import sys; before = set(sys.modules)\n"
        f"{statement}\n"
        "import json; print(json.dumps([name for name in sys.modules if name not in before]))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


@pytest.mark.parametrize(
    "statement",
    [
        "import bgrs_middleware",
        "from bgrs_middleware import Rule, Settings; Settings(rules=(Rule(path='/a'),))",
        "from bgrs_middleware import cancelled, current_request, report_item, report_progress, track",
        "from bgrs_middleware import errors",
    ],
)
def test_nothing_heavy_comes_along(statement: str) -> None:
    modules = modules_after(statement)
    assert "bgrs_middleware" in modules
    assert not modules & (HEAVY | FRAMEWORKS)


def test_the_package_alone_imports_none_of_its_modules() -> None:
    script = "import sys, bgrs_middleware; print([name for name in sys.modules if name.startswith('bgrs_middleware.')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("door", ["asgi", "wsgi"])
def test_a_door_brings_no_framework(door: str) -> None:
    assert not modules_after(f"import bgrs_middleware.{door}") & FRAMEWORKS


def test_every_public_name_is_there_and_listed() -> None:
    for name in bgrs_middleware.__all__:
        assert getattr(bgrs_middleware, name) is not None
        assert name in dir(bgrs_middleware)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Setings'"):
        _ = bgrs_middleware.Setings


def test_the_package_says_that_it_is_typed() -> None:
    assert (files(bgrs_middleware) / "py.typed").is_file()
