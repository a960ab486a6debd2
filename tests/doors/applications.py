"""One application in two colours: bare ASGI and bare WSGI, both doing what the path of a request says, step by step.

`/do/progress:25:reading/gate:a/ask` reports progress, waits at the gate `a`, asks whether it was cancelled, and answers
with what its steps found, as JSON. `length:100/send:40/gate:a/send:60` streams instead. Every other path answers as the
plan in the request's header says (`differential.plan`), with an echo of the request.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from bgrs_middleware import cancelled, current_request, report_item, report_progress, track
from differential.apps import raw_asgi, raw_wsgi

from .stage import Stage

JSON_HEADERS = ((b"content-type", b"application/json"),)


def take(step: str, stage: Stage) -> object:
    """Do one step that needs no waiting and no response; returns what it found, or None.

    Raises:
        KeyError: there is no such step.
    """
    name, *words = unquote(step).split(":")
    if name == "progress":
        report_progress(float(words[0]), *words[1:])
    elif name == "item":
        report_item(*words)
    elif name == "track":
        return list(track(range(int(words[0])), *words[1:]))
    elif name == "ask":
        return cancelled()
    elif name == "me":
        run = current_request()
        return None if run is None else {"rid": run.rid, "attempt": run.attempt, "method": run.method, "name": run.name}
    elif name == "log":
        logging.getLogger(words[0]).log(getattr(logging, words[1]), words[2])
    elif name == "see":
        stage.seen.append(words[0])
    elif name == "raise":
        raise ValueError(" ".join(words))
    else:
        raise KeyError(name)
    return None


def steps_of(path: str) -> list[str] | None:
    """The steps in a path, or None where the plan decides."""
    head, found, rest = path.partition("/do/")
    return rest.split("/") if found and "/" not in head.strip("/") else None


def as_json(found: Iterable[object]) -> bytes:
    """The answer of an application that did not stream."""
    return json.dumps([each for each in found if each is not None]).encode()


class AsgiApplication:
    """The ASGI one."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        steps = steps_of(scope["path"]) if scope["type"] == "http" else None
        if steps is None:
            await raw_asgi.app(scope, receive, send)
            return
        found: list[object] = []
        streams = False
        for step in steps:
            name, _, word = step.partition(":")
            if name == "gate":
                await self._gate(word)
            elif name == "stubborn":
                await self._stubborn(word)
            elif name == "thread":
                found.append(await asyncio.to_thread(take, word.replace("=", ":"), self.stage))
            elif name == "length":
                streams = True
                headers = [(b"content-length", word.encode()), (b"content-type", b"text/plain")]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
            elif name == "send":
                await send({"type": "http.response.body", "body": b"x" * int(word), "more_body": True})
            else:
                found.append(take(step, self.stage))
        if not streams:
            await send({"type": "http.response.start", "status": 200, "headers": list(JSON_HEADERS)})
        await send({"type": "http.response.body", "body": b"" if streams else as_json(found)})

    async def _gate(self, name: str) -> None:
        try:
            await self.stage.gate(name).pass_through_async()
        except asyncio.CancelledError:
            self.stage.seen.append(f"CancelledError at {name}")
            raise

    async def _stubborn(self, name: str) -> None:
        """A gate that goes on waiting when it is cancelled, as a handler does that cleans up for a while."""
        try:
            await self._gate(name)
        except asyncio.CancelledError:
            await self.stage.gate(f"{name}-cleanup").pass_through_async()
            raise


class WsgiApplication:
    """The WSGI one."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        steps = steps_of(environ["PATH_INFO"])
        if steps is None:
            return raw_wsgi.app(environ, start_response)
        return self._take(steps, start_response)

    def _take(self, steps: list[str], start_response: Any) -> Iterator[bytes]:
        found: list[object] = []
        streams = False
        for step in steps:
            name, _, word = step.partition(":")
            if name in ("gate", "stubborn"):
                self.stage.gate(word).pass_through()
            elif name == "thread":
                found.append(take(word.replace("=", ":"), self.stage))
            elif name == "length":
                streams = True
                start_response("200 OK", [("content-length", word), ("content-type", "text/plain")])
            elif name == "send":
                yield b"x" * int(word)
            else:
                found.append(take(step, self.stage))
        if not streams:
            start_response("200 OK", [(name.decode(), value.decode()) for name, value in JSON_HEADERS])
            yield as_json(found)
