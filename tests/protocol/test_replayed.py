"""What is stored of a request for its replay, and what its record is called."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.models import Headers
from bgrs_middleware.protocol.replayed import name_of, replayed_head, type_of
from bgrs_middleware.settings import Rule, Settings
from protocol.samples import request_head

IDENTITY = (b"accept-encoding", b"identity")


def replayed(headers: Headers, body_length: int = 0) -> Headers:
    return replayed_head(request_head(headers=headers), Settings(), body_length).headers


def test_everything_else_is_replayed_as_received() -> None:
    head = replace(
        request_head(
            "POST",
            "/a/é",
            b"b=%2F&bgrs=yes&a=1&&wait_for=3&b",
            ((b"x", b"\xff"), (b"host", b"h"), (b"x", b"2"), IDENTITY),
        ),
        root_path="/a",
        client=("10.0.0.1", 5),
        server=("h", None),
        scheme="https",
        gateway=(("REMOTE_USER", "me"),),
    )
    assert replayed_head(head, Settings(), 0) == replace(head, query=b"b=%2F&a=1&&b")


def test_the_marker_that_is_removed_is_the_one_of_the_settings() -> None:
    head = request_head(query=b"bgrs=yes&later=yes")
    assert replayed_head(head, Settings(param="later"), 0).query == b"bgrs=yes"


@pytest.mark.parametrize(
    ("received", "stored"),
    [
        ((), (IDENTITY,)),
        (((b"accept-encoding", b"gzip, br"), (b"x", b"1")), (IDENTITY, (b"x", b"1"))),
        (((b"x", b"1"), (b"accept-encoding", b"gzip"), (b"accept-encoding", b"br")), ((b"x", b"1"), IDENTITY)),
    ],
)
def test_the_answer_is_captured_unencoded(received: Headers, stored: Headers) -> None:
    assert replayed(received) == stored


@pytest.mark.parametrize(
    "name", [b"range", b"if-range", b"if-none-match", b"if-modified-since", b"transfer-encoding", b"expect"]
)
def test_what_would_keep_the_whole_from_being_captured_is_dropped(name: bytes) -> None:
    assert replayed(((b"a", b"1"), (name, b"x"), (b"b", b"2"), IDENTITY, (name, b"y"))) == (
        (b"a", b"1"),
        (b"b", b"2"),
        IDENTITY,
    )


@pytest.mark.parametrize(
    "name", [b"if-match", b"if-unmodified-since", b"te", b"connection", b"cookie", b"authorization"]
)
def test_other_headers_stay(name: bytes) -> None:
    assert replayed(((name, b"x"), IDENTITY)) == ((name, b"x"), IDENTITY)


@pytest.mark.parametrize(
    ("received", "body_length", "stored"),
    [
        (((b"content-length", b"3"), IDENTITY), 3, ((b"content-length", b"3"), IDENTITY)),
        (((b"content-length", b"0"), IDENTITY), 0, ((b"content-length", b"0"), IDENTITY)),
        (((b"content-length", b"9"), IDENTITY), 5, ((b"content-length", b"5"), IDENTITY)),
        (((b"transfer-encoding", b"chunked"), IDENTITY), 5, (IDENTITY, (b"content-length", b"5"))),
        (((b"transfer-encoding", b"chunked"), IDENTITY), 0, (IDENTITY,)),
        ((IDENTITY,), 0, (IDENTITY,)),
        (
            ((b"content-length", b"5"), IDENTITY, (b"content-length", b"5")),
            5,
            ((b"content-length", b"5"), IDENTITY),
        ),
    ],
)
def test_the_length_is_that_of_the_stored_body(received: Headers, body_length: int, stored: Headers) -> None:
    assert replayed(received, body_length) == stored


def test_prefer_lines_are_cleaned_in_place() -> None:
    received = ((b"prefer", b"respond-async"), IDENTITY, (b"prefer", b"return=minimal, wait=3"), (b"prefer", b"x=1"))
    assert replayed(received) == (IDENTITY, (b"prefer", b"return=minimal"), (b"prefer", b"x=1"))


@pytest.mark.parametrize(
    ("path", "query", "name"),
    [
        ("/v2.5/users/me", b"bgrs=yes", "/v2.5/users/me?bgrs=yes"),
        ("/", b"", "/"),
        ("/a", b"b=%2F+&b=%C3%A9&&=&c", "/a?b=%2F+&b=%C3%A9&&=&c"),
        ("/é", b"x=\xff\x00 \n", "/%C3%A9?x=%FF%00%20%0A"),
        ("/a", b"token=s3cret&page=2", "/a?token=***&page=2"),
        ("/a", b"token=&page=2", "/a?token=&page=2"),
        ("/a", b"token&page", "/a?token&page"),
        ("/a", b"%74oken=s3cret", "/a?%74oken=***"),
        ("/a", b"unicode=x&keyword=y&design=z&passage=1", "/a?unicode=x&keyword=y&design=z&passage=1"),
    ],
)
def test_the_name_is_what_was_sent_in_printable_ascii(path: str, query: bytes, name: str) -> None:
    assert name_of(request_head(path=path, query=query)) == name


@pytest.mark.parametrize(
    "parameter",
    [
        "token",
        "access_token",
        "refresh-token",
        "id_token",
        "csrfToken",
        "password",
        "PASSWORD",
        "new_password",
        "passwd",
        "passphrase",
        "secret",
        "client_secret",
        "api_key",
        "apikey",
        "API-Key",
        "key",
        "X-Amz-Signature",
        "sig",
        "signature",
        "X-Amz-Security-Token",
        "X-Amz-Credential",
        "code",
        "session",
        "sessionid",
        "session_id",
        "PHPSESSID",
        "auth",
        "Authorization",
        "jwt",
        "private_key",
        "otp",
        "user[password]",
    ],
)
def test_values_that_look_like_secrets_are_masked(parameter: str) -> None:
    query = f"a=1&{parameter}=s3cr3t==&b=2".encode()
    assert name_of(request_head(path="/a", query=query)) == f"/a?a=1&{parameter}=***&b=2"


def test_a_long_name_is_cut_after_masking() -> None:
    name = name_of(request_head(path="/a", query=b"a" * 1_980 + b"&token=" + b"s" * 100 + b"&" + b"b" * 5_000))
    assert len(name) == 2_000
    assert "ss" not in name
    assert name.endswith("...")


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_name_is_short_printable_ascii(raw_path: bytes, query: bytes) -> None:
    name = name_of(replace(request_head(query=query * 20), raw_path=raw_path * 20))
    assert len(name) <= 2_000
    assert not name or (name.isascii() and name.isprintable() and " " not in name)


@pytest.mark.parametrize(
    ("method", "path", "root_path", "type_"),
    [
        ("GET", "/v2.5/users/me", "", "GET_V2_5_USERS_ME"),
        ("GET", "/mounted/v2.5/users/me", "/mounted", "GET_V2_5_USERS_ME"),
        ("POST", "/", "", "POST"),
        ("POST", "/a//b-_c/", "", "POST_A_B_C"),
        ("M-SEARCH", "/x", "", "M_SEARCH_X"),
        ("GET", "/straße/ü", "", "GET_STRA_E"),
    ],
)
def test_the_type_is_method_and_path_in_capitals(method: str, path: str, root_path: str, type_: str) -> None:
    assert type_of(replace(request_head(method, path), root_path=root_path), None) == type_


def test_a_rule_may_name_the_type() -> None:
    assert type_of(request_head(path="/a"), Rule(path="/a", type="PROCESS_DOCUMENT")) == "PROCESS_DOCUMENT"
    assert type_of(request_head(path="/a"), Rule(path="/a")) == "GET_A"


def test_a_derived_type_has_at_most_200_characters() -> None:
    assert type_of(request_head(path="/" + "a" * 300), None) == "GET_" + "A" * 196
