"""Encryption of what waits to be replayed: headers with credentials in them, and bodies.

`Keyring` holds the keys; small things are sealed whole (AES-256-GCM), large bodies in pieces as they arrive, the way
the age format does it (https://age-encryption.org/v1, "Payload"), so that a body that was cut short, extended or put
together anew is never taken for the real one. Everything is bound to a context, the rid: nothing sealed for one
request opens for another.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .bodies.base import BodyReader, BodyWriter
from .errors import SealError, SettingsError
from .keyfile import read_or_make_key

if TYPE_CHECKING:
    from .settings import Settings

MIN_SECRET_LENGTH: Final = 16
CHUNK_BYTES: Final = 64 * 1024
TAG_BYTES: Final = 16

_WHOLE: Final = b"\x01"
_STREAM: Final = b"\x02"
_KEY_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_SALT_BYTES: Final = 16
_WHOLE_HEADER_BYTES: Final = 1 + _KEY_ID_BYTES
_STREAM_HEADER_BYTES: Final = 1 + _KEY_ID_BYTES + _SALT_BYTES

_CHANGED: Final = "What was sealed has been changed, or belongs to another request."
_UNKNOWN_KEY: Final = "It was sealed with a key that is not among secret_keys any more."


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class _Key:
    """One secret and what is derived from it, each for one purpose."""

    id: bytes
    secret: bytes
    cipher: Any
    stream_secret: bytes
    fingerprint_secret: bytes


def make_keyring(settings: Settings) -> Keyring:
    """Return the keys of `secret_keys`, or of the key file in `data_dir`, which is made where there is none.

    Touches the disk: called in the process that uses it, when it is first needed.

    Raises:
        SettingsError: a key is too short, or the key file is not usable.
        DiskFull, StoreUnavailable: the key file could not be read or made just now.
    """
    return Keyring(settings.secret_keys or (read_or_make_key(settings.data_dir),))


class Keyring:
    """Keys, newest first. The newest seals; all of them open. Safe for use from several threads.

    To rotate, put a new secret before the old one, and drop the old one when nothing it sealed is waiting any more
    (`max_queue_seconds` + `retry_seconds`). Nonces are random: one secret is good for 2^32 requests (NIST SP 800-38D,
    section 8.3).

    Parameters:
        secrets: texts of at least 16 characters. They are not stretched: random ones, not passwords.

    Raises:
        SettingsError: there is none, or one is too short.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets or any(len(secret) < MIN_SECRET_LENGTH for secret in secrets):
            raise SettingsError(f"secret_keys: each key is a text of at least {MIN_SECRET_LENGTH} characters")
        keys = [_key_of(secret.encode("utf-8", "surrogatepass")) for secret in secrets]
        self._newest = keys[0]
        self._keys = {key.id: key for key in keys}

    def seal(self, data: bytes, *, context: bytes) -> bytes:
        """Encrypt `data`, to be opened with the same `context` only (AES-256-GCM, RFC 5116)."""
        header = _WHOLE + self._newest.id
        nonce = os.urandom(_NONCE_BYTES)
        sealed: bytes = self._newest.cipher.encrypt(nonce, data, header + context)
        return header + nonce + sealed

    def open(self, data: bytes, *, context: bytes) -> bytes:
        """Decrypt what `seal` returned.

        Raises:
            SealError: it was changed, was sealed for another context, or its key is not in this keyring.
        """
        if len(data) < _WHOLE_HEADER_BYTES + _NONCE_BYTES + TAG_BYTES or data[:1] != _WHOLE:
            raise SealError("This is not in the sealed format.")
        header, rest = data[:_WHOLE_HEADER_BYTES], data[_WHOLE_HEADER_BYTES:]
        key = self._keys.get(header[1:])
        if key is None:
            raise SealError(_UNKNOWN_KEY)
        return _decrypted(key.cipher, rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], header + context)

    def fingerprint(self, data: bytes) -> str:
        """Return 32 hex characters that stand for `data` and do not tell it (HMAC-SHA256, the first half).

        Made with the newest key; when that is rotated, the same data get another fingerprint.
        """
        return _fingerprint(self._newest, data)

    def former_fingerprints(self, data: bytes) -> tuple[str, ...]:
        """Return the fingerprints of `data` by the older keys: what `fingerprint` returned before they were rotated."""
        return tuple(_fingerprint(key, data) for key in self._keys.values() if key is not self._newest)

    def signing_key(self, purpose: str) -> bytes:
        """Return 32 bytes for signing things of one purpose, such as page tokens; from the newest key."""
        return _derived(self._newest.secret, b"sign " + purpose.encode())

    def _stream_header(self) -> bytes:
        return _STREAM + self._newest.id + os.urandom(_SALT_BYTES)

    def _stream_cipher(self, header: bytes, context: bytes) -> Any:
        """The cipher of one stream, from its header and context."""
        if len(header) < _STREAM_HEADER_BYTES or header[:1] != _STREAM:
            raise SealError("This is not in the sealed format of a large body.")
        key = self._keys.get(header[1 : 1 + _KEY_ID_BYTES])
        if key is None:
            raise SealError(_UNKNOWN_KEY)
        return _aes(_derived(key.stream_secret, b"payload " + context, salt=header[1 + _KEY_ID_BYTES :]))


