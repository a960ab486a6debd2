"""Settings: the defaults of the contract, what each field refuses, and the four ways in which they are given."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

from bgrs_middleware import Rule, Settings
from bgrs_middleware.errors import SettingsError
from bgrs_middleware.executors.base import Executor, Host
from bgrs_middleware.models import Rerun
from bgrs_middleware.settings import settings_of

DEFAULTS: dict[str, Any] = {
    "path": "/bgrs",
    "param": "bgrs",
    "public_url": None,
    "data_dir": "bgrs-data",
    "store": None,
    "bodies": None,
    "executor": "embedded",
    "concurrency": 4,
    "rules": (),
    "default_wait_seconds": 0,
    "max_wait_seconds": 25,
    "max_body_bytes": 100 * 1024**2,
    "max_result_bytes": 16 * 1024**3,
    "min_free_bytes": None,
    "max_queued": 10_000,
    "max_queued_per_caller": 200,
    "max_run_seconds": 21_600,
    "max_queue_seconds": 86_400,
    "retention_days": 30,
    "retry_seconds": 86_400,
    "lease_seconds": 60,
    "heartbeat_seconds": 10,
    "sweep_seconds": 15,
    "drain_seconds": 20,
    "rerun": "safe",
    "identify": None,
    "authorize": None,
    "access": "link",
    "secret_keys": (),
    "operations_path": "/bgrs/v1",
    "operations_parent": "projects/default/locations/default",
    "capture_logging": None,
    "max_batch_items": 1_000,
    "max_waiters": 1_000,
    "max_polls_per_second": 50,
}
"""Section 8 of the contract."""

NO_SECONDS = (-1, float("nan"), float("inf"), 1e300, "5", True, None)
NO_SECONDS_ABOVE_ZERO = (*NO_SECONDS, 0)
NO_COUNT = (0, -1, 2**63, 1.0, "5", True, None)
NO_SIZE = (-1, 2**63, 1.0, "5", True)
NO_PATH = ("", "/", "bgrs", "/bgrs/", "//bgrs", "/a//b", "/a/../b", "/.", "/a b", "/a?b", "/a#b", "/ä", None, 5)

REFUSED: dict[str, tuple[Any, ...]] = {
    "path": NO_PATH,
    "param": ("", "a&b", "a=b", "a#b", "a%b", "a+b", "a b", "a\tb", "ä", "wait_for", None, 5),
    "public_url": (
        *("", "api.example.com", "//api.example.com", "ftp://api.example.com", "https://", "https:///x"),
        *("https://a.example?b", "https://a.example/?b", "https://a.example/#b", "https://u:p@a.example"),
        *("https://a.example/a b", "https://a.example:port", "https://a.example\r\n", b"https://a.example", 5),
    ),
    "data_dir": ("", " ", "a\0b", b"data", None, 5),
    "store": ("", "records.db", "C:\\records.db", object(), Executor, 5),
    "bodies": ("", "bodies", "s3://bucket", "file://host/x", object(), dict, 5),
    "executor": ("", "Embedded", "celery", "django_tasks", "taskiq", object(), Executor, None, 5),
    "concurrency": (*NO_COUNT, 10_001),
    "rules": (None, "", {}, [{"path": "/a"}], ("/a",), Rule(path="/a")),
    "default_wait_seconds": NO_SECONDS,
    "max_wait_seconds": NO_SECONDS,
    "max_body_bytes": (*NO_SIZE, None),
    "max_result_bytes": (*NO_SIZE, None),
    "min_free_bytes": NO_SIZE,
    "max_queued": NO_COUNT,
    "max_queued_per_caller": NO_COUNT,
    "max_run_seconds": NO_SECONDS_ABOVE_ZERO,
    "max_queue_seconds": NO_SECONDS_ABOVE_ZERO,
    "retention_days": (*NO_SECONDS_ABOVE_ZERO, 36_501),
    "retry_seconds": NO_SECONDS,
    "lease_seconds": NO_SECONDS_ABOVE_ZERO,
    "heartbeat_seconds": (*NO_SECONDS_ABOVE_ZERO, 60, 61),
    "sweep_seconds": NO_SECONDS_ABOVE_ZERO,
    "drain_seconds": NO_SECONDS,
    "rerun": ("", "Safe", "sometimes", None, True, 5),
    "identify": ("", "json:loads", object(), 5),
    "authorize": ("", "json:loads", object(), 5),
    "access": ("", "Link", "anyone", None, 5),
    "secret_keys": ("k" * 32, ("k" * 15,), ("k" * 16, b"k" * 16), ("k" * 16, ""), {"k" * 16}, None, 5),
    "operations_path": NO_PATH,
    "operations_parent": (
        *("", "/", "/projects", "projects/", "a//b", "a/../b", "a b", "ä", "a" * 201, "json:loads", None, 5, object()),
    ),
    "capture_logging": ("", "LOUD", 20, True),
    "max_batch_items": NO_COUNT,
    "max_waiters": NO_COUNT,
    "max_polls_per_second": (*NO_SECONDS, 1_000_001),
}

REFUSED_BY_RULES: dict[str, tuple[Any, ...]] = {
    "path": (
        *("", "a", "/a b", "/a?b", "/a#b", "/{", "/}", "/{a", "/a}", "/{}", "/{a}{", "/{1}", "/{a-b}", "/{{a}}"),
        *("/{a:int}", "/{a}/{a}", "/{a}/{a:path}", "/a\n", None, 5),
    ),
    "methods": ((), [], "POST", (5,), ("",), ("PO ST",), ("POST\n",), None),
    "background": (1, "yes", None),
    "wait_seconds": NO_SECONDS[:-1],
    "id_field": ("", "a\nb", None, 5),
    "results_path": ("", "/results", "/results/{rid}", "/results/{id}/{id}", "/results/{id:path}", "results/{id}", 5),
    "type": ("", "A B", "Ä", "A" * 201, 5),
    "rerun": ("", "sometimes", 5),
    "max_run_seconds": NO_SECONDS_ABOVE_ZERO[:-2],
    "returns_operation": (1, "yes", None),
}


class QueueForLater(Executor):
    """An executor of a user's."""

    def start(self, host: Host) -> None:
        """Nothing to do."""

    def notify(self, rids: tuple[str, ...] = ()) -> None:
        """Nothing to do."""

    def stop(self) -> None:
        """Nothing to do."""


