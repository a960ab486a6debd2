"""Datasette behind uvicorn, unmodified: a CSV export of 200,000 rows, and its pages, plainly and in the background."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from servers import serve

from .clients import Client

ROWS = 200_000
# Datasette tells how long its queries took.
TOOK = rb'"query_ms": [0-9.]+|Queries took\s+[0-9.]+ms'
EXPORT = "/shop/orders.csv?_stream=on&_size=max"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("datasette")
    database = folder / "shop.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, amount REAL, note TEXT)")
        connection.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?)",
            ((row, f"customer {row % 977}", row / 8, f'"№ {row}", paid') for row in range(1, ROWS + 1)),
        )
    with (
        serve(
            "uvicorn",
            "datasette_app:app",
            folder=Path(__file__).parent / "apps",
            data_dir=folder / "data",
            env={"TEST_DATABASE": str(database)},
        ) as server,
        Client(server.url) as client,
    ):
        yield client


def test_a_csv_export_of_200_000_rows_is_captured_whole(client: Client) -> None:
    plain, _ = client.check_equal("GET", EXPORT)
    assert plain.body.count(b"\r\n") == ROWS + 1


def test_a_part_of_the_captured_export_can_be_fetched(client: Client) -> None:
    rid, whole = client.in_background("GET", EXPORT)
    middle = len(whole.body) // 2
    part = client.send("GET", f"/bgrs/{rid}/result", {"Range": f"bytes={middle}-{middle + 99}"})
    assert part.status == 206
    assert part.body == whole.body[middle : middle + 100]
    assert part.header("content-range") == f"bytes {middle}-{middle + 99}/{len(whole.body)}"


@pytest.mark.parametrize(
    "target",
    [
        "/shop/orders.json?_shape=array&_size=100&amount__gt=500",
        "/shop/orders/4711.json",
        "/shop/orders?_sort_desc=amount",
        "/shop.json?sql=select+customer%2C+count(*)+from+orders+group+by+customer+limit+5",
        "/shop/none_of_that_name",
        "/-/static/app.css",
    ],
)
def test_pages_and_apis_are_captured_as_they_are_called(client: Client, target: str) -> None:
    client.check_equal("GET", target, varying=TOOK)
