"""Who is asking, and what they may see and do (CONTRACT, section 7).

A caller's identity is what the setting `identify` returns, else a keyed fingerprint of the `Authorization` header, else
none. Reading by id follows the setting `access`; managing is the owner's alone. What a caller may not see does not
exist for them; what they may see but not manage is refused.
"""

from __future__ import annotations

from typing import Any

from ..errors import NotAllowed, NotAuthenticated, NotFound
from ..hot import hot_dataclass
from ..models import Record
from ..protocol.message import RequestHead
from ..sealing import Keyring
from ..settings import Settings

MAX_IDENTITY_LENGTH = 200


@hot_dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is asking; `identity` is None for an anonymous caller.

    `former` are the identities that the same caller had under secret keys that were rotated since.
    """

    identity: str | None
    former: tuple[str, ...] = ()


ANONYMOUS = Caller(identity=None)


def caller_of(identified: Any, head: RequestHead, keyring: Keyring) -> Caller:
    """The caller of a request.

    Parameters:
        identified: what the setting `identify` returned, None where it is not set.
        head: the request.
        keyring: makes the fingerprint of credentials, which are never kept themselves.

    Raises:
        TypeError: `identify` returned something that is neither None, text, a number nor a user object.
    """
    identity = _identity_text(identified)
    if identity is None:
        authorization = head.header(b"authorization")
        return _known_by("auth:", authorization, keyring) if authorization else ANONYMOUS
    if len(identity) > MAX_IDENTITY_LENGTH:
        return _known_by("long:", identity.encode("utf-8", "surrogatepass"), keyring)
    return Caller(identity=identity)


def _known_by(prefix: str, data: bytes, keyring: Keyring) -> Caller:
    former = tuple(prefix + fingerprint for fingerprint in keyring.former_fingerprints(data))
    return Caller(identity=prefix + keyring.fingerprint(data), former=former)


def _identity_text(identified: Any) -> str | None:
    if identified is None or identified == "":
        return None
    if isinstance(identified, str):
        return identified
    if isinstance(identified, int) and not isinstance(identified, bool):
        return str(identified)
    if getattr(identified, "is_authenticated", True) is False:
        return None
    # Django's users have a primary key; Starlette's have a display name, and an identity that may not be implemented.
    for attribute in ("pk", "identity", "username", "display_name"):
        try:
            value = getattr(identified, attribute)
        except (AttributeError, NotImplementedError):
            continue
        if value not in (None, ""):
            return str(value)
    raise TypeError(
        "identify must return None, a text, a number or a user object (pk, identity, username or display_name), "
        f"not {type(identified).__name__}"
    )


def check_authorized(answer: Any, caller: Caller, place: str | None = None) -> None:
    """Refuse where the setting `authorize` returned something false.

    Parameters:
        place: of the request in a batch, such as `requests[3]`; None where it was sent by itself.

    Raises:
        NotAuthenticated: nobody knows who is asking.
        NotAllowed: this caller may not.
    """
    if answer:
        return
    where = "" if place is None else f"{place}: "
    if caller.identity is None:
        raise NotAuthenticated(f"{where}Requests in the background need credentials here.")
    raise NotAllowed(f"{where}You may not run this request in the background.")


def check_readable(record: Record | None, caller: Caller, settings: Settings) -> Record:
    """Return the record if this caller may read it.

    Raises:
        NotFound: there is none, or not for them.
    """
    if record is None:
        raise NotFound
    if settings.access == "authenticated" and caller.identity is None:
        raise NotFound
    if settings.access == "owner" and not _owns(record, caller):
        raise NotFound
    return record


def check_manageable(record: Record | None, caller: Caller, settings: Settings) -> Record:
    """Return the record if this caller may manage it: the owner, or anyone who has the id of an anonymous one's.

    Raises:
        NotFound: there is none, or not for them.
        NotAllowed: they may read it, but it is not theirs.
    """
    if record is not None and _owns(record, caller):
        return record
    check_readable(record, caller, settings)
    raise NotAllowed("This background request belongs to someone else.")


def _owns(record: Record, caller: Caller) -> bool:
    return record.owner is None or record.owner == caller.identity or record.owner in caller.former
