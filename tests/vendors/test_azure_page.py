"""The page about Azure's pollers: its application and its client, as they stand there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from docs.pages import write_files
from servers import serve

PAGE = "docs/howto-azure-pollers.md"
SHOWN_BASE = "http://127.0.0.1:8000"


def test_the_client_of_the_page_ends_with_the_result(tmp_path: Path) -> None:
    write_files(PAGE, tmp_path)
    client = tmp_path / "client.py"
    with serve("uvicorn", "app:app", folder=tmp_path, data_dir=tmp_path / "bgrs-data") as server:
        client.write_text(client.read_text().replace(SHOWN_BASE, server.url))
        done = subprocess.run(
            [sys.executable, "-W", "error", str(client)],
            env=os.environ | {"NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, "{'name': 'trees', 'trained': True}\n"), done.stderr
