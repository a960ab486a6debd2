"""The example API of the demo: one report that takes as long as it is told to.

An ordinary Starlette application with the one line. `report_progress` is all that it knows of background requests.
"""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bgrs_middleware import Settings, report_progress
from bgrs_middleware.asgi import BgrsMiddleware

STEPS = ("Reading the orders", "Converting currencies", "Adding up", "Writing the report")
PARTS_PER_STEP = 25
REPORT = "region,orders,revenue\nnorth,1204,88310.50\nsouth,987,71266.20\nwest,1530,120904.75\n"


async def yearly_report(request: Request) -> Response:
    """Work for `seconds` (default 10), and answer with a CSV."""
    try:
        seconds = float(request.query_params.get("seconds", "10"))
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= 3_600:
        raise HTTPException(400, "seconds takes a number from 0 to 3600.")
    parts = len(STEPS) * PARTS_PER_STEP
    for part in range(parts):
        report_progress(100 * part / parts, STEPS[part // PARTS_PER_STEP])
        await asyncio.sleep(seconds / parts)
    return PlainTextResponse(REPORT, media_type="text/csv")


async def failing(_: Request) -> Response:
    """Fail: the result of this one is the 500."""
    raise RuntimeError("The warehouse does not answer.")


def make_app(data_dir: str) -> Starlette:
    """Return the API, with its background requests kept in this folder."""
    app = Starlette(routes=[Route("/report", yearly_report), Route("/failing", failing)])
    # A demo ends when it is told to, whatever still runs, and the little it writes fits on any disk.
    settings = Settings(data_dir=data_dir, drain_seconds=0, min_free_bytes=0)
    # The one line.
    app.add_middleware(BgrsMiddleware, settings=settings)
    return app
