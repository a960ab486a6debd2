"""Every Python block of every page runs as it stands; README is short and has its two commands to the letter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from docs.pages import PAGES, ROOT, blocks, text_of

RUNNER = Path(__file__).with_name("run_blocks.py")

RUN_ELSEWHERE = {"client.py", "backup.py"}
"""Programs that need a server or arguments: test_consoles.py runs them."""

DEMO = 'python3 -m venv .venv && .venv/bin/pip install -e ".[demo]" && .venv/bin/bgrs demo'
TESTS = "python3 -m venv .venv && .venv/bin/pip install -q tox && .venv/bin/tox"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_the_python_blocks_of_a_page_run(page: str, tmp_path: Path) -> None:
    (tmp_path / "mysite").mkdir()
    (tmp_path / "mysite" / "settings.py").write_text('SECRET_KEY = "s" * 50\nROOT_URLCONF = "mysite.urls"\n')
    given = [(str(block), block.text) for block in blocks(page, "python") if block.file not in RUN_ELSEWHERE]
    inherited = [os.path.abspath(each) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    done = subprocess.run(
        [sys.executable, "-W", "error", str(RUNNER)],
        input=json.dumps(given),
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *inherited]), "DJANGO_SETTINGS_MODULE": "mysite.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mysite"], "nothing starts before it is used"


def test_there_is_no_python_on_the_pages_that_nobody_runs() -> None:
    known = {"python", "console", "sh"}
    for page in PAGES:
        fences = [line.removeprefix("```") for line in text_of(page).splitlines() if line.startswith("```")]
        assert set(fences[::2]) <= known, page
        assert set(fences[1::2]) <= {""}, page


def test_readme_is_short_and_has_both_commands() -> None:
    lines = text_of("README.md").splitlines()
    assert len(lines) <= 120
    assert lines.count(f"    {DEMO}") == 1
    assert lines.count(f"    {TESTS}") == 1
    assert f"\n{TESTS}\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
