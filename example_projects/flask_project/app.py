"""A small shop API on Flask, with one line that makes each of its endpoints callable in the background.

Nothing else here knows of background requests but `track`, `report_progress` and `cancelled`, which do nothing in an
ordinary call. README.md beside this file has the line that starts it, and what to send.
"""

from __future__ import annotations

import csv
import sqlite3
import threading
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from functools import cache
from math import ceil

from flask import Flask, Response, abort, jsonify, request, stream_with_context

from bgrs_middleware import Settings, cancelled, report_progress, track
from bgrs_middleware.wsgi import BgrsMiddleware

LOOKUP_SECONDS = 0.005
"""What it takes to look one row up in the catalogue, which this example does not have."""

ROWS_PER_PIECE = 1_000
STEP_SECONDS = 0.1
PRODUCTS = ("kettle", "lamp", "rug", "teapot")

app = Flask(__name__)
app.wsgi_app = BgrsMiddleware(app.wsgi_app, settings=Settings.from_env())


class Rates:
    """Exchange rates: a database that all threads of a process share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute("CREATE TABLE rates (currency TEXT, per_euro REAL)")
        self._database.executemany("INSERT INTO rates VALUES (?, ?)", [("GBP", 0.85), ("JPY", 162.5), ("USD", 1.08)])

    def all(self) -> dict[str, float]:
        with self._lock:
            return dict(self._database.execute("SELECT currency, per_euro FROM rates ORDER BY currency"))


@cache
def rate_book() -> Rates:
    """The rates of this process, opened at first use: not before a server that preloads has forked."""
    return Rates()


@app.post("/imports")
def import_orders() -> Response:
    """Import orders (columns sku, quantity, price) from CSV, sent as it is or as the file of a form."""
    orders = list(csv.DictReader(uploaded_text().splitlines()))
    rejected = []
    for line, order in enumerate(track(orders, f"Importing {len(orders)} orders"), start=2):
        if not work(LOOKUP_SECONDS):
            break
        if (fault := fault_of(order)) is not None:
            rejected.append({"line": line, "fault": fault})
    return jsonify(accepted=len(orders) - len(rejected), rejected=rejected)


def uploaded_text() -> str:
    if request.mimetype == "multipart/form-data":
        if "file" not in request.files:
            abort(400, 'The form needs a field "file".')
        content = request.files["file"].read()
    else:
        content = request.get_data()
    try:
        return content.decode()
    except UnicodeDecodeError:
        abort(400, "The file is not UTF-8.")


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
def sales_report() -> Response:
    """Stream a CSV of so many sales, in constant memory."""
    rows = int(number("rows", 1_000, 10_000_000))
    return Response(stream_with_context(sales(rows)), mimetype="text/csv")


def sales(rows: int) -> Iterator[str]:
    yield "sale,product,quantity\n"
    for first in range(0, rows, ROWS_PER_PIECE):
        last = min(first + ROWS_PER_PIECE, rows)
        yield "".join(f"{sale},{PRODUCTS[sale % 4]},{sale % 7 + 1}\n" for sale in range(first, last))
        report_progress(100 * last / rows)


@app.get("/failing")
def failing() -> Response:
    """Fail."""
    raise RuntimeError("The warehouse does not answer.")


@app.get("/rates")
def rates() -> Response:
    """Tell the exchange rates."""
    return jsonify(rate_book().all())


@app.get("/slow")
def slow() -> Response:
    """Work for so many seconds, in steps of a tenth or less."""
    seconds = number("seconds", 10, 3_600)
    quarter = max(1, ceil(seconds / 4 / STEP_SECONDS))
    for step in range(4 * quarter):
        percent = 25 * step / quarter
        report_progress(percent, f"{percent:g} % done" if step % quarter == 0 else None)
        if not work(seconds / 4 / quarter):
            break
    return jsonify(worked_seconds=seconds)


def work(seconds: float) -> bool:
    """Do a step of the work. False, at once, where someone cancelled it: a thread cannot be interrupted, it asks."""
    if cancelled():
        return False
    threading.Event().wait(seconds)
    return True


def number(name: str, default: float, most: float) -> float:
    try:
        value = float(request.args.get(name, default))
    except ValueError:
        value = -1
    if not 0 <= value <= most:
        abort(400, f"{name} takes a number from 0 to {most:g}.")
    return value
