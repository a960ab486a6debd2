"""The rules of the settings, compiled once: which rule holds for a request, and which path asks for a rule's result.

In a template `{name}` stands for one segment that is not empty and `{name:path}` for the rest, slashes included. Paths
are the decoded ones below `root_path`. The first rule that matches decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..settings import Rule

NEVER_ASKED = frozenset({"HEAD", "OPTIONS"})
"""Methods that are never run in the background: a HEAD has no body to keep, and OPTIONS is CORS's preflight."""

_PLACE = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*(:path)?\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    rule: Rule
    methods: frozenset[str]
    path: re.Pattern[str]
    results: re.Pattern[str] | None
    own_results: re.Pattern[str] | None


class Rules:
    """The rules of `Settings.rules`, compiled."""

    __slots__ = ("_compiled", "_with_results")

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._compiled = tuple(_compile(rule) for rule in rules)
        self._with_results = tuple(compiled for compiled in self._compiled if compiled.results is not None)

    def match(self, method: str, route_path: str) -> Rule | None:
        """Return the first rule for this method and path; None for HEAD and OPTIONS whatever the rules say."""
        for compiled in self._compiled:
            if method in compiled.methods and compiled.path.fullmatch(route_path):
                return compiled.rule
        return None

    def result_rid(self, method: str, route_path: str) -> tuple[Rule, str] | None:
        """Return the rule whose result is asked for here, and the id as the path has it.

        Two paths lead to a result of a rule with a `results_path`: that template, whose `{id}` is returned even where
        it is no rid, because the path is ours; and the rule's own path followed by a rid, which natif.ai's example
        code polls. In the second place anything but a rid belongs to the application.
        """
        if not self._with_results or method not in ("GET", "HEAD"):
            return None
        for compiled in self._with_results:
            if compiled.results is not None and (found := compiled.results.fullmatch(route_path)):
                return compiled.rule, found["id"]
        for compiled in self._with_results:
            if compiled.own_results is not None and (found := compiled.own_results.fullmatch(route_path)):
                return compiled.rule, found["id"]
        return None


def _compile(rule: Rule) -> _Compiled:
    results = own_results = None
    if rule.results_path is not None:
        before, _, after = rule.results_path.partition("{id}")
        results = re.compile(_pattern(before) + "(?P<id>[^/]+)" + _pattern(after), re.DOTALL)
        own_results = re.compile(_pattern(rule.path.rstrip("/")) + "/(?P<id>[0-9a-f]{32})", re.DOTALL)
    return _Compiled(
        rule=rule,
        methods=frozenset(method.upper() for method in rule.methods) - NEVER_ASKED,
        path=re.compile(_pattern(rule.path), re.DOTALL),
        results=results,
        own_results=own_results,
    )


def _pattern(template: str) -> str:
    """The regular expression for a template, or for a part of one. `Rule` has checked the braces."""
    parts, at = [], 0
    for place in _PLACE.finditer(template):
        parts.append(re.escape(template[at : place.start()]))
        parts.append(".*" if place[1] else "[^/]+")
        at = place.end()
    return "".join(parts) + re.escape(template[at:])
