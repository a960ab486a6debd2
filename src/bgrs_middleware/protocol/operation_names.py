"""The names of operations and the paths that they make: `{parent}/operations/{rid}`, as AIP-151 and AIP-122 have them.

Whether an operation is there, belongs to this parent and may be seen is for others to say; here is only the form.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..models import is_rid

_COLLECTION = "operations"


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationPath:
    """What a path below `operations_path` names: one operation, or all of a parent's where `rid` is empty.

    `verb` is what stands behind a colon: `wait`, `cancel`, or nothing.
    """

    parent: str
    rid: str
    verb: str = ""


def operation_name(parent: str, rid: str) -> str:
    """Return the name of an operation."""
    return f"{parent}/{_COLLECTION}/{rid}"


def read_operation_path(below: str) -> OperationPath | None:
    """Return what a path names, or None where nothing can have that path.

    Parameters:
        below: the decoded path below `operations_path`, with its slash at the beginning.
    """
    if not below.startswith("/"):
        return None
    path = below[1:]
    if path.endswith(f"/{_COLLECTION}"):
        return _with_parent(path.removesuffix(f"/{_COLLECTION}"), "", "")
    parent, collection, last = path.rpartition(f"/{_COLLECTION}/")
    rid, colon, verb = last.partition(":")
    if not collection or not is_rid(rid) or (colon and not verb):
        return None
    return _with_parent(parent, rid, verb)


def _with_parent(parent: str, rid: str, verb: str) -> OperationPath | None:
    return OperationPath(parent=parent, rid=rid, verb=verb) if all(parent.split("/")) else None
