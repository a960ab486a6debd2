"""The plan, followed with FastAPI: a typed route with dependencies and a returned dict, plain functions for streams."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse

from ..plan import Plan, encoded
from .methods import METHODS
from .with_starlette import echo_of


async def plan_of(x_plan: Annotated[str | None, Header()] = None) -> Plan:
    """The plan, as a dependency."""
    return Plan.load(x_plan)


def make_app(folder: str) -> FastAPI:
    """An application whose files are in this folder."""
    app = FastAPI(openapi_url=None)

    @app.api_route("/{path:path}", methods=METHODS, response_model=None)
    async def answer(
        path: str,
        request: Request,
        response: Response,
        plan: Annotated[Plan, Depends(plan_of)],
        a: Annotated[list[str] | None, Query()] = None,
        limit: int | None = None,
    ) -> Any:
        content = await echo_of(request) | {"route": path, "a": a, "limit": limit}
        plan.check_before()
        if plan.way == "json":
            response.status_code = plan.status
            _add(plan, response)
            return content
        made = _response(plan, encoded(content), folder)
        _add(plan, made)
        return made

    return app


def _add(plan: Plan, response: Response) -> None:
    for name, value in plan.headers:
        response.raw_headers.append((name.encode("latin-1"), value.encode("latin-1")))


def _response(plan: Plan, echo: bytes, folder: str) -> Response:
    if plan.way == "file":
        return FileResponse(os.path.join(folder, f"{plan.sizes[0] if plan.sizes else 0}.bin"), status_code=plan.status)
    if plan.way == "stream":
        length = plan.declared(echo)
        headers = {} if length is None else {"content-length": str(length)}
        # A plain generator: Starlette iterates it in its thread pool.
        return StreamingResponse(_pieces(plan, echo), status_code=plan.status, headers=headers)
    return Response(plan.body(echo), status_code=plan.status)


def _pieces(plan: Plan, echo: bytes) -> Iterator[bytes]:
    yield from plan.pieces(echo)
