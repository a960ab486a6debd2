"""Who is asking: identities from `identify`, from credentials, across a rotation of keys; and who may do what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bgrs_middleware.errors import NotAllowed, NotAuthenticated, NotFound
from bgrs_middleware.protocol.message import RequestHead
from bgrs_middleware.sealing import Keyring
from bgrs_middleware.service.callers import Caller, caller_of, check_authorized, check_manageable, check_readable
from bgrs_middleware.settings import Settings
from protocol.samples import record

OLD, NEW = "o" * 32, "n" * 32
ANONYMOUS = Caller(identity=None)
RECORD = record(owner="ada")


def head(authorization: bytes | None = None) -> RequestHead:
    headers = () if authorization is None else ((b"authorization", authorization),)
    return RequestHead(method="GET", path="/", root_path="", raw_path=b"/", query=b"", headers=headers)


class DjangoUser:
    is_authenticated = True
    pk = 7


class StarletteUser:
    is_authenticated = True
    display_name = "ada"

    @property
    def identity(self):
        raise NotImplementedError


class Nobody:
    is_authenticated = False
    pk = None


@pytest.mark.parametrize(
    ("identified", "identity"),
    [
        ("ada", "ada"),
        (7, "7"),
        (DjangoUser(), "7"),
        (StarletteUser(), "ada"),
        (None, None),
        ("", None),
        (Nobody(), None),
    ],
)
def test_what_identify_returns_becomes_an_identity(identified, identity):
    assert caller_of(identified, head(), Keyring([NEW])).identity == identity


@pytest.mark.parametrize("identified", [True, 1.5, b"ada", object()])
def test_what_is_no_identity_is_a_fault_that_says_so(identified):
    with pytest.raises(TypeError, match="identify must return"):
        caller_of(identified, head(), Keyring([NEW]))


def test_credentials_make_an_identity_that_does_not_tell_them():
    keyring = Keyring([NEW])
    ada, bob = (caller_of(None, head(value), keyring).identity for value in (b"Bearer ada", b"Bearer bob"))
    assert ada is not None
    assert ada.startswith("auth:")
    assert "ada" not in ada
    assert ada != bob
    assert ada == caller_of(None, head(b"Bearer ada"), keyring).identity


def test_an_identity_of_any_length_is_kept_short():
    long = caller_of("x" * 10_000, head(), Keyring([NEW])).identity
    assert long is not None
    assert len(long) < 100
    assert long != caller_of("x" * 10_001, head(), Keyring([NEW])).identity


def test_who_is_known_by_credentials_stays_the_owner_when_keys_are_rotated():
    before = caller_of(None, head(b"Bearer ada"), Keyring([OLD]))
    after = caller_of(None, head(b"Bearer ada"), Keyring([NEW, OLD]))
    other = caller_of(None, head(b"Bearer bob"), Keyring([NEW, OLD]))
    theirs = replace(RECORD, owner=before.identity)
    assert before.identity != after.identity
    assert check_manageable(theirs, after, Settings()) is theirs
    with pytest.raises(NotAllowed):
        check_manageable(theirs, other, Settings())


READERS = {
    # who: (link, authenticated, owner)
    "ada": (True, True, True),
    "bob": (True, True, False),
    None: (True, False, False),
}


@pytest.mark.parametrize("access", ["link", "authenticated", "owner"])
@pytest.mark.parametrize("identity", READERS)
def test_reading_follows_the_access_and_managing_is_the_owners(access, identity):
    may_read = READERS[identity][("link", "authenticated", "owner").index(access)]
    caller, settings = Caller(identity=identity), Settings(access=access)
    if may_read:
        assert check_readable(RECORD, caller, settings) is RECORD
    else:
        with pytest.raises(NotFound):
            check_readable(RECORD, caller, settings)
    if identity == "ada":
        assert check_manageable(RECORD, caller, settings) is RECORD
    else:
        with pytest.raises(NotAllowed if may_read else NotFound):
            check_manageable(RECORD, caller, settings)


@pytest.mark.parametrize("access", ["link", "authenticated", "owner"])
def test_an_anonymous_ones_request_is_managed_by_whoever_has_the_id(access):
    theirs = replace(RECORD, owner=None)
    assert check_manageable(theirs, ANONYMOUS, Settings(access=access)) is theirs


def test_what_does_not_exist_is_not_found():
    with pytest.raises(NotFound):
        check_readable(None, ANONYMOUS, Settings())
    with pytest.raises(NotFound):
        check_manageable(None, Caller(identity="ada"), Settings())


def test_authorize_refuses_by_who_is_asking():
    check_authorized(True, ANONYMOUS)
    with pytest.raises(NotAuthenticated):
        check_authorized(False, ANONYMOUS)
    with pytest.raises(NotAllowed):
        check_authorized(None, Caller(identity="ada"))
