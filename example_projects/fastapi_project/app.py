"""A small shop API on FastAPI, with one line that makes each of its endpoints callable in the background.

Nothing else here knows of background requests but `track`, `report_progress` and `cancelled`, which do nothing in an
ordinary call. README.md beside this file has the line that starts it, and what to send.
"""

from __future__ import annotations

import asyncio
import csv
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal, InvalidOperation
from math import ceil
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from bgrs_middleware import Settings, cancelled, report_progress, track
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


class Rejected(BaseModel):
    line: int
    fault: str


class Imported(BaseModel):
    accepted: int
    rejected: list[Rejected]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    rates = Rates()
    yield {"rates": rates}
    rates.close()


app = FastAPI(title="Shop", lifespan=lifespan)
app.add_middleware(BgrsMiddleware, settings=Settings.from_env())


async def uploaded_orders(request: Request) -> list[dict[str, str | None]]:
    """The rows of a CSV that was sent as it is, or as the file of a form."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        upload = (await request.form()).get("file")
        if not isinstance(upload, UploadFile):
            raise HTTPException(400, 'The form needs a field "file".')
        content = await upload.read()
    else:
        content = await request.body()
    try:
        return list(csv.DictReader(content.decode().splitlines()))
    except UnicodeDecodeError as error:
        raise HTTPException(400, "The file is not UTF-8.") from error


@app.post("/imports")
def import_orders(orders: Annotated[list[dict[str, str | None]], Depends(uploaded_orders)]) -> Imported:
    """Import orders (columns sku, quantity, price). FastAPI runs it in a thread, because it is no coroutine."""
    rejected = []
    for line, order in enumerate(track(orders, f"Importing {len(orders)} orders"), start=2):
        # A thread cannot be interrupted; it has to ask.
        if cancelled():
            break
        time.sleep(LOOKUP_SECONDS)
        if (fault := fault_of(order)) is not None:
            rejected.append(Rejected(line=line, fault=fault))
    return Imported(accepted=len(orders) - len(rejected), rejected=rejected)


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


@app.get("/reports/sales.csv")
def sales_report(rows: Annotated[int, Query(ge=0, le=10_000_000)] = 1_000) -> StreamingResponse:
    """Stream a CSV of so many sales, in constant memory."""
    return StreamingResponse(sales(rows), media_type="text/csv")


def sales(rows: int) -> Iterator[str]:
    yield "sale,product,quantity\n"
    for first in range(0, rows, ROWS_PER_PIECE):
        last = min(first + ROWS_PER_PIECE, rows)
        yield "".join(f"{sale},{PRODUCTS[sale % 4]},{sale % 7 + 1}\n" for sale in range(first, last))
        report_progress(100 * last / rows)


@app.get("/failing")
def failing() -> None:
    """Fail."""
    raise RuntimeError("The warehouse does not answer.")


@app.get("/rates")
async def rates(request: Request) -> dict[str, float]:
    """Tell the exchange rates."""
    book: Rates = request.state.rates
    return await book.all()


@app.get("/slow")
async def slow(seconds: Annotated[float, Query(ge=0, le=3_600)] = 10) -> dict[str, float]:
    """Work for so many seconds, in steps of a tenth or less. Who cancels it stops it at once."""
    quarter = max(1, ceil(seconds / 4 / STEP_SECONDS))
    for step in range(4 * quarter):
        percent = 25 * step / quarter
        report_progress(percent, f"{percent:g} % done" if step % quarter == 0 else None)
        await asyncio.sleep(seconds / 4 / quarter)
    return {"worked_seconds": seconds}
