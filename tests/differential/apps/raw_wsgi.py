"""The plan, followed by an application that has no framework: bare WSGI."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..plan import Plan, encoded, received


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer as the plan says; pieces come from a generator, or through `write()` where the plan has three or more."""
    plan = Plan.load(environ.get("HTTP_X_PLAN"))
    body = environ["wsgi.input"].read()
    echo = encoded(
        received(
            method=environ["REQUEST_METHOD"],
            path=environ["PATH_INFO"],
            query=environ["QUERY_STRING"],
            headers=headers_of(environ),
            body=body,
            script_name=environ["SCRIPT_NAME"],
            scheme=environ["wsgi.url_scheme"],
            client=(environ["REMOTE_ADDR"], environ.get("REMOTE_PORT")),
            server=(environ["SERVER_NAME"], environ["SERVER_PORT"]),
            protocol=environ["SERVER_PROTOCOL"],
            raw_uri=environ.get("RAW_URI", "").partition("?")[0],
        )
    )
    plan.check_before()
    status = f"{plan.status} Whatever"
    headers = list(plan.headers)
    if plan.way in ("whole", "json"):
        start_response(status, headers)
        return [plan.body(echo)]
    length = plan.declared(echo)
    if length is not None:
        headers.append(("Content-Length", str(length)))
    if len(plan.sizes) >= 3:
        write = start_response(status, headers)
        for piece in plan.pieces(echo):
            write(piece)
        return []
    return _late(plan, echo, status, headers, start_response)


def _late(plan: Plan, echo: bytes, status: str, headers: list[tuple[str, str]], start_response: Any) -> Iterator[bytes]:
    """A generator: the response starts at the first iteration only, which PEP 3333 allows."""
    start_response(status, headers)
    yield from plan.pieces(echo)


def headers_of(environ: dict[str, Any]) -> list[tuple[str, str]]:
    """The request headers in an environ; their order is lost there."""
    pairs = [(key[5:].replace("_", "-"), str(value)) for key, value in environ.items() if key.startswith("HTTP_")]
    pairs += [(key.replace("_", "-"), str(environ[key])) for key in ("CONTENT_TYPE",) if key in environ]
    return sorted(pairs)
