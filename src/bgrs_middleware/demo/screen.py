"""What the demo shows: what was sent, what came back, and a bar while the work runs.

On a terminal the bar moves in place; anywhere else each step of it is a line, so that a log can be read too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

STEP_PERCENT = 25
SHOWN_HEADERS = ("content-type", "location", "retry-after")


class Screen:
    """Writes to a stream.

    Parameters:
        stream: None for this process's stdout.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._console = Console(file=stream, highlight=False)

    def say(self, text: str = "", *, style: str | None = None) -> None:
        """Write lines as they are: nothing wrapped, nothing taken for markup."""
        self._console.print(text, style=style, markup=False, soft_wrap=True)

    def title(self, text: str) -> None:
        """Begin a step of the story."""
        self.say()
        self.say(text, style="bold")

    def sent(self, method: str, url: str, remark: str = "") -> None:
        """Show a request."""
        self.say(f"  > {method} {url}{f'   {remark}' if remark else ''}", style="cyan")

    def came_back(self, response: httpx.Response, seconds: float) -> None:
        """Show a response."""
        style = "green" if response.status_code < 400 else "red"
        self.say(f"  < {response.status_code} {response.reason_phrase}   after {seconds:.1f} s", style=style)
        for name in SHOWN_HEADERS:
            if name in response.headers:
                self.say(f"    {name.title()}: {response.headers[name]}")
        self.body(response.text)

    def body(self, text: str) -> None:
        """Show what a response contains."""
        for line in text.rstrip("\n").split("\n"):
            self.say(f"    {line}")

    @contextmanager
    def bar(self) -> Iterator[Bar]:
        """A progress bar while the block runs."""
        if not self._console.is_terminal:
            yield Lines(self)
            return
        columns = (
            TextColumn("    {task.description}", markup=False),
            BarColumn(40),
            TaskProgressColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as progress:
            yield Moving(self, progress)


class Bar:
    """Progress of one background request."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def move(self, state: str, percent: float) -> None:
        """Show where the request stands."""
        raise NotImplementedError

    def detail(self, text: str) -> None:
        """Show a line of its history."""
        self._screen.say(f"    {text}")


class Moving(Bar):
    """A bar on a terminal."""

    def __init__(self, screen: Screen, progress: Progress) -> None:
        super().__init__(screen)
        self._progress = progress
        self._task = progress.add_task("", total=100)

    def move(self, state: str, percent: float) -> None:
        self._progress.update(self._task, description=state, completed=percent)


class Lines(Bar):
    """One line for each quarter of the way, where nothing can move."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(screen)
        self._shown: tuple[str, float] | None = None

    def move(self, state: str, percent: float) -> None:
        step = (state, percent // STEP_PERCENT)
        if step != self._shown:
            self._shown = step
            self._screen.say(f"    {state} {percent:.0f} %")