queue_for_later = QueueForLater()


def who(gateway: Mapping[str, Any]) -> str:
    """An `identify` of a user's."""
    return str(gateway["user"])


def cases(refused: Mapping[str, tuple[Any, ...]]) -> list[Any]:
    """One test case for each refused value of each field, by number: an object's repr differs between processes."""
    numbered = [(name, number, value) for name in refused for number, value in enumerate(refused[name], start=1)]
    return [pytest.param(name, value, id=f"{name}-{number}") for name, number, value in numbered]


def refusal_of(call: Any, *arguments: Any, **keywords: Any) -> str:
    """The text of the `SettingsError` that this call raises."""
    with pytest.raises(SettingsError) as caught:
        call(*arguments, **keywords)
    return str(caught.value)


def test_defaults_are_those_of_the_contract() -> None:
    assert {each.name: getattr(Settings(), each.name) for each in dataclasses.fields(Settings)} == DEFAULTS


def test_settings_error_is_a_value_error() -> None:
    assert issubclass(SettingsError, ValueError)


def test_no_field_is_without_refused_values() -> None:
    assert set(REFUSED) == {each.name for each in dataclasses.fields(Settings)}
    assert set(REFUSED_BY_RULES) == {each.name for each in dataclasses.fields(Rule)}


@pytest.mark.parametrize(("name", "value"), cases(REFUSED))
def test_refused_value_is_told_with_the_name_of_its_field(name: str, value: Any) -> None:
    text = refusal_of(Settings, **{name: value})
    assert text.startswith(f"{name}: ")
    assert "; it takes " in text


