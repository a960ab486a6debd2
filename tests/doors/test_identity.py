"""Who may do what (CONTRACT, section 7): identities, the three kinds of access, the owner's alone, `authorize`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from .door import Door, Kind

ANN = [("Authorization", "Bearer ann")]
BEN = [("Authorization", "Bearer ben")]
NOBODY: list[tuple[str, str]] = []


def header_of(gateway: Any, name: str) -> str | None:
    """A header of the scope or the environ that a callback is given."""
    if "headers" in gateway:
        found = [value.decode() for key, value in gateway["headers"] if key == name.encode()]
        return found[0] if found else None
    value: str | None = gateway.get("HTTP_" + name.upper().replace("-", "_"))
    return value


def by_header(gateway) -> str | None:
    return header_of(gateway, "x-user")


def user(name: str) -> list[tuple[str, str]]:
    return [("X-User", name)]


def reads(door: Door, rid: str, headers) -> list[int]:
    return [door.get(path, headers).status for path in (f"/bgrs/{rid}", f"/bgrs/{rid}/result")]


def manages(door: Door, rid: str, headers) -> list[int]:
    """Details, cancel, retry, delete."""
    return [
        door.get(f"/bgrs/{rid}/details", headers).status,
        door.call("POST", f"/bgrs/{rid}/cancel", headers).status,
        door.call("POST", f"/bgrs/{rid}/retry", headers).status,
        door.call("DELETE", f"/bgrs/{rid}", headers).status,
    ]


OF_AN_ENDED_ONE = [200, 409, 409, 204]


@pytest.mark.parametrize(
    ("access", "for_nobody", "for_ben"), [("link", 200, 200), ("authenticated", 404, 200), ("owner", 404, 404)]
)
def test_reading_follows_access_and_managing_is_the_owners(
    open_door, access: str, for_nobody: int, for_ben: int
) -> None:
    door = open_door(access=access)
    rid = door.ask("/items", ANN)
    door.ended(rid, ANN)
    assert reads(door, rid, ANN) == [200, 200]
    assert reads(door, rid, NOBODY) == [for_nobody] * 2
    assert reads(door, rid, BEN) == [for_ben] * 2
    # What may be read but not managed is refused; what may not be read does not exist.
    assert manages(door, rid, NOBODY) == [403 if for_nobody == 200 else 404] * 4
    assert manages(door, rid, BEN) == [403 if for_ben == 200 else 404] * 4
    assert manages(door, rid, ANN) == OF_AN_ENDED_ONE


@pytest.mark.parametrize("access", ["link", "owner"])
def test_an_anonymous_ones_request_is_whoevers_has_the_id(open_door, access: str) -> None:
    door = open_door(access=access)
    for headers in (NOBODY, ANN):
        rid = door.ask("/items")
        door.ended(rid)
        assert door.status(rid)["user_id"] is None
        assert reads(door, rid, headers) == [200, 200]
        assert manages(door, rid, headers) == OF_AN_ENDED_ONE


def test_without_identify_the_owner_is_a_fingerprint_that_tells_nothing(open_door) -> None:
    door = open_door()
    first, again, other = (door.ended(door.ask("/items", headers), headers) for headers in (ANN, ANN, BEN))
    assert first["user_id"] == again["user_id"] != other["user_id"]
    assert first["user_id"].startswith("auth:")
    assert "ann" not in first["user_id"]


def test_the_fingerprint_is_of_this_installation(open_door, tmp_path) -> None:
    owners = set()
    for name in ("one", "two"):
        door = open_door(data_dir=tmp_path / name)
        owners.add(door.ended(door.ask("/items", ANN), ANN)["user_id"])
    assert len(owners) == 2


def test_identify_tells_who_is_calling(open_door) -> None:
    door = open_door(identify=by_header, access="owner")
    rid = door.ask("/items", user("ann"))
    assert door.ended(rid, user("ann"))["user_id"] == "ann"
    assert reads(door, rid, user("ben")) == [404, 404]
    # Where identify knows nobody, the credentials are the identity.
    second = door.ask("/items", ANN)
    assert door.ended(second, ANN)["user_id"].startswith("auth:")


@pytest.mark.parametrize(
    ("identified", "identity"),
    [
        (None, None),
        ("", None),
        (7, "7"),
        ("ann", "ann"),
        (SimpleNamespace(is_authenticated=False, pk=1), None),
        (SimpleNamespace(is_authenticated=True, pk=12), "12"),
        (SimpleNamespace(is_authenticated=True, display_name="ann"), "ann"),
    ],
)
def test_identify_may_return_a_text_a_number_or_a_user(open_door, identified, identity: str | None) -> None:
    door = open_door(identify=lambda _: identified)
    rid = door.ask("/items")
    assert door.ended(rid)["user_id"] == identity


def test_a_very_long_identity_is_kept_by_its_fingerprint(open_door) -> None:
    door = open_door(identify=lambda _: "a" * 5000)
    owner = door.ended(door.ask("/items"))["user_id"]
    assert owner.startswith("long:")
    assert len(owner) < 200


def test_identify_and_authorize_may_be_coroutines_under_asgi(open_door, kind: Kind) -> None:
    async def identify(gateway):
        return by_header(gateway)

    async def authorize(gateway):
        return by_header(gateway) == "ann"

    if kind == "asgi":
        door = open_door(identify=identify, authorize=authorize)
        rid = door.ask("/items", user("ann"))
        assert door.ended(rid)["user_id"] == "ann"
        assert door.get("/items?bgrs=yes", user("ben")).status == 403


@pytest.mark.parametrize("setting", ["identify", "authorize", "operations_parent"])
def test_a_coroutine_is_no_answer_under_wsgi(open_door, kind: Kind, setting: str, caplog) -> None:
    """It would count as a yes, without having been run."""

    async def refuse(gateway):
        return None

    if kind == "wsgi":
        door = open_door(**{setting: refuse})
        assert door.get("/items?bgrs=yes").status == 500
        assert f"{setting}: an async function is not usable under WSGI" in caplog.text
        assert door.service._store.count_queued() == 0


def test_authorize_refuses_before_anything_is_read_or_recorded(open_door) -> None:
    door = open_door(identify=by_header, authorize=lambda gateway: by_header(gateway) == "ann")
    assert door.get("/items?bgrs=yes", user("ann")).status == 202
    refused = door.call("POST", "/items?bgrs=yes", user("ben"), b"x" * 200_000)
    assert (refused.status, refused.header("content-type")) == (403, "application/problem+json")
    assert door.get("/items?bgrs=yes").status == 401
    # An ordinary request, and reading, are not what it is asked about.
    assert door.get("/items", user("ben")).status == 200
    assert door.ended(door.ask("/items", user("ann")))["id"] == "2"


def test_the_owner_belongs_to_the_record(open_door) -> None:
    """Another process on the same data knows it too."""
    first, second = open_door(executor="worker", access="owner"), open_door(executor="worker", access="owner")
    rid = first.ask("/items", ANN)
    assert second.get(f"/bgrs/{rid}", ANN).status == 200
    assert second.get(f"/bgrs/{rid}", BEN).status == 404
