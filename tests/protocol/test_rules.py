"""Rules: templates, methods, order, and the two paths to a rule's result."""

from __future__ import annotations

import pytest

from bgrs_middleware.protocol.rules import Rules
from bgrs_middleware.settings import Rule
from protocol.samples import RID

NATIF = Rule(path="/processing/{workflow}", id_field="processing_id", results_path="/processing/results/{id}")


@pytest.mark.parametrize(
    ("template", "path", "matches"),
    [
        ("/a", "/a", True),
        ("/a", "/a/", False),
        ("/a", "/ab", False),
        ("/a", "/A", False),
        ("/a", "/a\n", False),
        ("/a.b", "/axb", False),
        ("/processing/{workflow}", "/processing/invoice", True),
        ("/processing/{workflow}", "/processing/", False),
        ("/processing/{workflow}", "/processing/a/b", False),
        ("/processing/{workflow}", "/processing/é ü\n", True),
        ("/{a}/x/{b}", "/1/x/2", True),
        ("/{a}/x/{b}", "//x/2", False),
        ("/files/{rest:path}", "/files/a/b/c", True),
        ("/files/{rest:path}", "/files/", True),
        ("/files/{rest:path}", "/files", False),
        ("/files/{rest:path}", "/files/a\nb", True),
    ],
)
def test_templates(template: str, path: str, matches: bool) -> None:
    rule = Rule(path=template)
    assert Rules([rule]).match("POST", path) == (rule if matches else None)


def test_the_first_rule_that_matches_decides() -> None:
    first, second, third = Rule(path="/a", methods=("PUT",)), Rule(path="/{x}"), Rule(path="/a")
    rules = Rules([first, second, third])
    assert rules.match("POST", "/a") is second
    assert rules.match("PUT", "/a") is first


def test_methods_of_a_rule_may_be_written_in_lower_case() -> None:
    assert Rules([Rule(path="/a", methods=("get", "Post"))]).match("GET", "/a")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_head_and_options_never_match(method: str) -> None:
    assert Rules([Rule(path="/a", methods=("GET", "HEAD", "OPTIONS"))]).match(method, "/a") is None


@pytest.mark.parametrize(
    ("method", "path", "rid"),
    [
        ("GET", f"/processing/results/{RID}", RID),
        ("HEAD", f"/processing/results/{RID}", RID),
        ("POST", f"/processing/results/{RID}", None),
        ("GET", "/processing/results/nonsense", "nonsense"),
        ("GET", "/processing/results/", None),
        ("GET", "/processing/results", None),
        ("GET", f"/processing/results/{RID}/more", None),
        ("GET", f"/processing/invoice/{RID}", RID),
        ("HEAD", f"/processing/invoice/{RID}", RID),
        ("POST", f"/processing/invoice/{RID}", None),
        ("GET", "/processing/invoice/nonsense", None),
        ("GET", f"/processing/invoice/{RID.upper()}", None),
        ("GET", f"/processing/invoice/{RID}0", None),
        ("GET", f"/processing/invoice/{RID}\n", None),
        ("GET", f"/processing/a/b/{RID}", None),
        ("GET", "/processing/invoice", None),
        ("GET", "/", None),
    ],
)
def test_both_paths_lead_to_a_rules_result(method: str, path: str, rid: str | None) -> None:
    assert Rules([NATIF]).result_rid(method, path) == (None if rid is None else (NATIF, rid))


def test_a_rule_without_results_path_takes_no_path_of_the_application() -> None:
    """An application's own ids often are 32 hex characters too."""
    assert Rules([Rule(path="/documents")]).result_rid("GET", f"/documents/{RID}") is None


def test_results_path_of_a_later_rule_goes_before_the_own_path_of_an_earlier_one() -> None:
    other = Rule(path="/x", results_path="/processing/other/{id}")
    assert Rules([NATIF, other]).result_rid("GET", f"/processing/other/{RID}") == (other, RID)


def test_a_placeholder_of_the_path_may_be_called_id() -> None:
    rule = Rule(path="/docs/{id}/ocr", results_path="/ocr/{tenant}/{id}")
    assert Rules([rule]).result_rid("GET", f"/docs/7/ocr/{RID}") == (rule, RID)
    assert Rules([rule]).result_rid("GET", f"/ocr/acme/{RID}") == (rule, RID)
