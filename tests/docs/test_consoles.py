"""What the pages show at a terminal is what a reader gets: every example on its real server, every line sent to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from docs.console import SHOWN_BASE, Console, Step, steps
from docs.pages import PAGES, blocks, text_of, write_files
from servers import Server, serve


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """How the example of a page is run. `files` is the page with its files, `line` the line that starts it there."""

    page: str
    files: str
    server: str
    target: str
    line: str


def example(page: str, server: str, line: str, *, files: str | None = None) -> Example:
    return Example(page=page, files=files or page, server=server, target=line.split()[-1], line=line)


GTHREAD = "gunicorn --worker-class gthread --threads 8"
EXAMPLES = (
    example("README.md", "uvicorn", "uvicorn app:app", files="docs/quickstart.md"),
    example("docs/quickstart.md", "uvicorn", "uvicorn app:app"),
    example("docs/howto-starlette.md", "uvicorn", "uvicorn app:app"),
    example("docs/howto-fastapi.md", "uvicorn", "uvicorn app:app"),
    example("docs/howto-flask.md", "gunicorn-gthread", f"{GTHREAD} app:app"),
    example("docs/howto-django.md", "gunicorn-gthread", f"{GTHREAD} mysite.wsgi:application"),
    example("docs/howto-django.md", "uvicorn", "uvicorn mysite.asgi:application"),
    example("docs/howto-progress.md", "uvicorn", "uvicorn app:app"),
    example("docs/howto-natif.md", "uvicorn", "uvicorn app:app"),
    example("docs/howto-batches.md", "uvicorn", "uvicorn app:app"),
)
GOOGLE = example("docs/howto-google-operations.md", "uvicorn", "uvicorn app:app")
QUICKSTART = EXAMPLES[1]
DJANGO = EXAMPLES[5]
NATIF = EXAMPLES[8]


def run(folder: Path, *arguments: str) -> str:
    """Run Python in a folder; returns what it printed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *absolute_python_path()])}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def absolute_python_path() -> list[str]:
    return [os.path.abspath(entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]


@contextmanager
def running(example: Example, folder: Path) -> Iterator[Server]:
    """The example on its server, in a folder of its own."""
    assert example.line in text_of(example.files)
    if "django" in example.page:
        run(folder, "-m", "django", "startproject", "mysite", ".")
        run(folder, "manage.py", "migrate")
    write_files(example.files, folder)
    with serve(example.server, example.target, folder=folder, data_dir=folder / "bgrs-data") as server:
        yield server


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: f"{each.page}-{each.server}")
def test_the_console_blocks_show_what_comes_back(example: Example, tmp_path: Path) -> None:
    with running(example, tmp_path) as server:
        console = Console(server.url)
        for block in blocks(example.page, "console"):
            for step in steps(block.text):
                console.play(step)


def test_every_page_with_console_blocks_is_played() -> None:
    assert {page for page in PAGES if blocks(page, "console")} == {each.page for each in EXAMPLES}


def test_a_console_notices_what_does_not_come_back(tmp_path: Path) -> None:
    with running(QUICKSTART, tmp_path) as server:
        console = Console(server.url)
        for shown in ("HTTP/1.1 202 Accepted\n...", "HTTP/1.1 200 OK\ncontent-type: text/html\n...", "HTTP/1.1 200 OK"):
            with pytest.raises(AssertionError, match="came:"):
                console.play(Step(command=f"curl -i '{SHOWN_BASE}/report?seconds=0'", shown=shown))


def test_the_polling_client_of_the_natif_page_ends_with_the_result(tmp_path: Path) -> None:
    with running(NATIF, tmp_path) as server:
        client = tmp_path / "client.py"
        client.write_text(client.read_text().replace(SHOWN_BASE, server.url))
        assert run(tmp_path, "client.py") == "{'workflow': 'invoice', 'bytes': 10}\n"


def test_the_client_of_the_google_page_gets_what_it_waits_for(tmp_path: Path) -> None:
    with running(GOOGLE, tmp_path) as server:
        client = tmp_path / "client.py"
        client.write_text(client.read_text().replace(SHOWN_BASE, server.url))
        assert run(tmp_path, "client.py").splitlines() == [
            "{'documents': 2.0}",
            "SUCCEEDED BATCH_PROCESS",
            "True True",
        ]


def test_what_the_backup_script_copied_serves_the_same_results(tmp_path: Path) -> None:
    write_files("docs/howto-storage.md", tmp_path)
    write_files(QUICKSTART.page, tmp_path)
    app = tmp_path / "app.py"
    app.write_text(app.read_text().replace("{month},120", "{month},{120:040000}"))
    with serve("uvicorn", "app:app", folder=tmp_path, data_dir=tmp_path / "bgrs-data") as server:
        first = httpx.get(f"{server.url}/report?seconds=0&bgrs=yes&wait_for=20", trust_env=False)
        assert len(first.content) > 64 * 1024, "large enough for a body of its own"
        run(tmp_path, "backup.py", "bgrs-data", "copy")
    with serve("uvicorn", "app:app", folder=tmp_path, data_dir=tmp_path / "copy") as server:
        again = httpx.get(f"{server.url}/bgrs/{first.headers['bgrs-request']}/result", trust_env=False)
    assert again.status_code == 200
    assert again.content == first.content


LOG_IN = """
import django
django.setup()
from django.contrib.auth.models import User
from django.test import Client
client = Client()
client.force_login(User.objects.create_user("anna"))
print(client.cookies["sessionid"].value)
"""


def test_the_identify_of_the_django_page_knows_session_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "mysite.settings")
    run(tmp_path, "-m", "django", "startproject", "mysite", ".")
    run(tmp_path, "manage.py", "migrate")
    write_files(DJANGO.page, tmp_path)
    wsgi = tmp_path / "mysite" / "wsgi.py"
    line = "application = BgrsMiddleware(get_wsgi_application(), identify=session_user)"
    assert line in text_of(DJANGO.page)
    wsgi.write_text(
        "from mysite.who import session_user\n"
        + wsgi.read_text().replace("application = BgrsMiddleware(get_wsgi_application())", line)
    )
    cookies = {"sessionid": run(tmp_path, "-c", LOG_IN).strip()}
    with (
        serve(DJANGO.server, DJANGO.target, folder=tmp_path, data_dir=tmp_path / "bgrs-data") as server,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60) as anonymous,
        httpx.Client(base_url=server.url, trust_env=False, timeout=60, cookies=cookies) as anna,
    ):
        response = anna.get("/report?bgrs=yes&wait_for=20")
        assert response.json()["user"] == "anna"
        rid = response.headers["bgrs-request"]
        assert [each["rid"] for each in anna.get("/bgrs").json()["requests"]] == [rid]
        assert anonymous.get("/bgrs").json()["requests"] == []
        assert anonymous.delete(f"/bgrs/{rid}").status_code == 403
        assert json.loads(anna.get(f"/bgrs/{rid}").text)[0]["user_id"] == "1"
