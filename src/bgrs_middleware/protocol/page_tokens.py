"""What all lists share: how many entries a page has, and tokens that say where the next one begins.

A token is opaque and signed; it is bound to the list that it was made for, so that one that was tampered with, or taken
from another list, is refused and never quietly gives the wrong page.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from ..errors import BadRequest

if TYPE_CHECKING:
    from itsdangerous import URLSafeSerializer

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 200


def dump_id(secret: bytes, bound_to: tuple[object, ...], before_id: int) -> str:
    """Return the token of the page that begins below `before_id`.

    Parameters:
        bound_to: what tells this list from every other one; its `repr` must be the same in every process.
    """
    return _serializer(secret, bound_to).dumps(before_id)


def load_id(secret: bytes, bound_to: tuple[object, ...], token: str, refusal: str) -> int:
    """Return the `before_id` of a token.

    Raises:
        BadRequest: it is not a token of this list; with the text of `refusal`.
    """
    from itsdangerous import BadData

    try:
        before_id = _serializer(secret, bound_to).loads(token)
    except BadData as error:
        raise BadRequest(refusal) from error
    return int(before_id)


def _serializer(secret: bytes, bound_to: tuple[object, ...]) -> URLSafeSerializer:
    from itsdangerous import URLSafeSerializer

    # The salt is part of the key: a token of another list does not verify, and what it is bound to is not in it.
    return URLSafeSerializer(
        secret,
        salt=repr(bound_to).encode("utf-8"),
        signer_kwargs={"digest_method": hashlib.sha256},
    )


def read_size(text: str, name: str) -> int:
    """Return how many entries a page has: none, or 0, means as many as usual, and too many means as many as there may.

    Parameters:
        text: as the client sent it; empty where they sent nothing.
        name: of the parameter, for the error.

    Raises:
        BadRequest: it is negative, or no whole number.
    """
    if not re.fullmatch("[0-9]*", text):
        raise BadRequest(f"{name} takes a whole number from 0 (as many as usual) to {MAX_PAGE_SIZE}.")
    # Read no more digits than matter: `int` refuses texts of thousands of them.
    size = int(text or "0") if len(text) < 20 else MAX_PAGE_SIZE
    return min(size, MAX_PAGE_SIZE) or DEFAULT_PAGE_SIZE
