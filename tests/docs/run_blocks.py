"""Runs the Python blocks that it is given (JSON on standard input), each in a namespace of its own.

A program of its own, because a block may set up Django or write files. A block that says in its first line for which
framework it is finds an application of that framework in `app`, as its reader would have one.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def app_for(first_line: str) -> list[Any]:
    """The applications that stand for the reader's; each block is run with each."""
    if "FastAPI, Starlette" in first_line:
        from fastapi import FastAPI
        from starlette.applications import Starlette

        return [FastAPI(), Starlette()]
    if "Flask" in first_line:
        from flask import Flask

        return [Flask("reader")]
    return [None]


def main() -> None:
    for name, text in json.load(sys.stdin):
        for app in app_for(text.partition("\n")[0]):
            namespace = {"__name__": "block", "app": app}
            exec(compile(text, name, "exec"), namespace)


if __name__ == "__main__":
    main()
