"""Plays the `console` blocks of a page against a real server: each `$ curl ...` line is sent, its output compared.

Ids, times and the server's port differ from run to run. An id stands for the one that came in its place first; times,
`id` and an unfinished `progress` for any of their form; a line `...` for any lines. After `curl -i` the headers that a
page shows must be there; it need not show all of them. No `curl` is needed: the few options that the pages use are
understood here, any other fails.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Any

import httpx

SHOWN_BASE = "http://127.0.0.1:8000"
WAIT_SECONDS = 60.0
ATTEMPTS = 200
JSON_TOOL = " | python -m json.tool"

_RID = re.compile(r"[0-9a-f]{32}")
_VARIABLE = (
    (re.compile(r"\d{4}\\-\d\d\\-\d\d\\ \d\d:\d\d:\d\d"), r"\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d"),
    (re.compile(r'"id":\\ "\d+"'), r'"id": "\\d+"'),
    (re.compile(r'"progress":\\ "(?!100)\d+\\\.\d\d"'), r'"progress": "\\d+\\.\\d\\d"'),
)
_ANY_LINES = re.compile(r"^(?:\\ )*\\\.\\\.\\\.$\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command, and what the page shows after it."""

    command: str
    shown: str


def steps(text: str) -> list[Step]:
    """The commands of one block. A line that ends with a backslash goes on in the next."""
    found: list[tuple[str, list[str]]] = []
    for line in text.replace("\\\n", "").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [Step(command=command, shown="\n".join(shown).rstrip()) for command, shown in found]


@dataclass(slots=True)
class Console:
    """A reader at a terminal, with the server of the page at `base_url`; `rids` are the ids seen so far."""

    base_url: str
    rids: dict[str, str] = field(default_factory=dict)

    def play(self, step: Step) -> None:
        """Send the command and compare; a status that still moves is asked for until it is the one shown."""
        command = self._with_real_ids(step.command)
        self._until_claimed(command)
        attempts = ATTEMPTS if '"status_name": "running"' in step.shown else 1
        for _ in range(attempts):
            output = self._output(command, step.shown)
            if (found := self._pattern(step.shown).fullmatch(output)) is not None:
                self.rids.update({name.removeprefix("rid_"): rid for name, rid in found.groupdict().items()})
                return
        raise AssertionError(f"$ {step.command}\nshown:\n{step.shown}\n\ncame:\n{output}")

    def _with_real_ids(self, command: str) -> str:
        def real(found: re.Match[str]) -> str:
            assert found[0] in self.rids, f"no earlier command gave the id in: {command}"
            return self.rids[found[0]]

        return _RID.sub(real, command)

    def _until_claimed(self, command: str) -> None:
        """Nobody types as fast as a test: a reader's request runs before the next command is sent."""
        for rid in _RID.findall(command):
            url = f"{self.base_url}/bgrs/{rid}"
            while (response := httpx.get(url, trust_env=False, timeout=WAIT_SECONDS)).status_code == 200:
                if response.json()[0]["status_name"] != "queued":
                    break

    def _output(self, command: str, shown: str) -> str:
        plain = command.removesuffix(JSON_TOOL)
        response, with_head, is_thrown_away = self._curl(shlex.split(plain))
        body = "" if is_thrown_away else response.text
        if command.endswith(JSON_TOOL):
            body = json.dumps(json.loads(body), indent=4)
        if with_head:
            body = "\n".join([*_head(response, shown), "", body])
        elif not is_thrown_away:
            assert response.status_code < 500, body
        return body.rstrip()

    def _curl(self, words: list[str]) -> tuple[httpx.Response, bool, bool]:
        assert words.pop(0) == "curl"
        request: dict[str, Any] = {"method": None, "headers": {}}
        with_head = is_thrown_away = False
        while words:
            word = words.pop(0)
            if word == "-i":
                with_head = True
            elif word == "-X":
                request["method"] = words.pop(0)
            elif word == "-H":
                name, _, value = words.pop(0).partition(": ")
                request["headers"][name] = value
            elif word == "-d":
                request["content"] = words.pop(0)
                request["headers"].setdefault("Content-Type", "application/x-www-form-urlencoded")
            elif word == "-o":
                is_thrown_away = words.pop(0) == "/dev/null"
            elif word != "-s":
                assert word.startswith(SHOWN_BASE), f"not understood: {word}"
                request["url"] = self.base_url + word.removeprefix(SHOWN_BASE)
        request["method"] = request["method"] or ("POST" if "content" in request else "GET")
        return httpx.request(**request, trust_env=False, timeout=WAIT_SECONDS), with_head, is_thrown_away

    def _pattern(self, shown: str) -> re.Pattern[str]:
        pattern = re.escape(shown.replace(SHOWN_BASE, self.base_url))
        pattern = pattern.replace("\\\n", "\n")
        for form, anything in _VARIABLE:
            pattern = form.sub(anything, pattern)
        pattern = _ANY_LINES.sub(r"[\\s\\S]*?", pattern)
        return re.compile(_RID.sub(self._rid_pattern(), pattern))

    def _rid_pattern(self) -> Any:
        new: set[str] = set()

        def pattern(found: re.Match[str]) -> str:
            rid = found[0]
            if rid in self.rids:
                return self.rids[rid]
            if rid in new:
                return f"(?P=rid_{rid})"
            new.add(rid)
            return f"(?P<rid_{rid}>[0-9a-f]{{32}})"

        return pattern


def _head(response: httpx.Response, shown: str) -> list[str]:
    """The status line, and those headers that are shown."""
    status_line, shown_line = f"HTTP/1.1 {response.status_code} ", shown.partition("\n")[0]
    # The words after the code differ between versions of Python; clients ignore them (RFC 9112, section 4).
    lines = [shown_line if shown_line.startswith(status_line) else status_line + response.reason_phrase]
    for line in shown.splitlines()[1:]:
        name, colon, _ = line.partition(": ")
        if not colon or " " in name:
            break
        lines.append(f"{name}: {response.headers.get(name)}")
    return lines