@pytest.mark.parametrize(("name", "value"), cases(REFUSED_BY_RULES))
def test_refused_value_of_a_rule_is_told_with_the_name_of_its_field(name: str, value: Any) -> None:
    text = refusal_of(Rule, **{"path": "/a", name: value})
    assert text.startswith(f"Rule.{name}: ")
    assert "; it takes " in text


def test_refusal_shows_the_value_and_what_would_be_right() -> None:
    text = refusal_of(Settings, concurrency=0)
    assert text == "concurrency: 0 is not usable; it takes a whole number from 1 to 10000"


def test_names_of_later_versions_are_refused_as_such() -> None:
    assert "a later version will have it" in refusal_of(Settings, executor="celery")


@pytest.mark.parametrize(
    "keywords",
    [
        {"secret_keys": ("hunter2",)},
        {"secret_keys": "hunter2" * 5},
        {"store": "user:hunter2@host"},
        {"bodies": "s3://key:hunter2@bucket"},
    ],
)
def test_refusal_of_a_secret_does_not_show_it(keywords: dict[str, Any]) -> None:
    assert "hunter2" not in refusal_of(Settings, **keywords)
    assert "hunter2" not in refusal_of(Settings.from_mapping, keywords)


def test_repr_hides_secrets_and_shows_the_rest() -> None:
    settings = Settings(store="postgresql://user:hunter2@host/db", secret_keys=("hunter2" * 3,), concurrency=7)
    assert "hunter2" not in repr(settings)
    assert "concurrency=7" in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("path", "/api/v2.5/jobs_-~", "/api/v2.5/jobs_-~"),
        ("param", "run-in-background", "run-in-background"),
        ("public_url", "https://api.example.com:8443/base", "https://api.example.com:8443/base"),
        ("public_url", "http://[::1]:8000", "http://[::1]:8000"),
        ("data_dir", Path("/var/lib/bgrs"), "/var/lib/bgrs"),
        ("store", "sqlite:///records.db", "sqlite:///records.db"),
        ("executor", queue_for_later, queue_for_later),
        ("max_wait_seconds", 7, 7.0),
        ("min_free_bytes", 0, 0),
        ("rerun", "never", Rerun.NEVER),
        ("rules", [Rule(path="/a")], (Rule(path="/a"),)),
        ("secret_keys", ["k" * 16], ("k" * 16,)),
        ("identify", who, who),
        ("operations_parent", who, who),
        ("operations_parent", "a" * 200, "a" * 200),
        ("capture_logging", "info", "INFO"),
    ],
)
def test_accepted_value_is_kept_in_one_form(name: str, value: Any, kept: Any) -> None:
    found = getattr(Settings(**{name: value}), name)
    assert found == kept
    assert type(found) is type(kept)


def test_rule_is_kept_in_one_form() -> None:
    rule = Rule(path="/files/{kind}/{rest:path}", methods=["post", "PUT"], rerun="always", wait_seconds=30)  # type: ignore[arg-type]  # what JSON gives
    assert rule.methods == ("POST", "PUT")
    assert rule.rerun is Rerun.ALWAYS
    assert type(rule.wait_seconds) is float


def test_synchronous_engine_is_accepted_as_a_store() -> None:
    engine = create_engine("sqlite://")
    assert Settings(store=engine).store is engine


def test_asynchronous_engine_is_refused() -> None:
    class LikeAnAsyncEngine:
        sync_engine = dialect = begin = dispose = None

    assert "an asynchronous engine" in refusal_of(Settings, store=LikeAnAsyncEngine())


def test_heartbeat_must_be_shorter_than_the_lease() -> None:
    assert Settings(lease_seconds=3, heartbeat_seconds=1).lease_seconds == 3
    assert "less than lease_seconds, which is 5" in refusal_of(Settings, lease_seconds=5)


def test_settings_cannot_be_changed_and_replacing_checks_again() -> None:
    settings = Settings()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.concurrency = 1  # type: ignore[misc]  # what is shown here
    assert refusal_of(dataclasses.replace, settings, concurrency=0).startswith("concurrency: ")


# The environment


