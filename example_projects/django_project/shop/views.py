"""The endpoints of a small shop API on Django, under WSGI and ASGI alike.

They know nothing of background requests but `track`, `report_progress` and `cancelled`, which do nothing in an ordinary
call. README.md in the project's folder has the lines that start it, and what to send.
"""

from __future__ import annotations

import csv
import threading
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal, InvalidOperation
from math import ceil

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.views.decorators.http import require_GET, require_POST

from bgrs_middleware import cancelled, report_progress, track

from .rates import rate_book

LOOKUP_SECONDS = 0.005
"""What it takes to look one row up in the catalogue, which this example does not have."""

ROWS_PER_PIECE = 1_000
STEP_SECONDS = 0.1
PRODUCTS = ("kettle", "lamp", "rug", "teapot")


@require_POST
def import_orders(request: HttpRequest) -> HttpResponse:
    """Import orders (columns sku, quantity, price) from CSV, sent as it is or as the file of a form."""
    orders = list(csv.DictReader(uploaded_text(request).splitlines()))
    rejected = []
    for line, order in enumerate(track(orders, f"Importing {len(orders)} orders"), start=2):
        if not work(LOOKUP_SECONDS):
            break
        if (fault := fault_of(order)) is not None:
            rejected.append({"line": line, "fault": fault})
    return JsonResponse({"accepted": len(orders) - len(rejected), "rejected": rejected})


def uploaded_text(request: HttpRequest) -> str:
    if request.content_type == "multipart/form-data":
        if "file" not in request.FILES:
            raise BadRequest('The form needs a field "file".')
        content = request.FILES["file"].read()
    else:
        content = request.body
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("The file is not UTF-8.") from error


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


@require_GET
def sales_report(request: HttpRequest) -> StreamingHttpResponse:
    """Stream a CSV of so many sales, in constant memory."""
    pieces = sales(int(number(request, "rows", 1_000, 10_000_000)))
    # Under ASGI, Django streams only what is asynchronous; it would read anything else into memory first.
    body = asynchronous(pieces) if hasattr(request, "scope") else pieces
    return StreamingHttpResponse(body, content_type="text/csv")


def sales(rows: int) -> Iterator[str]:
    yield "sale,product,quantity\n"
    for first in range(0, rows, ROWS_PER_PIECE):
        last = min(first + ROWS_PER_PIECE, rows)
        yield "".join(f"{sale},{PRODUCTS[sale % 4]},{sale % 7 + 1}\n" for sale in range(first, last))
        report_progress(100 * last / rows)


async def asynchronous(pieces: Iterator[str]) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece


@require_GET
def failing(_: HttpRequest) -> HttpResponse:
    """Fail."""
    raise RuntimeError("The warehouse does not answer.")


@require_GET
def rates(_: HttpRequest) -> HttpResponse:
    """Tell the exchange rates."""
    return JsonResponse(rate_book().all())


@require_GET
def slow(request: HttpRequest) -> HttpResponse:
    """Work for so many seconds, in steps of a tenth or less."""
    seconds = number(request, "seconds", 10, 3_600)
    quarter = max(1, ceil(seconds / 4 / STEP_SECONDS))
    for step in range(4 * quarter):
        percent = 25 * step / quarter
        report_progress(percent, f"{percent:g} % done" if step % quarter == 0 else None)
        if not work(seconds / 4 / quarter):
            break
    return JsonResponse({"worked_seconds": seconds})


def work(seconds: float) -> bool:
    """Do a step of the work. False, at once, where someone cancelled it: a thread cannot be interrupted, it asks."""
    if cancelled():
        return False
    threading.Event().wait(seconds)
    return True


def number(request: HttpRequest, name: str, default: float, most: float) -> float:
    try:
        value = float(request.GET.get(name, default))
    except ValueError:
        value = -1
    if not 0 <= value <= most:
        raise BadRequest(f"{name} takes a number from 0 to {most:g}.")
    return value
