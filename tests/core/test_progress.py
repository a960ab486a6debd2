"""The application's side: no-ops in a foreground call, cheap and safe in a run."""

from __future__ import annotations

import threading
from contextvars import copy_context

import pytest

from bgrs_middleware.progress import (
    MAX_ITEMS,
    MAX_NOTES,
    Run,
    cancelled,
    current_request,
    current_run,
    report_item,
    report_progress,
    track,
)


@pytest.fixture
def marked() -> list[Run]:
    return []


@pytest.fixture
def run(marked):
    return Run(rid="0" * 32, attempt=1, method="POST", name="/imports", changed=marked.append)


def in_run(run, function, *arguments):
    def inside():
        current_run.set(run)
        return function(*arguments)

    return copy_context().run(inside)


def test_everything_is_a_no_op_in_a_foreground_call():
    report_progress(50, "half")
    report_item("a", "done")
    assert cancelled() is False
    assert current_request() is None
    assert list(track([1, 2, 3])) == [1, 2, 3]


def test_current_request_tells_who_it_is(run):
    request = in_run(run, current_request)
    assert (request.rid, request.attempt, request.method, request.name) == ("0" * 32, 1, "POST", "/imports")


def test_progress_is_kept_within_its_bounds(run, marked):
    in_run(run, report_progress, 120)
    assert run.progress == 100.0
    in_run(run, report_progress, -1)
    assert run.progress == 0.0
    assert marked == [run, run]


@pytest.mark.parametrize("percent", [float("nan"), float("inf")])
def test_progress_that_is_no_number_is_refused(run, percent):
    with pytest.raises(ValueError, match="percent"):
        in_run(run, report_progress, percent)


def test_a_new_message_becomes_a_detail_and_a_repeated_one_does_not(run):
    for percent in range(3):
        in_run(run, report_progress, percent, "reading")
    in_run(run, report_progress, 50, "writing")
    assert [text for _, text in run.take_notes()] == ["reading", "writing"]
    assert run.take_notes() == []
    assert run.message == "writing"


def test_track_reports_after_each_element(run):
    seen = [(element, run.progress) for element in in_run(run, lambda: iter_in(run, ["a", "b", "c", "d"]))]
    assert seen == [("a", 0.0), ("b", 25.0), ("c", 50.0), ("d", 75.0)]
    assert run.progress == 100.0


def iter_in(run, elements):
    context = copy_context()
    context.run(current_run.set, run)
    iterator = context.run(iter, track(elements, "working"))
    while True:
        try:
            yield context.run(next, iterator)
        except StopIteration:
            return


def test_track_without_a_length_only_passes_on(run):
    assert in_run(run, lambda: list(track(iter([1, 2])))) == [1, 2]
    assert run.progress is None
    assert in_run(run, lambda: list(track(iter([1, 2]), total=2))) == [1, 2]
    assert run.progress == 100.0


def test_what_the_application_says_goes_before_what_is_derived(run):
    run.derive(10)
    assert run.progress == 10
    in_run(run, report_progress, 3)
    run.derive(90)
    assert run.progress == 3


def test_items_replace_each_other_by_name_and_have_a_limit(run):
    in_run(run, report_item, "a", "running")
    in_run(run, report_item, "a", "done", "3 rows")
    assert [(item.name, item.state, item.message) for item in run.items] == [("a", "done", "3 rows")]
    for number in range(MAX_ITEMS + 10):
        in_run(run, report_item, f"item {number}", "done")
    in_run(run, report_item, "a", "failed")
    assert len(run.items) == MAX_ITEMS
    assert run.items[0].state == "failed"
    assert run.take_items() is not None
    assert run.take_items() is None


def test_details_have_a_limit_that_is_told(run):
    for number in range(MAX_NOTES + 5):
        run.note(str(number))
    notes = run.take_notes()
    assert len(notes) == MAX_NOTES + 1
    assert notes[-1][1].startswith("5 further details were dropped")


def test_details_that_could_not_be_written_come_first_again(run):
    run.note("first")
    notes = run.take_notes()
    run.note("second")
    run.put_back_notes(notes)
    assert [text for _, text in run.take_notes()] == ["first", "second"]


def test_asking_is_what_makes_a_cancellation_known_to_the_application(run):
    run.cancel()
    assert run.is_cancelled
    assert not run.cancel_seen
    assert in_run(run, cancelled) is True
    assert run.cancel_seen


def test_reports_from_many_threads_are_all_kept(run):
    threads = [
        threading.Thread(target=in_run, args=(run, lambda: [run.note("x") for _ in range(500)])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(run.take_notes()) == 2000