@pytest.mark.parametrize(
    ("variable", "text", "kept"),
    [
        ("BGRS_PATH", "/jobs", "/jobs"),
        ("BGRS_CONCURRENCY", " 8 ", 8),
        ("BGRS_MAX_BODY_BYTES", "1048576", 1_048_576),
        ("BGRS_MIN_FREE_BYTES", "0", 0),
        ("BGRS_MAX_WAIT_SECONDS", "2.5", 2.5),
        ("BGRS_RETRY_SECONDS", "1e3", 1000.0),
        ("BGRS_RERUN", "always", Rerun.ALWAYS),
        ("BGRS_ACCESS", "owner", "owner"),
        ("BGRS_STORE", "postgresql+psycopg://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("BGRS_SECRET_KEYS", f"{'n' * 16}, {'o' * 16},", ("n" * 16, "o" * 16)),
        ("BGRS_IDENTIFY", f"{__name__}:who", who),
        ("BGRS_OPERATIONS_PARENT", f"{__name__}:who", who),
        ("BGRS_OPERATIONS_PARENT", "projects/shop", "projects/shop"),
        ("BGRS_AUTHORIZE", "json:JSONDecoder.decode", json.JSONDecoder.decode),
        ("BGRS_EXECUTOR", "worker", "worker"),
        ("BGRS_EXECUTOR", f"{__name__}:queue_for_later", queue_for_later),
        ("BGRS_RULES", '[{"path": "/a", "methods": ["GET"]}]', (Rule(path="/a", methods=("GET",)),)),
        ("BGRS_CAPTURE_LOGGING", "warning", "WARNING"),
    ],
)
def test_environment_is_read_by_the_type_of_the_field(variable: str, text: str, kept: Any) -> None:
    settings = Settings.from_env(environ={variable: text, "PATH": "/bin", "CONCURRENCY": "no"})
    assert getattr(settings, variable.removeprefix("BGRS_").lower()) == kept


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("BGRS_CONCURRENCY", "4.5"),
        ("BGRS_CONCURRENCY", "1_0"),
        ("BGRS_CONCURRENCY", "0"),
        ("BGRS_MAX_BODY_BYTES", "100MB"),
        ("BGRS_MAX_WAIT_SECONDS", "nan"),
        ("BGRS_MAX_WAIT_SECONDS", "1,5"),
        ("BGRS_SECRET_KEYS", "short"),
        ("BGRS_IDENTIFY", "json.loads"),
        ("BGRS_IDENTIFY", "json:nothing"),
        ("BGRS_IDENTIFY", "no_such_module_here:nothing"),
        ("BGRS_EXECUTOR", "json:loads"),
        ("BGRS_OPERATIONS_PARENT", "json:nothing"),
        ("BGRS_RULES", "[{"),
        ("BGRS_RULES", '{"path": "/a"}'),
        ("BGRS_RULES", '["/a"]'),
    ],
)
def test_text_that_cannot_be_read_is_told_with_its_variable(variable: str, text: str) -> None:
    assert refusal_of(Settings.from_env, environ={variable: text}).startswith(f"{variable}: ")


def test_empty_variable_means_the_default() -> None:
    assert Settings.from_env(environ={"BGRS_CONCURRENCY": "", "BGRS_STORE": " "}) == Settings()


def test_unknown_variable_is_refused_with_the_names_that_look_like_it() -> None:
    text = refusal_of(Settings.from_env, environ={"BGRS_CONCURENCY": "4"})
    assert text == "BGRS_CONCURENCY: there is no such setting; did you mean BGRS_CONCURRENCY?"
    assert refusal_of(Settings.from_env, environ={"BGRS_zzz": "4"}) == "BGRS_zzz: there is no such setting"
    assert "BGRS_CONCURRENCY" in refusal_of(Settings.from_env, environ={"BGRS_concurrency": "4"})


def test_variables_of_test_suites_are_left_alone() -> None:
    assert Settings.from_env(environ={"BGRS_TEST_POSTGRES_URL": "postgresql://"}) == Settings()


def test_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_CONCURRENCY", "9")
    assert Settings.from_env("MY_").concurrency == 9


