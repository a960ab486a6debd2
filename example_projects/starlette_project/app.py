"""A small shop API on Starlette, with one line that makes each of its endpoints callable in the background.

Nothing else here knows of background requests but `track` and `report_progress`, which do nothing in an ordinary call.
README.md beside this file has the line that starts it, and what to send.
"""

from __future__ import annotations

import asyncio
import csv
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal, InvalidOperation
from math import ceil
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from bgrs_middleware import Settings, report_progress, track
from bgrs_middleware.asgi import BgrsMiddleware

LOOKUP_SECONDS = 0.005
"""What it takes to look one row up in the catalogue, which this example does not have."""

ROWS_PER_PIECE = 1_000
STEP_SECONDS = 0.1
PRODUCTS = ("kettle", "lamp", "rug", "teapot")


class Rates:
    """Exchange rates: a database opened at startup, and a lock that belongs to the running event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._database = sqlite3.connect(":memory:")
        self._database.execute("CREATE TABLE rates (currency TEXT, per_euro REAL)")
        self._database.executemany("INSERT INTO rates VALUES (?, ?)", [("GBP", 0.85), ("JPY", 162.5), ("USD", 1.08)])

    async def all(self) -> dict[str, float]:
        async with self._lock:
            return dict(self._database.execute("SELECT currency, per_euro FROM rates ORDER BY currency"))

    def close(self) -> None:
        self._database.close()


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
    rates = Rates()
    yield {"rates": rates}
    rates.close()


async def import_orders(request: Request) -> Response:
    """Import orders (columns sku, quantity, price) from CSV, sent as it is or as the file of a form."""
    orders = list(csv.DictReader((await uploaded_text(request)).splitlines()))
    rejected = []
    for line, order in enumerate(track(orders, f"Importing {len(orders)} orders"), start=2):
        await asyncio.sleep(LOOKUP_SECONDS)
        if (fault := fault_of(order)) is not None:
            rejected.append({"line": line, "fault": fault})
    return JSONResponse({"accepted": len(orders) - len(rejected), "rejected": rejected})


async def uploaded_text(request: Request) -> str:
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        upload = (await request.form()).get("file")
        if not isinstance(upload, UploadFile):
            raise HTTPException(400, 'The form needs a field "file".')
        content = await upload.read()
    else:
        content = await request.body()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise HTTPException(400, "The file is not UTF-8.") from error


def fault_of(order: dict[str, str | None]) -> str | None:
    """What is wrong with an order; None where nothing is."""
    if not order.get("sku"):
        return "sku is missing"
    try:
        if int(order.get("quantity") or "") < 1 or Decimal(order.get("price") or "") < 0:
            return "quantity or price is too small"
    except (ValueError, InvalidOperation):
        return "quantity or price is not a number"
    return None


async def sales_report(request: Request) -> Response:
    """Stream a CSV of so many sales, in constant memory."""
    rows = int(number(request, "rows", 1_000, 10_000_000))
    return StreamingResponse(sales(rows), media_type="text/csv")


async def sales(rows: int) -> AsyncIterator[str]:
    yield "sale,product,quantity\n"
    for first in range(0, rows, ROWS_PER_PIECE):
        last = min(first + ROWS_PER_PIECE, rows)
        yield "".join(f"{sale},{PRODUCTS[sale % 4]},{sale % 7 + 1}\n" for sale in range(first, last))
        report_progress(100 * last / rows)


async def failing(_: Request) -> Response:
    """Fail."""
    raise RuntimeError("The warehouse does not answer.")


async def rates(request: Request) -> Response:
    """Tell the exchange rates."""
    return JSONResponse(await request.state.rates.all())


async def slow(request: Request) -> Response:
    """Work for so many seconds, in steps of a tenth or less. Who cancels it stops it at once."""
    seconds = number(request, "seconds", 10, 3_600)
    quarter = max(1, ceil(seconds / 4 / STEP_SECONDS))
    for step in range(4 * quarter):
        percent = 25 * step / quarter
        report_progress(percent, f"{percent:g} % done" if step % quarter == 0 else None)
        await asyncio.sleep(seconds / 4 / quarter)
    return JSONResponse({"worked_seconds": seconds})


def number(request: Request, name: str, default: float, most: float) -> float:
    try:
        value = float(request.query_params.get(name, default))
    except ValueError:
        value = -1
    if not 0 <= value <= most:
        raise HTTPException(400, f"{name} takes a number from 0 to {most:g}.")
    return value


app = Starlette(
    routes=[
        Route("/imports", import_orders, methods=["POST"]),
        Route("/reports/sales.csv", sales_report),
        Route("/failing", failing),
        Route("/rates", rates),
        Route("/slow", slow),
    ],
    middleware=[Middleware(BgrsMiddleware, settings=Settings.from_env())],
    lifespan=lifespan,
)
