"""What a database's error means: whether the store as a whole cannot work, or refused one value.

The message is one readable sentence without the driver's own words, which may name hosts and users and could reach a
client; the driver's error is the cause of the one raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from ...errors import StorageError, StoreDataError, StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIModule  # not in the first versions of SQLAlchemy 2

_SENTENCES = (
    # First: who waits so is "blocked", in which "locked" would be found.
    ("deadlock", "Two changes of the store waited for each other."),
    ("locked", "The store is locked by another program."),
    ("busy", "The store is locked by another program."),
    ("is full", "The disk that holds the store is full."),
    ("no space left", "The disk that holds the store is full."),
    ("readonly", "The store is read-only."),
    ("read-only", "The store is read-only."),
    ("unable to open database file", "The store's file cannot be opened or created."),
    ("disk i/o error", "The disk that holds the store reports an error."),
    ("malformed", "The store's file is damaged."),
    ("not a database", "The store's file is not a database."),
    ("no such table", "The store has no tables: they were removed, or it was never opened."),
    ("does not exist", "The store's database or tables do not exist."),
    ("permission denied", "The store's user lacks a permission that it needs."),
    ("authentication", "The database refused the store's user or password."),
)
_LOST = "The store's database cannot be reached."
_OTHERWISE = "The store's database could not do what was asked."


def raised_by_driver(error: DBAPIModule.Error, connection: Connection, sql: str) -> DBAPIError:
    """Return what SQLAlchemy would raise for a driver's error, and do what it would do with a connection that broke.

    Parameters:
        error: from the driver's own cursor, on this connection.
        sql: what was executed. Its parameters are not repeated.
    """
    dialect = connection.dialect
    is_lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
    if is_lost:
        connection.invalidate(error)
    wrapped = DBAPIError.instance(
        sql,
        None,
        error,
        dialect.loaded_dbapi.Error,
        hide_parameters=True,
        connection_invalidated=is_lost,
        dialect=dialect,
    )
    assert isinstance(wrapped, DBAPIError), "the driver's errors are all of its one tree"
    return wrapped


def storage_error(error: SQLAlchemyError) -> StorageError:
    """Return the error to raise instead of the database's."""
    if isinstance(error, (DataError, IntegrityError)) or _is_over_a_limit(error):
        return StoreDataError("The store's database refused a value.")
    reason = _sentence(error)
    return StoreUnavailable(f"{reason} Nothing was recorded.", reason=reason)


def is_lost(error: SQLAlchemyError) -> bool:
    """Whether the connection broke: the same call may succeed on a new one."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def is_in_doubt(error: SQLAlchemyError) -> bool:
    """Whether a commit that ended so may have been made: the answer was lost, or the server went away with it."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return is_lost(error) or (isinstance(state, str) and state.startswith("57P"))


def _is_over_a_limit(error: SQLAlchemyError) -> bool:
    """PostgreSQL's class 54, such as a value too long for an index: the value's fault, not the server's."""
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    return isinstance(state, str) and state.startswith("54") and isinstance(error, OperationalError)


def _sentence(error: SQLAlchemyError) -> str:
    if is_lost(error):
        return _LOST
    words = str(getattr(error, "orig", None) or error).lower()
    for sign, sentence in _SENTENCES:
        if sign in words:
            return sentence
    return _LOST if "connect" in words else _OTHERWISE
