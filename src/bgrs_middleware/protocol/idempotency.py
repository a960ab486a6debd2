"""The header `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a name for one thing that is to be done.

Same caller, same key, same request: the background request that there is already. What the store keeps of it are two
digests, from which neither the key nor who sent it nor what was asked can be read. A key that cannot be understood is
refused, because who sends one relies on it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from ..errors import BadRequest
from ..orders import Idempotency
from .message import RequestHead

IDEMPOTENCY_KEY = b"idempotency-key"
MAX_KEY_LENGTH = 255

# RFC 9651, section 4.2. Possessive, so that no input makes it backtrack. Of a parameter only the form counts: what it
# says is ignored.
_STRING = rb'"((?:[ !#-\[\]-~]|\\["\\])*+)"'
_BARE_ITEM = (
    rb"(?:-?[0-9]{1,12}\.[0-9]{1,3}(?![0-9.])"
    rb"|-?[0-9]{1,15}(?![0-9.])"
    rb"|@-?[0-9]{1,15}(?![0-9.])"
    rb'|"(?:[ !#-\[\]-~]|\\["\\])*+"'
    rb"|[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*+"
    rb"|:[A-Za-z0-9+/=]*+:"
    rb"|\?[01]"
    rb'|%"(?:[ !#$&-~]|%[0-9a-f]{2})*+")'
)
_PARAMETERS = rb"(?:; *+[a-z*][a-z0-9_\-.*]*+(?:=" + _BARE_ITEM + rb")?+)*+"
_ITEM = re.compile(rb" *+" + _STRING + _PARAMETERS + rb"[ \t]*+(?:,[ \t]*+(?=[^ \t])|\Z)")
_ESCAPE = re.compile(rb"\\(.)")


def read_key(head: RequestHead) -> str | None:
    """Return the key of a request, or None where it has no such header.

    The value is an Item of RFC 9651 whose type is String; its parameters are ignored. The header may come twice, as
    some proxies do it, as long as it says the same: a gateway may have joined the lines already.

    Raises:
        BadRequest: it is no such Item, it is empty or too long, or it is given twice with different keys.
    """
    lines = head.header_values(IDEMPOTENCY_KEY)
    if not lines:
        return None
    keys = set(_items(b",".join(lines)))
    if len(keys) > 1:
        raise BadRequest("Idempotency-Key is given more than once, with different keys.")
    key = keys.pop()
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        raise BadRequest(f"Idempotency-Key takes a key of 1 to {MAX_KEY_LENGTH} characters.")
    return key


def _items(value: bytes) -> list[str]:
    keys: list[str] = []
    start = 0
    while start < len(value) or not keys:
        item = _ITEM.match(value, start)
        if item is None:
            raise BadRequest('Idempotency-Key takes a key in double quotes, such as "8e03978e-40d5-43dd-bc93".')
        keys.append(_ESCAPE.sub(rb"\1", item[1]).decode("ascii"))
        start = item.end()
    return keys


def idempotency_of(
    key: str, head: RequestHead, query: bytes, body_sha256: bytes, *, identity: str | None, former: Sequence[str] = ()
) -> Idempotency:
    """Return what the key of a request means to the store.

    Parameters:
        key: what `read_key` returned.
        head: the request as received: its method and path are part of what the key stands for.
        query: the query that is replayed: who waits for another time, or asks in another way, asks for the same.
        body_sha256: the digest of the body as received.
        identity: the caller's, None for an anonymous one; all of these share one space of keys. Cookies may tell the
            application who they are: with others, what is asked for is not the same.
        former: identities that the same caller had before.
    """
    cookies = head.header_values(b"cookie") if identity is None else ()
    return Idempotency(
        key=_digest_of_key(key, identity),
        # With the key, which is hard to guess, so that nobody can try out what was asked.
        fingerprint=_digest(key.encode(), head.method.encode(), head.raw_path, query, body_sha256, *cookies),
        former_keys=tuple(_digest_of_key(key, each) for each in former),
    )


def _digest_of_key(key: str, identity: str | None) -> str:
    return _digest(key.encode(), *(() if identity is None else (identity.encode("utf-8", "surrogatepass"),)))


def _digest(*parts: bytes) -> str:
    """SHA-256 in hex, of parts of which each tells its length, so that no two lists of parts look alike."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()