class SealedWriter:
    """Encrypts a large body on its way into a `BodyWriter`, in chunks of 64 KiB.

    Parameters:
        writer: where it goes; ended together with this one.
        keyring: whose newest key seals it.
        context: the rid.
    """

    def __init__(self, writer: BodyWriter, keyring: Keyring, context: bytes) -> None:
        self._writer = writer
        # Goes out with the first chunk.
        self._header = keyring._stream_header()
        self._cipher = keyring._stream_cipher(self._header, context)
        self._held = bytearray()
        self._count = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append. One chunk is always held back: only the end tells whether it was the last.

        Raises:
            DiskFull, BodyError: as of the writer below.
        """
        rest = memoryview(data).cast("B")
        while len(self._held) + len(rest) > CHUNK_BYTES:
            room = CHUNK_BYTES - len(self._held)
            if self._held:
                self._held += rest[:room]
                self._put(self._held, is_last=False)
                self._held.clear()
            else:
                self._put(rest[:room], is_last=False)
            rest = rest[room:]
        self._held += rest

    def seal(self) -> None:
        """Write the last chunk and seal the writer below.

        Raises:
            DiskFull, BodyError: as of the writer below.
        """
        self._put(self._held, is_last=True)
        self._held.clear()
        self._writer.seal()

    def discard(self) -> None:
        """Leave nothing behind. Idempotent."""
        self._held.clear()
        self._writer.discard()

    def _put(self, chunk: bytearray | memoryview, *, is_last: bool) -> None:
        sealed = self._cipher.encrypt(_chunk_nonce(self._count, is_last), chunk, None)
        # Counted before it goes out: whatever happens to it, its nonce is used up.
        self._count += 1
        header, self._header = self._header, b""
        self._writer.write(header + sealed)


class SealedReader:
    """Decrypts what `SealedWriter` wrote. Its last chunk is tried at once, so a body cut short is not even begun.

    Parameters:
        reader: where it lies; closed with this one, and when this one cannot be made.
        keyring: must hold the key that sealed it.
        context: what it was sealed with.

    Raises:
        SealError: it was changed, cut short or extended, or the key is missing.
        BodyError: it could not be read.
    """

    def __init__(self, reader: BodyReader, keyring: Keyring, context: bytes) -> None:
        self._reader = reader
        try:
            self._cipher = keyring._stream_cipher(self._read(0, _STREAM_HEADER_BYTES), context)
            sealed_bytes = reader.size - _STREAM_HEADER_BYTES
            self._count = max(1, -(-sealed_bytes // (CHUNK_BYTES + TAG_BYTES)))
            self.length = sealed_bytes - self._count * TAG_BYTES
            last = self._chunk(self._count - 1)
            if not last and self._count > 1:
                # Only an empty body ends with an empty chunk.
                raise SealError(_CHANGED)
        except BaseException:
            reader.close()
            raise

    def pieces(self) -> Iterator[bytes]:
        """The plain bytes in order, in pieces of at most 64 KiB; each is genuine when it is given out.

        Raises:
            SealError: it was changed.
            BodyError: it could not be read.
        """
        for index in range(self._count):
            piece = self._chunk(index)
            if piece:
                yield piece

    def close(self) -> None:
        """Close the reader below. Idempotent."""
        self._reader.close()

    def _chunk(self, index: int) -> bytes:
        sealed = self._read(_STREAM_HEADER_BYTES + index * (CHUNK_BYTES + TAG_BYTES), CHUNK_BYTES + TAG_BYTES)
        return _decrypted(self._cipher, _chunk_nonce(index, index == self._count - 1), sealed, None)

    def _read(self, offset: int, length: int) -> bytes:
        """So many bytes, or fewer at the end: a reader may return less than there is."""
        data = self._reader.read(offset, length)
        while 0 < len(data) < length and (more := self._reader.read(offset + len(data), length - len(data))):
            data += more
        return data


def _chunk_nonce(index: int, is_last: bool) -> bytes:
    """An 11-byte big-endian counter, then 1 for the last chunk and 0 for the others."""
    return index.to_bytes(11, "big") + (b"\x01" if is_last else b"\x00")


def _key_of(secret: bytes) -> _Key:
    return _Key(
        id=_derived(secret, b"key id")[:_KEY_ID_BYTES],
        secret=secret,
        cipher=_aes(_derived(secret, b"seal")),
        stream_secret=_derived(secret, b"stream"),
        fingerprint_secret=_derived(secret, b"fingerprint"),
    )


def _fingerprint(key: _Key, data: bytes) -> str:
    return hmac.digest(key.fingerprint_secret, data, "sha256").hex()[:32]


def _aes(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _derived(secret: bytes, purpose: bytes, *, salt: bytes | None = None) -> bytes:
    """32 bytes for one purpose (HKDF with SHA-256, RFC 5869)."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=b"bgrs_middleware v1 " + purpose).derive(secret)


def _decrypted(cipher: Any, nonce: bytes, sealed: bytes, associated: bytes | None) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        plain: bytes = cipher.decrypt(nonce, sealed, associated)
    except InvalidTag as error:
        raise SealError(_CHANGED) from error
    return plain
