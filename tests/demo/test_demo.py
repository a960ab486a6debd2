"""`bgrs demo` as a newcomer runs it: a real process, judged by its exit code, its output and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest

SECONDS_TO_END = 60
WITHOUT_RICH = "import sys; sys.modules['rich'] = None; from bgrs_middleware.cli import main; sys.exit(main(['demo']))"
CUT_OFF_WHILE_IT_PRINTS = """
import sys
from bgrs_middleware.cli import main
from bgrs_middleware.demo.story import Story

def tell(self):
    # As far as rich comes before it writes.
    self._screen._console.__enter__()
    raise KeyboardInterrupt

Story.tell = tell
sys.exit(main(["demo"]))
"""


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The folder in which the demo makes its temporary one."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


def environment(temporary: Path) -> dict[str, str]:
    # A proxy that the environment names must not be asked: the demo stays on loopback.
    nowhere = {"HTTP_PROXY": "http://192.0.2.1:9", "ALL_PROXY": "http://192.0.2.1:9"}
    return {**os.environ, **nowhere, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", "COLUMNS": "80"}


def run_demo(temporary: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bgrs_middleware.cli", "demo", *options],
        env=environment(temporary),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_END,
        check=False,
    )


def run_script(temporary: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        env=environment(temporary),
        capture_output=True,
        text=True,
        timeout=SECONDS_TO_END,
        check=False,
    )


@contextlib.contextmanager
def running_demo(temporary: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
    """A demo in a process group of its own, and its output."""
    with subprocess.Popen(
        [sys.executable, "-m", "bgrs_middleware.cli", "demo", *options],
        env=environment(temporary),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def read_until(output: IO[str], wanted: str) -> str:
    read = ""
    while wanted not in read:
        line = output.readline()
        assert line, f"it ended without saying {wanted!r}:\n{read}"
        read += line
    return read


def assert_all_gone(process: subprocess.Popen[str], temporary: Path) -> None:
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    assert list(temporary.iterdir()) == []


def test_shows_the_503_the_202_the_progress_and_the_result(temporary: Path) -> None:
    done = run_demo(temporary, "--seconds", "4")
    assert (done.returncode, done.stderr) == (0, "")
    out = done.stdout
    in_order = [
        "1. A request that takes 4 seconds",
        "/report?seconds=4\n",
        "< 503 Service Unavailable   after 3.",
        "did not answer within 3 seconds",
        "/report?seconds=4&bgrs=yes\n",
        "< 202 Accepted",
        '{"request": "',
        "started",
        "Reading the orders",
        "Converting currencies",
        "Adding up",
        "Writing the report",
        "finished 100 %",
        "done",
        "/result\n",
        "< 200 OK",
        "region,orders,revenue",
        "west,1530,120904.75",
    ]
    place = 0
    for wanted in in_order:
        place = out.find(wanted, place)
        assert place >= 0, f"{wanted!r} is missing, or out of order:\n{out}"
    moved = [int(percent) for percent in re.findall(r"running (\d+) %", out)]
    assert moved == sorted(moved)
    assert len({percent for percent in moved if 0 < percent < 100}) >= 2
    assert 30 <= out.count("\n") <= 50
    assert list(temporary.iterdir()) == []


def test_request_that_the_proxy_waits_for_is_told_as_such(temporary: Path) -> None:
    done = run_demo(temporary, "--seconds", "0.2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "quick enough for the proxy" in done.stdout
    assert "503" not in done.stdout


@pytest.mark.parametrize("option", ["--port", "--proxy-port"])
def test_port_that_is_taken_is_one_sentence_and_exit_code_1(option: str, temporary: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        done = run_demo(temporary, option, str(port))
    assert done.returncode == 1
    assert done.stderr == (
        f"bgrs demo: port {port} on 127.0.0.1 is already in use; choose another one with {option}, or leave it out.\n"
    )
    assert done.stdout == ""
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("moment", "signal_sent"),
    [
        ("An example API runs", signal.SIGINT),
        ("1. A request", signal.SIGTERM),
        ("202 Accepted", signal.SIGINT),
        ("Reading the orders", signal.SIGTERM),
    ],
)
def test_interrupted_anywhere_it_leaves_nothing_behind(
    moment: str, signal_sent: signal.Signals, temporary: Path
) -> None:
    with running_demo(temporary, "--seconds", "60") as (process, output):
        read_until(output, moment)
        assert len(list(temporary.iterdir())) == 1
        process.send_signal(signal_sent)
        rest = output.read()
        assert process.wait(SECONDS_TO_END) == 130
        assert "Stopped" in rest
        assert "Traceback" not in rest, rest
        assert_all_gone(process, temporary)


def test_what_is_interrupted_while_it_prints_says_so_all_the_same(temporary: Path) -> None:
    done = run_script(temporary, CUT_OFF_WHILE_IT_PRINTS)
    assert done.returncode == 130, done.stderr
    assert "Stopped" in done.stdout


def test_second_ctrl_c_does_not_disturb_the_cleaning_up(temporary: Path) -> None:
    with running_demo(temporary, "--seconds", "60") as (process, output):
        read_until(output, "Reading the orders")
        for _ in range(3):
            process.send_signal(signal.SIGINT)
        assert "Traceback" not in output.read()
        assert process.wait(SECONDS_TO_END) == 130
        assert_all_gone(process, temporary)


def test_serve_leaves_it_running_until_it_is_interrupted(temporary: Path) -> None:
    with running_demo(temporary, "--seconds", "0.2", "--serve") as (process, output):
        shown = read_until(output, "failing?bgrs=yes")
        found = re.search(r"curl -i '(http://127\.0\.0\.1:\d+)/failing\?bgrs=yes&wait_for=2'", shown)
        assert found, shown
        with httpx.Client(base_url=found[1], trust_env=False, timeout=30) as client:
            response = client.get("/failing?bgrs=yes&wait_for=2")
            assert (response.status_code, response.text) == (500, "Internal Server Error")
            assert re.fullmatch("[0-9a-f]{32}", response.headers["Bgrs-Request"])
        process.send_signal(signal.SIGINT)
        assert "Stopped" in output.read()
        assert process.wait(SECONDS_TO_END) == 0
        assert_all_gone(process, temporary)


def test_data_stay_where_they_were_asked_to_be(temporary: Path, tmp_path: Path) -> None:
    done = run_demo(temporary, "--seconds", "0.2", "--data-dir", str(tmp_path / "kept"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "kept" / "bgrs.sqlite3").exists()


def test_data_folder_that_cannot_be_used_is_one_sentence_and_exit_code_1(temporary: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    done = run_demo(temporary, "--seconds", "0.2", "--data-dir", str(file))
    assert done.returncode == 1
    assert done.stderr == f"bgrs demo: {file} cannot be used (File exists); name another folder.\n"
    assert done.stdout == ""


def test_without_the_extra_it_says_what_to_install(temporary: Path) -> None:
    done = run_script(temporary, WITHOUT_RICH)
    assert done.returncode == 2
    assert done.stderr == (
        'bgrs demo: not installed: rich. Install the extra with: pip install "bgrs_middleware[demo]"\n'
    )
