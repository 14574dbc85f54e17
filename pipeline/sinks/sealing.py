"""Encryption at rest: bytes and sound in frames of AES-256-GCM, with a key from the environment (extra ``encryption``).

A file is `MAGIC`, 16 bytes of salt, and frames: four bytes of length, then the ciphertext with its tag. Each file has a key
of its own (HKDF-SHA256 of the key and the salt), and each frame its number as nonce. So a frame cannot be changed, moved or
taken into another file unseen; a file that a killed process left ends with its last whole frame.
"""

from __future__ import annotations

import base64
import io
import json
import os
import secrets
import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.audio.resampling import to_pcm16
from pipeline.errors import BadInput, DeviceError
from pipeline.events import AudioChunk, Samples
from pipeline.sinks.audio_writer import AudioWriter
from pipeline.sinks.writing import RecordFile

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY = "TRANSLATE_LIVE_STORE_KEY"
KEY_BYTES, SALT_BYTES = 32, 16
MAGIC = b"TLSEAL1\n"
SUFFIX = ".sealed"
_LENGTH = struct.Struct(">I")
_SILENCE = struct.Struct(">BQ")  # 0, samples: an odd number of bytes, which sound has never


def store_key() -> bytes | None:
    """Read the key of the environment, none if none is set; raises `BadInput` for what is none, or without the package."""
    given = os.environ.get(KEY, "").strip()
    if not given:
        return None
    try:
        key = base64.b64decode(given, validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise BadInput(f"{KEY} is not the base64 of {KEY_BYTES} bytes", hint="openssl rand -base64 32", code="store_key")
    if find_spec("cryptography") is None:
        hint = "pip install 'translate-live[encryption]'"
        raise BadInput(f"{KEY} is set, and encryption needs the package cryptography", hint=hint)
    return key


class Sealed:
    """Encryption of the frames of one file, in order; ``head`` stands before them."""

    def __init__(self, key: bytes) -> None:
        salt = secrets.token_bytes(SALT_BYTES)
        self.head = MAGIC + salt
        self._cipher = _cipher(key, salt)
        self._count = 0

    def frame(self, data: bytes) -> bytes:
        """Encrypt the next frame."""
        sealed = self._cipher.encrypt(_nonce(self._count), data, MAGIC)
        self._count += 1
        return _LENGTH.pack(len(sealed)) + sealed


def sealed(data: bytes) -> bytes:
    """Encrypt bytes if a key is set; else give them as they are."""
    key = store_key()
    if key is None:
        return data
    one = Sealed(key)
    return one.head + one.frame(data)


def unsealed(file: Path) -> bytes:
    """Read a file, decrypted if it is encrypted; raises `BadInput` without the right key, and `OSError`."""
    data = file.read_bytes()
    return b"".join(frames(file, data)) if data.startswith(MAGIC) else data


def frames(file: Path, data: bytes) -> Iterator[bytes]:
    """Decrypt the whole frames of a file; raises `BadInput` without the right key, and for one that was changed."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - of an extra

    key = store_key()
    if key is None:
        raise BadInput(f"{file} is encrypted", hint=f"set {KEY}", code="store_key")
    at, count = len(MAGIC) + SALT_BYTES, 0
    cipher = _cipher(key, data[len(MAGIC) : at])
    while at + _LENGTH.size <= len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if at + length > len(data):
            return
        try:
            yield cipher.decrypt(_nonce(count), data[at : at + length], MAGIC)
        except InvalidTag:
            message = f"{KEY} is not the key that {file} was encrypted with, or it was changed"
            raise BadInput(message, code="store_key") from None
        at, count = at + length, count + 1


class SealedAudio:
    """A writer of mono 16-bit sound, encrypted, as `AudioWriter` is of plain; `unsealed_audio` makes a sound file of it."""

    def __init__(self, path: Path, sample_rate: int, comment: str, key: bytes) -> None:
        self.path = path
        self._sealed = Sealed(key)
        self._file = RecordFile(path, private=True)
        about = {"rate": sample_rate, "comment": comment}
        self._file.add(self._sealed.head + self._sealed.frame(json.dumps(about).encode()))

    def write(self, samples: Samples) -> None:
        """Append float32 samples [n]; what is outside of -1..1 is clipped. Raises `DeviceError`."""
        self._file.add(self._sealed.frame(to_pcm16(samples).tobytes()))

    def silence(self, samples: int) -> None:
        """Append silence, as one number in a frame: sound has an even number of bytes."""
        self._file.add(self._sealed.frame(_SILENCE.pack(0, samples)))

    def close(self) -> None:
        """Finish the file; idempotent."""
        self._file.close()


class SealedText:
    """Text that is written encrypted beside ``path``, a record at a time; after one that failed nothing more."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._sealed = Sealed(key)
        self._failed = False
        self._file = RecordFile(path.with_name(path.name + SUFFIX), private=True)
        self._file.add(self._sealed.head + self._sealed.frame(json.dumps({"text": path.name}).encode()))

    def add(self, record: str) -> None:
        """Append one record; raises `DeviceError`."""
        if self._failed:  # a frame is missing: those after it could not be read
            return
        try:
            self._file.add(self._sealed.frame(record.encode(errors="replace")))
        except DeviceError:
            self._failed = True
            raise

    def close(self) -> None:
        """Give the file back; idempotent."""
        self._file.close()


def unsealed_recording(file: Path, out: Path) -> str:
    """Write what an encrypted recording holds, sound or text, to a file; tells how much it is. Raises `BadInput`."""
    about, pieces = _opened(file)
    if "text" not in about:
        return f"{unsealed_audio(file, out):.1f} s"
    text = RecordFile(out, private=True)
    try:
        size = 0
        for piece in pieces:
            text.add(piece)
            size += len(piece)
    finally:
        text.close()
    return f"{size} bytes of text"


def unsealed_audio(file: Path, out: Path) -> float:
    """Write the sound of an encrypted recording to a .wav or .flac file; gives its seconds. Raises `BadInput`."""
    about, pieces = _opened(file)
    if "rate" not in about:
        raise BadInput(f"{file} holds no sound")
    writer, count = AudioWriter(out, about["rate"], about["comment"], private=True), 0
    try:
        for pcm in pieces:
            if len(pcm) == _SILENCE.size:
                _, silent = _SILENCE.unpack(pcm)
                writer.silence(silent)
                count += silent
                continue
            samples = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32767)
            writer.write(samples)
            count += len(samples)
    finally:
        writer.close()
    return count / int(about["rate"])


def _opened(file: Path) -> tuple[dict[str, Any], Iterator[bytes]]:
    """Read what an encrypted file says of itself, and its further frames."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read {file}: {error.strerror}") from error
    if not data.startswith(MAGIC):
        raise BadInput(f"{file} is not encrypted by translate-live")
    pieces = frames(file, data)
    return json.loads(next(pieces, b"{}") or b"{}"), pieces


def flac_of(audio: AudioChunk) -> bytes:
    """Encode sound as FLAC, 16 bits."""
    import soundfile  # noqa: PLC0415

    buffer = io.BytesIO()
    soundfile.write(buffer, to_pcm16(audio.samples), audio.sample_rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def flac_from(data: bytes) -> AudioChunk:
    """Decode a FLAC file."""
    import soundfile  # noqa: PLC0415

    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return AudioChunk(samples, rate, 0.0)


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - of an extra
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415

    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, b"translate-live").derive(key))


def _nonce(count: int) -> bytes:
    return count.to_bytes(12, "big")
