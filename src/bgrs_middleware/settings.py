"""Every setting, once: name, default, unit, and what it accepts.

The fields of `Settings` are the keywords of every door, `BGRS_<NAME>` in the environment, the keys of Django's `BGRS`
dict and of Flask's config. A value that is not accepted is refused where it is given, with the field's name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from .errors import SettingsError
from .failpoints import VARIABLE as FAILPOINTS
from .models import DEFAULT_OPERATIONS_PARENT, Rerun
from .setting_forms import FIELD, PARAM, PARENT, PATH, TYPE, URL
from .setting_kinds import (
    Choice,
    Flag,
    Folder,
    Integer,
    Kind,
    LogLevel,
    Maybe,
    Member,
    Methods,
    Number,
    Secrets,
    Template,
    apply,
    seconds,
    unknown,
)
from .setting_parts import Database, Function, Part, Place, TextOrFunction

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from .bodies.base import Bodies
    from .executors.base import Executor
    from .stores.base import Store

MIB = 1024 * 1024
GIB = 1024 * MIB

Gateway = Mapping[str, Any]
"""What the gateway hands over for one request: the ASGI scope or the WSGI environ."""

_EXECUTOR = Part(
    "an executor object",
    ("start", "notify", "stop"),
    words=("embedded", "worker"),
    later=("celery", "django_tasks", "taskiq"),
)


def _setting(default: Any, kind: Kind, *, shown: bool = True) -> Any:
    """A field with its default and its kind; one that may hold a secret is not `shown` in the repr."""
    return field(default=default, repr=shown, metadata={"kind": kind})


class _Checked:
    """What `Rule` and `Settings` share: each field is checked by its kind."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    _shown_as: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for each in fields(self):
            kind = each.metadata["kind"]
            value = apply(kind, kind.check, self._shown_as + each.name, getattr(self, each.name))
            object.__setattr__(self, each.name, value)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], *, prefix: str = "") -> Self:
        """Return an object with the values of a mapping, keys in any case.

        Parameters:
            mapping: names and values; functions and objects also as text, "module:attribute"; rules also as mappings.
            prefix: take only keys that begin with it, such as "BGRS_" in Flask's config.

        Raises:
            SettingsError: a key is unknown or stands there twice, or a value is not accepted.
        """
        kinds = cls._kinds()
        values: dict[str, Any] = {}
        for key, value in mapping.items():
            if prefix and not str(key).startswith(prefix):
                continue
            name = str(key).removeprefix(prefix).lower()
            if name not in kinds:
                raise unknown(str(key), kinds, prefix)
            if name in values:
                raise SettingsError(f"{key}: given twice, in capitals and in small letters")
            values[name] = apply(kinds[name], kinds[name].adopt, cls._shown_as + name, value)
        for each in fields(cls):
            if each.default is MISSING and each.name not in values:
                raise SettingsError(f"{cls._shown_as}{each.name}: missing")
        return cls(**values)

    @classmethod
    def _kinds(cls) -> dict[str, Kind]:
        return {each.name: each.metadata["kind"] for each in fields(cls)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(_Checked):
    """What holds for the requests of one path. The first rule that matches decides.

    Parameters:
        path: below `root_path`; `{name}` stands for one segment and `{name:path}` for the rest.
        methods: the HTTP methods it holds for.
        background: every matching request runs in the background, with no marker sent (natif.ai's mode). False: the
            rule only sets the other fields for requests that carry the marker.
        wait_seconds: how long to wait for the answer where the client says nothing. None: `default_wait_seconds`.
        id_field: the key of the id in the 202's body.
        results_path: a further path for results, with `{id}` in it.
        type: the operation's type. None: made from method and path.
        rerun, max_run_seconds: as in `Settings`. None: what stands there.
        returns_operation: the answer is 200 with the operation itself, as Google's methods give it, and never a 202.

    Raises:
        SettingsError: a value is not accepted.
    """

    _shown_as: ClassVar[str] = "Rule."

    path: str = field(metadata={"kind": Template()})
    methods: tuple[str, ...] = _setting(("POST",), Methods())
    background: bool = _setting(True, Flag())
    wait_seconds: float | None = _setting(None, Maybe(seconds()))
    id_field: str = _setting("request", FIELD)
    results_path: str | None = _setting(None, Maybe(Template(required="id")))
    type: str | None = _setting(None, Maybe(TYPE))
    rerun: Rerun | None = _setting(None, Maybe(Member(Rerun)))
    max_run_seconds: float | None = _setting(None, Maybe(seconds(above=True)))
    returns_operation: bool = _setting(False, Flag())


class _Rules(Kind):
    accepts = "a tuple of Rule objects (in text: a JSON list of objects)"

    def check(self, value: Any) -> tuple[Rule, ...]:
        if not isinstance(value, tuple | list) or not all(isinstance(rule, Rule) for rule in value):
            raise ValueError
        return tuple(value)

    def read(self, text: str) -> tuple[Any, ...]:
        return self.adopt(json.loads(text))

    def adopt(self, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, tuple | list):
            raise ValueError
        return tuple(_rule(place, rule) for place, rule in enumerate(value))


def _rule(place: int, rule: Any) -> Any:
    if not isinstance(rule, Mapping):
        return rule
    try:
        return Rule.from_mapping(rule)
    except SettingsError as error:
        raise SettingsError(f"rules[{place}]: {error}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(_Checked):
    """All settings. Sizes are bytes, times are in the unit that the name ends with.

    Parameters:
        path: where the routes of background requests are, below `root_path`.
        param: the query parameter that asks for a background request.
        public_url: what absolute URLs begin with. None: the scheme and host of the request.
        data_dir: the folder of the embedded store, body files, key file and locks.
        store: where records are: an SQLAlchemy URL or engine, or a store. None: SQLite in `data_dir`.
        bodies: where large bodies are: an absolute folder, its `file://` URL, or an object. None: in `data_dir`.
        executor: who runs requests: "embedded", this process; "worker", a process of its own; or an object.
        concurrency: replays at a time per process.
        rules: what holds for single paths; the first that matches decides.
        default_wait_seconds: how long an asking request waits for its answer where it does not say. 0: not at all.
        max_wait_seconds: the longest that a request may be held; longer waits are cut to it.
        max_body_bytes: the largest request body.
        max_result_bytes: the largest response body; a response beyond it fails.
        min_free_bytes: below this much free disk nothing is accepted. None: 2 GiB or 10 % of the disk, the smaller.
        max_queued: how many may wait altogether.
        max_queued_per_caller: how many of one caller may wait; anonymous callers together have no cap of their own.
        max_run_seconds: a run that takes longer fails.
        max_queue_seconds: what waits longer expires.
        retention_days: how long records, details and results are kept after the end.
        retry_seconds: how long the request of a failed, lost or cancelled one is kept, encrypted, for a retry.
        lease_seconds: how long a worker holds a request without a sign of life.
        heartbeat_seconds: how often a worker gives one; shorter than the lease.
        sweep_seconds: how often a process looks for what is abandoned, expired or over its time.
        drain_seconds: how long a process that is told to stop lets its runs go on.
        rerun: whether a request whose worker died after the start is started once more: "safe" (GET only), "never",
            "always".
        identify: called with the scope or environ, returns who is calling; see the contract on identities. None: a
            keyed fingerprint of the `Authorization` header.
        authorize: called with the scope or environ, tells whether the caller may ask for a background request. Of a
            batch also called for each item, with a copy that has the item's method, path, query and headers.
        access: who may read a result by its id: "link", whoever has it; "authenticated", any identity; "owner".
        secret_keys: for encryption and signatures, each 16 characters or more, the newest first. Empty: a key file that
            is generated in `data_dir`.
        operations_path: where the operations of Google's kind are, below `root_path`.
        operations_parent: what their names begin with; or a function, called with the scope or environ of the asking
            request, that returns it.
        capture_logging: log records from this level on become details of the request that logs them. None: none do.
        max_batch_items: the most requests in one batch.
        max_waiters: the most requests that are held at a time, per process.
        max_polls_per_second: how often one caller may ask for one request that has not ended, without waiting, in each
            process; twice that at once. 0: no limit.

    Raises:
        SettingsError: a value is not accepted; the message names the field and says what it takes.
    """

    path: str = _setting("/bgrs", PATH)
    param: str = _setting("bgrs", PARAM)
    public_url: str | None = _setting(None, Maybe(URL))
    data_dir: str = _setting("bgrs-data", Folder())
    store: str | Engine | Store | None = _setting(None, Maybe(Database()), shown=False)
    bodies: str | Bodies | None = _setting(None, Maybe(Place()), shown=False)
    executor: str | Executor = _setting("embedded", _EXECUTOR)
    concurrency: int = _setting(4, Integer(1, 10_000))
    rules: tuple[Rule, ...] = _setting((), _Rules())
    default_wait_seconds: float = _setting(0.0, seconds())
    max_wait_seconds: float = _setting(25.0, seconds())
    max_body_bytes: int = _setting(100 * MIB, Integer(0))
    max_result_bytes: int = _setting(16 * GIB, Integer(0))
    min_free_bytes: int | None = _setting(None, Maybe(Integer(0)))
    max_queued: int = _setting(10_000, Integer(1))
    max_queued_per_caller: int = _setting(200, Integer(1))
    max_run_seconds: float = _setting(21_600.0, seconds(above=True))
    max_queue_seconds: float = _setting(86_400.0, seconds(above=True))
    retention_days: float = _setting(30.0, Number(0, 36_500, above=True))
    retry_seconds: float = _setting(86_400.0, seconds())
    lease_seconds: float = _setting(60.0, seconds(above=True))
    heartbeat_seconds: float = _setting(10.0, seconds(above=True))
    sweep_seconds: float = _setting(15.0, seconds(above=True))
    drain_seconds: float = _setting(20.0, seconds())
    rerun: Rerun = _setting(Rerun.SAFE, Member(Rerun))
    identify: Callable[[Gateway], Any] | None = _setting(None, Maybe(Function()))
    authorize: Callable[[Gateway], Any] | None = _setting(None, Maybe(Function()))
    access: Literal["link", "authenticated", "owner"] = _setting("link", Choice(("link", "authenticated", "owner")))
    secret_keys: tuple[str, ...] = _setting((), Secrets(16), shown=False)
    operations_path: str = _setting("/bgrs/v1", PATH)
    operations_parent: str | Callable[[Gateway], Any] = _setting(DEFAULT_OPERATIONS_PARENT, TextOrFunction(PARENT))
    capture_logging: str | None = _setting(None, Maybe(LogLevel()))
    max_batch_items: int = _setting(1_000, Integer(1))
    max_waiters: int = _setting(1_000, Integer(1))
    max_polls_per_second: float = _setting(50.0, Number(0, 1_000_000))

    def __post_init__(self) -> None:
        _Checked.__post_init__(self)
        if self.heartbeat_seconds >= self.lease_seconds:
            raise SettingsError(
                f"heartbeat_seconds: {self.heartbeat_seconds:g} is not usable; it takes less than lease_seconds,"
                f" which is {self.lease_seconds:g}"
            )

    @classmethod
    def from_env(cls, prefix: str = "BGRS_", environ: Mapping[str, str] | None = None) -> Self:
        """Return the settings that environment variables hold; one that is empty means the default.

        Parameters:
            prefix: what the names begin with; the rest is a field's name in capitals.
            environ: the variables. None: those of this process.

        Raises:
            SettingsError: a variable with this prefix is no setting, or its text is not accepted.
        """
        kinds = cls._kinds()
        values: dict[str, Any] = {}
        for variable, text in (os.environ if environ is None else environ).items():
            # PREFIX_TEST_… belongs to test suites, which point it at their servers; no setting begins so.
            if not variable.startswith(prefix) or variable.startswith(f"{prefix}TEST_") or variable == FAILPOINTS:
                continue
            name = variable.removeprefix(prefix).lower()
            if name not in kinds or variable != prefix + name.upper():
                raise unknown(variable, kinds, prefix)
            if text.strip():
                values[name] = apply(kinds[name], kinds[name].parse, variable, text.strip())
        return cls(**values)


def settings_of(settings: Settings | None, keywords: Mapping[str, Any]) -> Settings:
    """Return the settings that a door was given, as one object or as keywords.

    Parameters:
        settings: the object, or None.
        keywords: fields of `Settings`.

    Raises:
        SettingsError: both were given, a keyword is unknown, or a value is not accepted.
    """
    if settings is None:
        kinds = Settings._kinds()
        for name in keywords:
            if name not in kinds:
                raise unknown(name, kinds)
        return Settings(**keywords)
    if not isinstance(settings, Settings):
        raise SettingsError(f"settings: {type(settings).__name__} is not usable; it takes a Settings object")
    if keywords:
        raise SettingsError(f"{', '.join(keywords)}: given beside `settings`; it takes one or the other")
    return settings
