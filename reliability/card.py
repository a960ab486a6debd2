"""The card: one line for each promise that was tried, with N, the failures, and what follows from them.

No failure in N tries does not mean that there is none: with 95 % confidence the true rate is then below 3/N (the rule
of three; Hanley and Lippman-Hand, JAMA 249, 1983). What could not be tried is said, and is not a pass.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
MOST_REMARKS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line. `n` is 0 where it could not be tried; `note` then says why."""

    fault: str
    n: int
    failures: int
    note: str

    @property
    def verdict(self) -> str:
        """The bound on the true rate, or why there is none."""
        if self.n == 0:
            return "NOT RUN"
        return "FAILED" if self.failures else f"< {min(1.0, 3 / self.n):.2g}"


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Card:
    """Collects the lines of all faults; each is said as it comes. From any thread.

    Parameters:
        say: where it is said.
    """

    def __init__(self, say: Callable[[str], None] = say) -> None:
        self.lines: list[Line] = []
        self._say = say

    def line(self, fault: str, *, n: int, failures: int, note: str = "") -> None:
        """Write a line.

        Parameters:
            fault: what was done and what must hold, in a few words.
            n: how often that was tried, at least 1.
            failures: how often it did not hold.
            note: what else is worth knowing, such as times.
        """
        if not 0 <= failures <= n or n < 1:
            raise ValueError(f"{fault}: {failures} failures of {n} is no count")
        self._add(Line(fault=fault, n=n, failures=failures, note=note))

    def not_run(self, fault: str, reason: str) -> None:
        """Write a line for what could not be tried on this machine."""
        self._add(Line(fault=fault, n=0, failures=0, note=reason))

    def remark(self, text: str) -> None:
        """Say what is no line: what a failure looked like, how far it has come."""
        self._say(f"    {text}")

    def remarks(self, texts: Sequence[str]) -> None:
        """Say what several failures looked like, and only how many more there are where they are many."""
        for text in texts[:MOST_REMARKS]:
            self.remark(text)
        if len(texts) > MOST_REMARKS:
            self.remark(f"and {len(texts) - MOST_REMARKS:,} more")

    @property
    def failed(self) -> list[Line]:
        """The lines that did not hold."""
        return [line for line in self.lines if line.failures]

    def table(self) -> None:
        """Say all lines as one Markdown table."""
        self._say(f"\ncommit {commit()}\n\n| fault | N | failures | true rate (95 %) | |\n|---|---:|---:|---:|---|")
        for line in self.lines:
            self._say(f"| {line.fault} | {line.n:,} | {line.failures:,} | {line.verdict} | {line.note} |")
        skipped = sum(line.n == 0 for line in self.lines)
        self._say(f"\n{len(self.failed)} of {len(self.lines)} lines failed" + (f", {skipped} not run" * bool(skipped)))

    def _add(self, line: Line) -> None:
        self.lines.append(line)
        note = f"  ({line.note})" if line.note else ""
        self._say(f"  {line.fault}: {line.failures:,} of {line.n:,} failed, {line.verdict}{note}")


def spread(seconds: Iterable[float]) -> str:
    """Durations in words: the median, the 99th percentile (nearest rank) and the longest."""
    ordered = sorted(seconds)
    if not ordered:
        return "never seen"
    median, late = (ordered[-(-len(ordered) * percent // 100) - 1] for percent in (50, 99))
    return f"p50 {median:.2f} s, p99 {late:.2f} s, longest {ordered[-1]:.2f} s"


def commit() -> str:
    """The commit that is tried, with a "+" where files differ from it; "unknown" outside a repository."""
    try:
        found = _git("rev-parse", "--short=12", "HEAD")
        return found + "+" * bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
