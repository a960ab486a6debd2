"""The plan, followed with Starlette's responses."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ..plan import Plan, encoded, received
from .methods import METHODS


def make_app(folder: str) -> Starlette:
    """An application whose files are in this folder."""

    async def answer(request: Request) -> Response:
        return await answer_as_planned(request, folder)

    return Starlette(routes=[Route("/{path:path}", answer, methods=METHODS)])


async def answer_as_planned(request: Request, folder: str) -> Response:
    """Answer as the plan says."""
    plan = Plan.load(request.headers.get("x-plan"))
    content = await echo_of(request)
    plan.check_before()
    response = _response(plan, content, folder)
    for name, value in plan.headers:
        response.raw_headers.append((name.encode("latin-1"), value.encode("latin-1")))
    return response


async def echo_of(request: Request) -> dict[str, object]:
    """What a handler sees of its request."""
    return received(
        method=request.method,
        path=request.url.path,
        query=request.scope["query_string"].decode("latin-1"),
        headers=request.headers.items(),
        body=await request.body(),
        parameters=request.query_params.multi_items(),
        cookies=request.cookies,
        client=request.client,
        base_url=str(request.base_url),
    )


def _response(plan: Plan, content: dict[str, Any], folder: str) -> Response:
    echo = encoded(content)
    if plan.way == "json":
        return JSONResponse(content, status_code=plan.status)
    if plan.way == "file":
        path = os.path.join(folder, f"{plan.sizes[0] if plan.sizes else 0}.bin")
        return FileResponse(path, status_code=plan.status, filename="a file.bin")
    if plan.way == "stream":
        length = plan.declared(echo)
        headers = {} if length is None else {"content-length": str(length)}
        return StreamingResponse(_pieces(plan, echo), status_code=plan.status, headers=headers)
    return Response(plan.body(echo), status_code=plan.status)


async def _pieces(plan: Plan, echo: bytes) -> AsyncIterator[bytes]:
    for piece in plan.pieces(echo):
        yield piece
