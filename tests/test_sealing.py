"""Encryption of what waits: what was sealed opens for its own request, and nothing that was changed opens at all."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bgrs_middleware.bodies import MemoryBodies
from bgrs_middleware.bodies.base import BodyReader
from bgrs_middleware.errors import BodyError, SealError, SettingsError
from bgrs_middleware.sealing import CHUNK_BYTES, Keyring, SealedReader, SealedWriter, make_keyring
from bgrs_middleware.settings import Settings

RID = b"0123456789abcdef" * 2
OTHER_RID = b"fedcba9876543210" * 2
KEYS = Keyring(["the first secret of the tests"])
HEADER, SEALED_CHUNK = 25, CHUNK_BYTES + 16
BOUNDARIES = [0, 1, 65_535, 65_536, 65_537, 2 * 65_536 - 1, 2 * 65_536, 2 * 65_536 + 1, 3 * 65_536]


class Held(BodyReader):
    """Bytes as a body, given out at most `at_once` at a time."""

    def __init__(self, data: bytes, at_once: int = 1 << 30) -> None:
        self.data = data
        self.size = len(data)
        self.at_once = at_once
        self.is_closed = False

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + min(length, self.at_once)]

    def close(self) -> None:
        self.is_closed = True


def sealed_stream(*pieces: bytes, keys: Keyring = KEYS, context: bytes = RID) -> bytes:
    bodies, name = MemoryBodies(), "ab" * 16
    writer = SealedWriter(bodies.create(name), keys, context)
    for piece in pieces:
        writer.write(piece)
    writer.seal()
    reader = bodies.read(name)
    return reader.read(0, reader.size)


def opened_stream(data: bytes, *, keys: Keyring = KEYS, context: bytes = RID, at_once: int = 1 << 30) -> bytes:
    reader = SealedReader(Held(data, at_once), keys, context)
    plain = b"".join(reader.pieces())
    assert len(plain) == reader.length
    return plain


@functools.cache
def three_chunks() -> tuple[bytes, bytes]:
    plain = b"a" * CHUNK_BYTES + b"b" * CHUNK_BYTES + b"c" * 1_000
    return plain, sealed_stream(plain)


# Whole.


@given(st.binary(max_size=5_000), st.binary(max_size=40))
def test_what_was_sealed_opens(data: bytes, context: bytes) -> None:
    sealed = KEYS.seal(data, context=context)
    assert KEYS.open(sealed, context=context) == data
    assert len(sealed) == len(data) + 37


def test_the_plain_text_is_nowhere_in_it_and_no_two_are_equal() -> None:
    first, second = (KEYS.seal(b"Bearer secret", context=RID) for _ in range(2))
    assert first != second
    assert b"secret" not in first + second


@given(st.data())
def test_no_changed_byte_opens(data: st.DataObject) -> None:
    sealed = bytearray(KEYS.seal(b"some plain text", context=RID))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealError):
        KEYS.open(bytes(sealed), context=RID)


@given(st.integers(0, 51))
def test_nothing_cut_short_opens(length: int) -> None:
    sealed = KEYS.seal(b"some plain text", context=RID)
    assert len(sealed) == 52
    with pytest.raises(SealError):
        KEYS.open(sealed[:length], context=RID)


def test_nothing_opens_for_another_request() -> None:
    with pytest.raises(SealError, match="another request"):
        KEYS.open(KEYS.seal(b"data", context=RID), context=OTHER_RID)


def test_nothing_opens_with_another_key() -> None:
    with pytest.raises(SealError, match="secret_keys"):
        Keyring(["a different secret"]).open(KEYS.seal(b"data", context=RID), context=RID)


def test_after_a_rotation_old_and_new_open_and_the_newest_seals() -> None:
    old, new = Keyring(["the older secret"]), Keyring(["the newer secret"])
    both = Keyring(["the newer secret", "the older secret"])
    assert both.open(old.seal(b"from before", context=RID), context=RID) == b"from before"
    assert opened_stream(sealed_stream(b"from before", keys=old), keys=both) == b"from before"
    assert new.open(both.seal(b"from now", context=RID), context=RID) == b"from now"
    assert opened_stream(sealed_stream(b"from now", keys=both), keys=new) == b"from now"


def test_a_whole_one_and_a_stream_are_not_taken_for_each_other() -> None:
    with pytest.raises(SealError, match="format"):
        KEYS.open(sealed_stream(b"data" * 50), context=RID)
    with pytest.raises(SealError, match="format"):
        opened_stream(KEYS.seal(b"data" * 50, context=RID))


# Streams.


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.one_of(st.integers(0, 100), st.sampled_from(BOUNDARIES)), max_size=5),
    at_once=st.sampled_from([1 << 30, 50_000, 65_552]),
)
@example(lengths=[], at_once=1 << 30)
def test_a_stream_opens_however_it_was_written_and_is_read(lengths: list[int], at_once: int) -> None:
    pieces = [bytes([index]) * length for index, length in enumerate(lengths)]
    assert opened_stream(sealed_stream(*pieces), at_once=at_once) == b"".join(pieces)


@pytest.mark.parametrize("length", BOUNDARIES)
def test_the_length_and_the_pieces_at_every_boundary(length: int) -> None:
    plain = bytes(range(251)) * (length // 251 + 1)
    plain = plain[:length]
    sealed = sealed_stream(plain)
    chunks = max(1, -(-length // CHUNK_BYTES))
    assert len(sealed) == HEADER + length + 16 * chunks
    reader = SealedReader(Held(sealed), KEYS, RID)
    pieces = list(reader.pieces())
    assert reader.length == length
    assert b"".join(pieces) == plain
    assert [len(piece) for piece in pieces[:-1]] == [CHUNK_BYTES] * (len(pieces) - 1)
    assert len(pieces) == (chunks if length else 0)


def test_the_chunks_are_those_of_the_age_format() -> None:
    """Counter and last-chunk flag are the nonce: computed here again, by the format's own words."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    def derived(secret: bytes, info: bytes, salt: bytes | None = None) -> bytes:
        return HKDF(SHA256(), 32, salt, b"bgrs_middleware v1 " + info).derive(secret)

    plain, sealed = three_chunks()
    secret = derived(b"the first secret of the tests", b"stream")
    cipher = AESGCM(derived(secret, b"payload " + RID, salt=sealed[9:25]))
    payload = sealed[HEADER:]
    opened = [
        cipher.decrypt(
            bytes(10) + bytes([index]) + last, payload[index * SEALED_CHUNK : (index + 1) * SEALED_CHUNK], None
        )
        for index, last in enumerate([b"\0", b"\0", b"\1"])
    ]
    assert b"".join(opened) == plain


