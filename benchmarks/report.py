"""What is printed: figures as they come, each beside its target, and one table of them all at the end.

A figure that misses its target says so in words; nothing here makes the command fail, because a busy machine is no
fault of the code.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A bound on a figure: at least (`at_least=True`) or at most `bound`, in the figure's own unit."""

    bound: float
    at_least: bool
    text: str

    def is_met(self, value: float) -> bool:
        """Whether a value is within the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


def at_least(bound: float) -> Target:
    """A target for a figure that should be large."""
    return Target(bound=bound, at_least=True, text=f"at least {bound:g}")


def at_most(bound: float, unit: str = "") -> Target:
    """A target for a figure that should be small."""
    return Target(bound=bound, at_least=False, text=f"at most {bound:g}{f' {unit}' if unit else ''}")


class Report:
    """Prints figures, and keeps them for the table."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str]] = []

    def title(self, text: str) -> None:
        """Begin a part."""
        say(f"\n{text}")

    def figure(self, name: str, shown: str, value: float | None = None, target: Target | None = None) -> None:
        """Print one figure.

        Parameters:
            name: what was measured.
            shown: the figure with its unit.
            value, target: the number that is compared with the target, and the target, where there is one.
        """
        verdict = ""
        if target is not None and value is not None:
            verdict = f"{target.text}: {'met' if target.is_met(value) else 'MISSED'}"
        say(f"  {name:<66}{shown:>18}   {verdict}".rstrip())
        self._rows.append((name, shown, verdict))

    def remark(self, text: str) -> None:
        """Print a line that is no figure."""
        say(f"  {text}")

    def table(self) -> None:
        """Print all figures as one Markdown table, and how many targets were missed."""
        say("\n| figure | measured | target |\n|---|---:|---|")
        for row in self._rows:
            say(f"| {' | '.join(row)} |")
        missed = sum(verdict.endswith("MISSED") for _, _, verdict in self._rows)
        judged = sum(bool(verdict) for _, _, verdict in self._rows)
        say(
            f"\n{judged - missed} of {judged} targets met." if not missed else f"\n{missed} of {judged} targets MISSED."
        )


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def median_ratio(values: Sequence[float], references: Sequence[float]) -> float:
    """The median of the ratios of neighbours: what was measured one after the other drifted together."""
    return median(value / reference for value, reference in zip(values, references, strict=True))
