"""The card and the sizes: what cannot be tried is no pass, what failed is counted, what is unknown is refused."""

from __future__ import annotations

import pytest

from reliability.card import Card, spread
from reliability.sizes import Size, SizeError, Sizes, read_sizes

SIZES = {"kills": Size(of="kills", fast=2, full=1_000)}


def test_no_failure_bounds_the_true_rate_by_the_rule_of_three() -> None:
    said: list[str] = []
    card = Card(said.append)
    card.line("a fault", n=10_000, failures=0)
    card.line("a rare one", n=2, failures=0)
    assert [line.verdict for line in card.lines] == ["< 0.0003", "< 1"]
    assert not card.failed
    card.table()
    assert "| a fault | 10,000 | 0 | < 0.0003 |" in said[-3]


def test_a_failure_fails_its_line() -> None:
    card = Card(lambda _: None)
    card.line("a fault", n=3, failures=1)
    assert [line.verdict for line in card.failed] == ["FAILED"]


def test_what_was_not_run_is_no_pass() -> None:
    card = Card(lambda _: None)
    card.not_run("a fault", "no tool for it")
    assert [(line.verdict, line.note) for line in card.lines] == [("NOT RUN", "no tool for it")]


@pytest.mark.parametrize(("n", "failures"), [(0, 0), (3, 4), (3, -1)])
def test_what_is_no_count_is_refused(n: int, failures: int) -> None:
    with pytest.raises(ValueError, match="no count"):
        Card(lambda _: None).line("a fault", n=n, failures=failures)


def test_many_remarks_are_cut() -> None:
    said: list[str] = []
    Card(said.append).remarks([f"remark {number}" for number in range(12)])
    assert len(said) == 11
    assert said[-1].strip() == "and 2 more"


def test_durations_in_words() -> None:
    assert spread(number / 100 for number in range(1, 101)) == "p50 0.50 s, p99 0.99 s, longest 1.00 s"
    assert spread([]) == "never seen"


def test_sizes_are_chosen_by_set_and_by_name() -> None:
    assert Sizes(SIZES, fast=True)["kills"] == 2
    assert Sizes(SIZES, fast=False)["kills"] == 1_000
    assert Sizes(SIZES, fast=True, given=read_sizes(["kills=7"], SIZES))["kills"] == 7


@pytest.mark.parametrize("text", ["kills", "kills=", "kills=0", "kills=-1", "kills=²", "other=1"])
def test_a_size_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(SizeError):
        read_sizes([text], SIZES)