def test_every_stream_has_a_key_of_its_own() -> None:
    assert sealed_stream(b"data")[HEADER:] != sealed_stream(b"data")[HEADER:]


@settings(max_examples=150, deadline=None)
@given(
    place=st.one_of(
        st.integers(0, HEADER - 1),
        st.integers(HEADER, HEADER + 2 * SEALED_CHUNK + 1_015),
        st.sampled_from([HEADER + SEALED_CHUNK - 1, HEADER + SEALED_CHUNK, HEADER + 2 * SEALED_CHUNK + 1_015]),
    ),
    change=st.integers(1, 255),
)
def test_a_changed_byte_anywhere_in_a_stream_is_detected(place: int, change: int) -> None:
    sealed = bytearray(three_chunks()[1])
    assert len(sealed) == HEADER + 2 * SEALED_CHUNK + 1_016
    sealed[place] ^= change
    with pytest.raises(SealError):
        opened_stream(bytes(sealed))


@pytest.mark.parametrize(
    "length",
    [
        *(0, 1, HEADER - 1, HEADER, HEADER + 1, HEADER + 15, HEADER + 16, HEADER + 17),
        *(HEADER + SEALED_CHUNK - 1, HEADER + SEALED_CHUNK, HEADER + SEALED_CHUNK + 1, HEADER + SEALED_CHUNK + 16),
        *(HEADER + 2 * SEALED_CHUNK, HEADER + 2 * SEALED_CHUNK + 16, HEADER + 2 * SEALED_CHUNK + 1_015),
    ],
)
def test_a_stream_cut_short_is_not_even_begun(length: int) -> None:
    with pytest.raises(SealError):
        SealedReader(Held(three_chunks()[1][:length]), KEYS, RID)


@pytest.mark.parametrize("more", [b"x", bytes(16), bytes(SEALED_CHUNK), bytes(70_000)])
def test_an_extended_stream_is_not_even_begun(more: bytes) -> None:
    with pytest.raises(SealError):
        SealedReader(Held(three_chunks()[1] + more), KEYS, RID)


def test_a_stream_extended_by_its_own_last_chunk_is_not_even_begun() -> None:
    sealed = sealed_stream(b"x" * 2 * CHUNK_BYTES)
    with pytest.raises(SealError):
        SealedReader(Held(sealed + sealed[-SEALED_CHUNK:]), KEYS, RID)


