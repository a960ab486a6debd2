"""Failpoints: named once, placed once, nothing at all where nobody armed them, plain words where one is mistyped."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import bgrs_middleware
from bgrs_middleware.errors import SettingsError
from bgrs_middleware.failpoints import ARMED, VARIABLE, Failpoint, parse
from bgrs_middleware.settings import Settings

PACKAGE = Path(bgrs_middleware.__file__).parent

A_WHOLE_LIFE = """
import io, json, sys, time
from bgrs_middleware import failpoints
reached = []
failpoints.reach = reached.append
from bgrs_middleware.wsgi import BgrsMiddleware

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["wsgi.input"].read() * 2]

middleware = BgrsMiddleware(application, data_dir=sys.argv[1], min_free_bytes=0)

def call(method, path, query="", body=b""):
    environ = {
        "REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query,
        "SERVER_NAME": "here", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body), "wsgi.url_scheme": "http",
    }
    return b"".join(middleware(environ, lambda *_: None))

for body in (b"", b"x" * 200_000):
    rid = json.loads(call("POST", "/work", "bgrs=yes", body))["request"]
    while json.loads(call("GET", f"/bgrs/{rid}", "wait_for=20"))[0]["status_name"] != "finished":
        pass
print(json.dumps(reached))
"""


def python(*arguments: str, failpoints: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a new interpreter; failures are the caller's to see."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if failpoints is not None:
        environment[VARIABLE] = failpoints
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def placed() -> Iterator[tuple[str, str]]:
    """Every call of `reach` in the package: the name of its failpoint, and the condition that it stands under."""
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            body = getattr(node, "body", None)
            for statement in body if isinstance(body, list) else []:
                if isinstance(statement, ast.Expr) and ast.unparse(statement).startswith("reach("):
                    found = re.fullmatch(r"reach\(Failpoint\.(\w+)\)", ast.unparse(statement))
                    assert found is not None, f"{file.name}, line {statement.lineno}"
                    yield found[1], ast.unparse(node.test) if isinstance(node, ast.If) else ""


def test_each_failpoint_is_placed_once() -> None:
    assert Counter(name for name, _ in placed()) == Counter(list(Failpoint.__members__))


def test_no_failpoint_is_asked_about_where_none_is_armed() -> None:
    assert [name for name, condition in placed() if not re.match(r"ARMED\b(?! or)", condition)] == []


def test_a_process_that_was_not_told_reaches_none(tmp_path: Path) -> None:
    assert not ARMED
    plain = python("-c", A_WHOLE_LIFE, str(tmp_path / "plain"))
    assert (plain.returncode, plain.stdout) == (0, "[]\n"), plain.stderr
    # The same life, armed where it never comes by, passes most of them.
    armed = python("-c", A_WHOLE_LIFE, str(tmp_path / "armed"), failpoints="sweep-before-takeover=raise")
    assert armed.returncode == 0, armed.stderr
    on_the_way = {point for point in Failpoint if not point.startswith(("sweep-", "before-"))}
    assert on_the_way <= set(ast.literal_eval(armed.stdout))


@pytest.mark.parametrize("text", ["", " ", ","])
def test_nothing_arms_nothing(text: str) -> None:
    assert not parse(text)


def test_what_is_asked_for_happens_at_its_time() -> None:
    script = (
        "from bgrs_middleware.failpoints import ARMED, Failpoint, FailpointReached, reach\n"
        "assert ARMED\n"
        "reach(Failpoint.BEFORE_RENEW); reach(Failpoint.SWEEP_ABANDONED_READ)\n"
        "try: reach(Failpoint.BEFORE_RENEW)\n"
        "except FailpointReached as error: print(error, flush=True)\n"
        "reach(Failpoint.BEFORE_RENEW); reach(Failpoint.SEALED_BEFORE_FINISH)\n"
        "print('still here', flush=True)\n"
    )
    done = python("-c", script, failpoints="before-renew=raise#2, sealed-before-finish=kill")
    assert (done.stdout, done.returncode) == ("the failpoint before-renew was reached\n", -signal.SIGKILL), done.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sealed-before-finish", "'sealed-before-finish' is not of the form name=action"),
        ("before-renew=kill#0", "'before-renew=kill#0' is not of the form"),
        ("before-renew=kill before-sweep=kill", "is not of the form"),
        ("before-lunch=kill", "there is no failpoint 'before-lunch', but accept-before-commit, "),
        ("before-renew=explode", "'explode' is not one of kill, hold, raise"),
        ("before-renew=hold", "'before-renew=hold' needs a file to be named by BGRS_TEST_HOLD"),
        ("before-renew=kill,before-renew=raise", "before-renew is named twice"),
    ],
)
def test_what_cannot_be_understood_is_an_error_that_names_the_variable(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)) as raised:
        parse(text)
    assert str(raised.value).startswith(f"{VARIABLE}: ")


def test_a_server_that_was_told_nonsense_does_not_start() -> None:
    done = python("-c", "import bgrs_middleware.asgi", failpoints="nonsense")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("BGRS_FAILPOINTS: 'nonsense' is not of the form "
                                                 "name=action or name=action#time")  # fmt: skip


def test_the_variable_is_no_setting() -> None:
    assert Settings.from_env(environ={VARIABLE: "before-renew=kill"}) == Settings()
