"""The store in a relational database. `SqlStore` is all that others need of it."""

from __future__ import annotations

from .store import SqlStore

__all__ = ["SqlStore"]