def test_chunks_in_another_order_repeated_or_left_out_are_detected() -> None:
    sealed = three_chunks()[1]
    head, first, second, last = (
        sealed[:HEADER],
        sealed[HEADER : HEADER + SEALED_CHUNK],
        sealed[HEADER + SEALED_CHUNK : HEADER + 2 * SEALED_CHUNK],
        sealed[HEADER + 2 * SEALED_CHUNK :],
    )
    for chunks in ([second, first, last], [first, first, last], [first, last], [second, last], [first, second, first]):
        with pytest.raises(SealError):
            opened_stream(head + b"".join(chunks))


def test_an_empty_last_chunk_is_only_for_an_empty_body() -> None:
    """The holder of the key could make two encodings of one body; the format knows one."""
    bodies, name = MemoryBodies(), "ab" * 16
    writer = SealedWriter(bodies.create(name), KEYS, RID)
    writer._put(memoryview(b"x" * CHUNK_BYTES), is_last=False)
    writer.seal()
    with pytest.raises(SealError):
        SealedReader(bodies.read(name), KEYS, RID)


def test_chunks_of_another_stream_are_detected() -> None:
    plain, sealed = three_chunks()
    other = sealed_stream(plain)
    with pytest.raises(SealError):
        opened_stream(sealed[: HEADER + SEALED_CHUNK] + other[HEADER + SEALED_CHUNK :])


def test_a_stream_opens_for_its_own_request_and_key_only() -> None:
    sealed = sealed_stream(b"data")
    with pytest.raises(SealError, match="another request"):
        opened_stream(sealed, context=OTHER_RID)
    with pytest.raises(SealError, match="secret_keys"):
        opened_stream(sealed, keys=Keyring(["a different secret"]))


def test_a_body_that_shrinks_while_it_is_read_is_detected() -> None:
    held = Held(three_chunks()[1])
    reader = SealedReader(held, KEYS, RID)
    held.data = held.data[: HEADER + SEALED_CHUNK]
    with pytest.raises(SealError):
        list(reader.pieces())


def test_a_reader_that_cannot_be_opened_is_closed_and_so_is_one_that_is_closed() -> None:
    broken, sound = Held(b"not sealed"), Held(sealed_stream(b"data"))
    with pytest.raises(SealError):
        SealedReader(broken, KEYS, RID)
    reader = SealedReader(sound, KEYS, RID)
    assert broken.is_closed
    assert not sound.is_closed
    reader.close()
    assert sound.is_closed


def test_a_discarded_stream_leaves_nothing_and_takes_nothing_more() -> None:
    bodies, name = MemoryBodies(), "ab" * 16
    writer = SealedWriter(bodies.create(name), KEYS, RID)
    writer.write(b"x" * 100_000)
    writer.discard()
    writer.discard()
    with pytest.raises(BodyError):
        writer.seal()


# Keys.


def test_a_fingerprint_is_keyed_stable_and_tells_its_data_apart() -> None:
    mark = KEYS.fingerprint(b"Bearer secret")
    assert len(mark) == 32
    assert int(mark, 16) >= 0
    assert mark == Keyring(["the first secret of the tests", "an even older secret"]).fingerprint(b"Bearer secret")
    assert mark != KEYS.fingerprint(b"Bearer Secret")
    assert mark != Keyring(["another secret of the tests"]).fingerprint(b"Bearer secret")


def test_signing_keys_differ_by_purpose_and_secret() -> None:
    others = Keyring(["another secret of the tests"])
    keys = [KEYS.signing_key("page tokens"), KEYS.signing_key("share links"), others.signing_key("page tokens")]
    assert len(set(keys)) == 3
    assert all(len(key) == 32 for key in keys)
    assert keys[0] == KEYS.signing_key("page tokens")


@pytest.mark.parametrize("secrets", [[], [""], ["fifteen letters"], ["a secret that is long enough", "short"]])
def test_short_secrets_are_refused_without_being_shown(secrets: list[str]) -> None:
    with pytest.raises(SettingsError, match=r"secret_keys: .* 16 characters") as caught:
        Keyring(secrets)
    assert not any(secret and secret in str(caught.value) for secret in secrets)


def test_a_secret_is_any_text() -> None:
    keys = Keyring(["пароль из шестнадцати букв \udc80"])
    assert keys.open(keys.seal(b"data", context=RID), context=RID) == b"data"


def test_secrets_are_not_shown_by_a_repr() -> None:
    assert "the first secret" not in repr(KEYS) + repr(vars(KEYS))


def test_the_settings_keys_go_before_a_key_file() -> None:
    keys = make_keyring(Settings(secret_keys=("the first secret of the tests",), data_dir="/proc/nothing/can/be/here"))
    assert keys.open(KEYS.seal(b"data", context=RID), context=RID) == b"data"


def test_importing_it_does_not_import_cryptography() -> None:
    code = "import sys, bgrs_middleware.sealing, bgrs_middleware.bodies.spool; sys.exit('cryptography' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=True)
