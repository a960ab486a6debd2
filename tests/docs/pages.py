"""The pages of the documentation, their fenced blocks and their tables, for the tests that hold them to the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w/]+\.py)\n")
# A bar inside code (`a|b`) does not occur in these tables.
_ROW = re.compile(r"^\|(.+)\|$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block. `file` is the name that its first line gives it, where it is a file of an example."""

    page: str
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        found = _FILE.match(self.text)
        return None if found is None else found[1]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def text_of(page: str) -> str:
    return PAGES[page].read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[Block]:
    """The blocks of a page in these languages, in order."""
    text = text_of(page)
    return [
        Block(page=page, line=text[: found.start()].count("\n") + 2, language=found[1], text=found[2])
        for found in _FENCE.finditer(text)
        if found[1] in languages
    ]


def rows(page: str) -> Iterator[list[str]]:
    """The cells of all rows of all tables of a page."""
    for found in _ROW.finditer(text_of(page)):
        yield [cell.strip() for cell in found[1].split("|")]


def write_files(page: str, folder: Path) -> None:
    """Put the files of a page's example where a reader would."""
    for block in blocks(page, "python"):
        if block.file is not None:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