NUMBERS = {
    "max_wait_seconds": st.floats(0, 1e9),
    "retention_days": st.floats(0, 36_500, exclude_min=True),
    "concurrency": st.integers(1, 10_000),
    "max_body_bytes": st.integers(0, 2**63 - 1),
}


@given(st.fixed_dictionaries({}, optional=NUMBERS))
def test_every_number_survives_the_environment(values: dict[str, Any]) -> None:
    environ = {f"BGRS_{name.upper()}": str(value) for name, value in values.items()}
    assert Settings.from_env(environ=environ) == Settings(**values)


@given(st.dictionaries(st.sampled_from([f"BGRS_{name.upper()}" for name in DEFAULTS]), st.text()))
def test_no_text_of_the_environment_raises_anything_else(environ: dict[str, str]) -> None:
    text = None
    try:
        Settings.from_env(environ=environ)
    except SettingsError as error:
        text = str(error)
    assert text is None or text.startswith((*environ, "heartbeat_seconds: "))


# Mappings: Django's and Flask's


def test_mapping_takes_keys_in_any_case() -> None:
    assert Settings.from_mapping({"CONCURRENCY": 8, "path": "/jobs"}) == Settings(concurrency=8, path="/jobs")


def test_mapping_with_a_prefix_takes_only_such_keys() -> None:
    config = {"DEBUG": True, "SECRET_KEY": "x", "BGRS_CONCURRENCY": 8}
    assert Settings.from_mapping(config, prefix="BGRS_") == Settings(concurrency=8)


def test_mapping_takes_rules_as_mappings() -> None:
    settings = Settings.from_mapping({"RULES": [{"PATH": "/a", "background": False}, Rule(path="/b")]})
    assert settings.rules == (Rule(path="/a", background=False), Rule(path="/b"))


def test_mapping_takes_functions_as_text() -> None:
    settings = Settings.from_mapping({"IDENTIFY": "json:loads", "AUTHORIZE": None, "OPERATIONS_PARENT": "json:loads"})
    loads: Any = json.loads
    assert settings.identify is settings.operations_parent is loads
    assert settings.authorize is None


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        ({"CONCURENCY": 8}, "CONCURENCY: there is no such setting; did you mean CONCURRENCY?"),
        ({"concurency": 8}, "concurency: there is no such setting; did you mean concurrency?"),
        ({5: 8}, "5: there is no such setting"),
        ({"PATH": "/a", "path": "/b"}, "path: given twice, in capitals and in small letters"),
        ({"rules": [{"path": "/a"}, {"methods": ["GET"]}]}, "rules[1]: Rule.path: missing"),
        ({"rules": [{"path": "/a", "wait": 3}]}, "rules[0]: wait: there is no such setting"),
    ],
)
def test_mapping_that_is_not_understood_is_refused(mapping: Any, text: str) -> None:
    assert refusal_of(Settings.from_mapping, mapping).startswith(text)


def test_mapping_does_not_read_numbers_from_text() -> None:
    assert refusal_of(Settings.from_mapping, {"CONCURRENCY": "8"}).startswith("concurrency: '8' is not usable")


# The doors


def test_door_takes_an_object_or_keywords() -> None:
    settings = Settings(concurrency=8)
    assert settings_of(settings, {}) is settings
    assert settings_of(None, {"concurrency": 8}) == settings
    assert settings_of(None, {}) == Settings()


def test_door_does_not_take_both() -> None:
    text = refusal_of(settings_of, Settings(), {"concurrency": 8})
    assert text == "concurrency: given beside `settings`; it takes one or the other"


def test_door_refuses_what_is_no_settings_object_and_unknown_keywords() -> None:
    assert refusal_of(settings_of, {"concurrency": 8}, {}).startswith("settings: dict is not usable")
    assert refusal_of(settings_of, None, {"PATH": "/a"}) == "PATH: there is no such setting; did you mean path?"
    text = refusal_of(settings_of, None, {"concurency": 8})
    assert text == "concurency: there is no such setting; did you mean concurrency?"
