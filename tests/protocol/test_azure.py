"""The document that Azure's pollers read: the contract's keys, their words for each state, and where the result is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bgrs_middleware.models import Record, Status
from bgrs_middleware.protocol.azure import azure_document
from protocol.samples import RID, finished, record

RESULT = f"https://api.example.com/bgrs/{RID}/result"


def document(record: Record) -> Any:
    return json.loads(azure_document(record, result_uri=RESULT))


def test_one_that_succeeded_is_the_contracts_to_the_letter() -> None:
    assert document(finished()) == {
        "id": RID,
        "status": "Succeeded",
        "percentComplete": 100.0,
        "createdDateTime": "2017-12-26T18:21:56.750000Z",
        "resourceLocation": RESULT,
    }


@pytest.mark.parametrize(
    ("status", "word", "reason"),
    [
        (Status.QUEUED, "NotStarted", None),
        (Status.RUNNING, "Running", None),
        (Status.CANCELLING, "Running", None),
        (Status.FINISHED, "Succeeded", None),
        (Status.FAILED, "Failed", "REQUEST_FAILED"),
        (Status.CANCELLED, "Canceled", "REQUEST_CANCELLED"),
        (Status.LOST, "Failed", "REQUEST_LOST"),
        (Status.EXPIRED, "Failed", "REQUEST_EXPIRED"),
    ],
)
def test_every_status_has_azures_word(status: Status, word: str, reason: str | None) -> None:
    found = document(record(status=status, http_status=201 if status is Status.FINISHED else None))
    assert found["status"] == word
    assert found["resourceLocation"] == RESULT
    assert found.get("error", {}).get("code") == reason


@pytest.mark.parametrize(("http_status", "word"), [(204, "Succeeded"), (399, "Succeeded"), (400, "Failed")])
def test_an_error_of_the_application_is_a_failure(http_status: int, word: str) -> None:
    assert document(finished(http_status=http_status))["status"] == word


def test_the_error_says_what_the_application_answered() -> None:
    error = {"code": "HTTP_409", "message": "The application answered with status 409."}
    assert document(finished(http_status=409))["error"] == error


@pytest.mark.parametrize(
    ("progress", "percent"),
    [(None, None), (0.0, 0.0), (33.337, 33.34), (99.999, 99.99), (100.0, 100.0), (float("nan"), None), (-3.0, 0.0)],
)
def test_the_percentage_is_null_while_unknown_and_not_100_before_the_end(
    progress: float | None, percent: float | None
) -> None:
    assert document(record(progress=progress))["percentComplete"] == percent
