"""The two reference pages say what the code says: settings with their defaults, routes, keys, states, errors."""

from __future__ import annotations

import ast
import dataclasses
import json
import re

import pytest

from bgrs_middleware import Rule, Settings, errors
from bgrs_middleware.models import Detail, Record, Rerun, Status, new_rid
from bgrs_middleware.protocol import routes
from bgrs_middleware.protocol.documents import details_document, status_document
from bgrs_middleware.protocol.health import Figures, Health, StoreState, health_document
from docs.pages import ROOT, rows, text_of

SETTINGS = "docs/reference-settings.md"
ROUTES = "docs/reference-routes.md"
SOURCE = ROOT / "src" / "bgrs_middleware"

RECOVERY = {"lease_seconds", "heartbeat_seconds", "sweep_seconds", "max_run_seconds"}
"""The page says of these that they are being built."""


def code_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def setting_rows() -> dict[str, list[str]]:
    found = [cells for cells in rows(SETTINGS) if len(cells) == 5 and code_in(cells[0])]
    names = [code_in(cells[0])[0] for cells in found]
    assert len(names) == len(set(names)), "a setting stands there twice"
    return dict(zip(names, found, strict=True))


def test_every_setting_is_there_and_no_other() -> None:
    assert set(setting_rows()) == {each.name for each in dataclasses.fields(Settings)}


@pytest.mark.parametrize("setting", dataclasses.fields(Settings), ids=lambda each: each.name)
def test_a_setting_has_its_variable_and_default(setting: dataclasses.Field[object]) -> None:
    _, variable, _, default, _ = setting_rows()[setting.name]
    assert variable == f"`BGRS_{setting.name.upper()}`"
    shown = ast.literal_eval(code_in(default)[0])
    assert shown == setting.default
    assert type(shown) is type(str(setting.default) if isinstance(setting.default, Rerun) else setting.default)


def test_every_field_of_a_rule_is_there_with_its_default() -> None:
    found = {code_in(cells[0])[0]: code_in(cells[1]) for cells in rows("docs/howto-natif.md") if code_in(cells[0])}
    assert set(found) == {each.name for each in dataclasses.fields(Rule)}
    for each in dataclasses.fields(Rule):
        if each.default is not dataclasses.MISSING:
            assert ast.literal_eval(found[each.name][0]) == each.default, each.name


def test_settings_without_effect_are_those_that_no_code_reads() -> None:
    """As soon as one of them has an effect, the page has to say so. Those that are recorded say that they are."""
    section = text_of(SETTINGS).partition("## Accepted, and not in effect yet")[2]
    without_effect = {code_in(line)[0] for line in section.splitlines() if line.startswith("| `")}
    source = "".join(
        path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py") if not path.name.startswith("setting")
    )
    read = {each.name for each in dataclasses.fields(Settings) if re.search(rf"settings\.{each.name}\b", source)}
    recorded = {name for name in without_effect if "already" in setting_rows()[name][4]}
    assert without_effect & read == recorded
    assert {each.name for each in dataclasses.fields(Settings)} - read <= without_effect | RECOVERY


def test_every_route_is_there_and_no_other() -> None:
    of_code = {f"{method} /bgrs" for method in routes._ALL_ROUTE}
    for name, actions in routes._GENERAL_ROUTES.items():
        of_code |= {f"{method} /bgrs/{name}" for method in actions}
    for ending, actions in routes._ROUTES.items():
        of_code |= {f"{method} /bgrs/<rid>{'/' + ending if ending else ''}" for method in actions}
    in_table = {code_in(cells[0])[0] for cells in rows(ROUTES) if re.match(r"`[A-Z]+ /", cells[0])}
    of_operations = {f"{method} /bgrs/v1/{{parent}}/operations" for method in routes._OPERATIONS_ROUTE}
    for verb, actions in routes._OPERATION_ROUTES.items():
        of_operations |= {f"{method} /bgrs/v1/{{name}}{':' + verb if verb else ''}" for method in actions}
    assert in_table == of_code | of_operations
    in_readme = {code_in(cells[0])[0] for cells in rows("README.md") if cells[0].startswith("`")}
    assert in_readme == of_code


def test_every_key_of_the_documents_is_there() -> None:
    record = Record(
        id=1, rid=new_rid(), owner=None, method="GET", name="/", type="GET", status=Status.QUEUED,
        created_at=0.0, queued_at=0.0, updated_at=0.0, max_run_seconds=1.0, retention_days=1.0,
    )  # fmt: skip
    section = text_of(ROUTES).partition("## The status document")[2].partition("| `status_id` | `status_name` | |")[0]
    in_table = [key for line in section.splitlines() if line.startswith("| `") for key in code_in(line.split("|")[1])]
    assert in_table == list(json.loads(status_document(record))[0])
    (detail,) = json.loads(details_document([Detail(id=1, rid=record.rid, at=0.0, text="done")]))
    assert ", ".join(f"`{key}`" for key in detail) in text_of(ROUTES)


def test_every_key_of_the_health_document_is_there() -> None:
    section = text_of(ROUTES).partition("### `GET /bgrs/health`")[2].partition("\n## ")[0]
    in_table = {
        (code_in(cells[1])[0] if code_in(cells[1]) else "", key)
        for line in section.splitlines()
        if line.startswith("| ") and code_in((cells := line.split("|"))[2])
        for key in code_in(cells[2])
    }
    document = health_document(Health(state=StoreState.OK, host=Figures()))
    keys = {(name, key) for name, part in document.items() if isinstance(part, dict) for key in part}
    assert in_table == keys | {("", name) for name, part in document.items() if not isinstance(part, dict)}
    shown = json.loads("".join(line for line in section.splitlines() if line.startswith("    ")))
    assert {name: list(part) if isinstance(part, dict) else None for name, part in shown.items()} == {
        name: list(part) if isinstance(part, dict) else None for name, part in document.items()
    }
    assert {state.value for state in StoreState} <= set(code_in(section))


def test_every_state_is_there() -> None:
    in_table = {cells[0]: code_in(cells[1]) for cells in rows(ROUTES) if cells[0].isdigit() and len(cells) == 3}
    assert in_table == {str(int(status)): [status.label] for status in Status}


def test_every_error_is_there_with_its_status() -> None:
    section = text_of(ROUTES).partition("## Errors")[2]
    in_table = {
        (int(line.split("|")[1]), name)
        for line in section.splitlines()
        if re.match(r"\| \d", line)
        for name in code_in(line.split("|")[2])
    }
    assert in_table == {(status, kind.__name__) for kind, status in errors.HTTP_STATUS.items()} | {
        (500, "SettingsError")
    }
