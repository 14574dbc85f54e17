"""Enrolled voices on disk: a folder each, for their owner alone, and whole after a crash at any moment."""

from __future__ import annotations

import hashlib
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import Voice
from pipeline.errors import BadInput, DeviceError, nearest
from pipeline.events import AudioChunk
from pipeline.sinks.audio_writer import AudioWriter
from pipeline.sinks.sealing import flac_from, flac_of, sealed, store_key, unsealed
from pipeline.sinks.writing import OVERRIDE, data_folder, make_private_folder, write_private
from pipeline.voices.record import ArraysFile, VoiceRecord, spelled

RECORD = "voice.json"
CLIP_COMMENT = "reference clip of a voice enrolled in translate-live; private"

Arrays = Mapping[str, NDArray[np.float32]]


class VoiceStore:
    """The voices in ``folder`` (by default ``voices`` in the user's data folder).

    A voice is there when its ``voice.json`` is: that file is put in place last and removed first, at once, and names the
    other files. Names that differ only in case are one. Raises `DeviceError` where the disk cannot be written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or data_folder() / "voices"

    def names(self) -> list[str]:
        """List the names of all voices, also of those whose record is broken."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{RECORD}"))

    def has(self, name: str) -> bool:
        """Tell if a voice of this name is there."""
        with suppress(BadInput):
            return self._record(name).is_file()
        return False

    def record(self, name: str) -> VoiceRecord:
        """Read the record of a voice; raises `BadInput` with the nearest names for one that is not there."""
        self._require(name)
        return _decoded(self._record(name))

    def voice(self, record: VoiceRecord, model: str) -> Voice:
        """Load the voice as ``model`` learned it; raises `BadInput` where its file is missing or was changed."""
        kept = record.arrays[model]
        path = self._place(record.name) / kept.file
        try:
            data = unsealed(path)
        except OSError as error:
            raise _broken(f"{path} cannot be read ({error.strerror})") from error
        if hashlib.sha256(data).hexdigest() != kept.sha256:
            raise _broken(f"{path} is not what was stored")
        from safetensors.numpy import load  # noqa: PLC0415 - only where a voice is used

        return Voice(record.name, load(data))

    def clip_path(self, record: VoiceRecord) -> Path | None:
        """Give the file of the speech itself, where it was kept."""
        return self._place(record.name) / record.clip if record.clip else None

    def clip(self, path: Path) -> AudioChunk:
        """Read the speech itself; raises `BadInput` where its file is missing or was changed."""
        try:
            return flac_from(unsealed(path))
        except (OSError, RuntimeError) as error:  # soundfile's is a RuntimeError
            raise _broken(f"{path} cannot be read ({error})") from error

    def add(self, record: VoiceRecord, model: str, arrays: Arrays, clip: AudioChunk | None = None) -> VoiceRecord:
        """Store a voice in place of any of that name, with its clip if one is given; gives the whole record."""
        place = self._place(record.name)
        with writing(place):
            make_private_folder(self.folder)
            make_private_folder(place)
            try:
                kept = _write_clip(place, clip) if clip is not None else None
                return self._commit(replace(record, arrays={}, clip=kept), model, arrays)
            finally:
                _tidy(place)

    def cache(self, record: VoiceRecord, model: str, arrays: Arrays) -> VoiceRecord:
        """Keep what another model, or the same one since, learned of a stored voice."""
        place = self._place(record.name)
        with writing(place):
            try:
                return self._commit(record, model, arrays)
            finally:
                _tidy(place)

    def remove(self, name: str) -> None:
        """Delete a voice and all that was kept of it; raises `BadInput` with the nearest names for an unknown one."""
        self._require(name)
        with writing(self._place(name)):
            self._record(name).unlink()
            shutil.rmtree(self._place(name))

    def _commit(self, record: VoiceRecord, model: str, arrays: Arrays) -> VoiceRecord:
        from safetensors.numpy import save  # noqa: PLC0415

        place = self._place(record.name)
        data = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
        digest = hashlib.sha256(data).hexdigest()
        kept = ArraysFile(f"{digest[:16]}.safetensors", digest)
        whole = replace(record, arrays={**record.arrays, model: kept})
        write_private(place / kept.file, sealed(data))
        write_private(place / RECORD, sealed(msgspec.json.format(msgspec.json.encode(whole))))
        return whole

    def _require(self, name: str) -> None:
        if not self.has(name):
            names = self.names()
            if not names:
                raise BadInput(f"there is no voice {name!r}, none is enrolled", hint="to enrol one", code="no_voices")
            raise BadInput(f"there is no enrolled voice {name!r}; {nearest(name, names)}", code="no_enrolled_voice")

    def _place(self, name: str) -> Path:
        return self.folder / spelled(name).casefold()

    def _record(self, name: str) -> Path:
        return self._place(name) / RECORD


def key_store(key: str) -> VoiceStore:
    """Return the voices of one client of a server, known by the id of its key."""
    safe = re.fullmatch(r"\w[\w-]{0,63}", key)
    return VoiceStore(_of_keys() / (key if safe else hashlib.sha256(key.encode()).hexdigest()[:32]) / "voices")


def key_stores() -> list[VoiceStore]:
    """Return the stores of all clients that enrolled a voice."""
    return [VoiceStore(path) for path in sorted(_of_keys().glob("*/voices"))]


def _of_keys() -> Path:
    return data_folder() / "keys"


def _write_clip(place: Path, clip: AudioChunk) -> str:
    """Write the speech under a new name, so that a record in place keeps its own; gives the name."""
    path = place / f"clip-{secrets.token_hex(4)}.flac"
    if store_key() is not None:
        write_private(path, sealed(flac_of(clip)))
        return path.name
    writer = AudioWriter(path, clip.sample_rate, CLIP_COMMENT, private=True)
    try:
        writer.write(clip.samples)
    finally:
        writer.close()
    return path.name


def _tidy(place: Path) -> None:
    """Delete what the record in place does not name: an older voice's files, or those of one that did not come to be."""
    if not (place / RECORD).exists():
        shutil.rmtree(place)
        return
    with suppress(BadInput):
        record = _decoded(place / RECORD)
        named = {RECORD, record.clip, *(kept.file for kept in record.arrays.values())}
        for path in place.iterdir():
            if path.name not in named:
                path.unlink(missing_ok=True)


def _decoded(path: Path) -> VoiceRecord:
    """Read the record in a file; raises `BadInput` for one that is broken or points elsewhere."""
    name = path.parent.name
    try:
        record = msgspec.json.decode(unsealed(path), type=VoiceRecord)
    except (OSError, msgspec.DecodeError) as error:
        raise _broken(f"{path} is broken ({error})") from error
    files = [kept.file for kept in record.arrays.values()] + ([record.clip] if record.clip else [])
    if record.name.casefold() != name or any(Path(file).name != file for file in files):
        raise _broken(f"{path} is broken (it names files of another folder)")
    return record


def _broken(message: str) -> BadInput:
    return BadInput(message, hint="to enrol the voice again", code="voice_broken")


@contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turn what the disk refuses into a `DeviceError` that names the folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DeviceError(f"the voice in {place} cannot be written: {reason}", hint=f"{OVERRIDE}=FOLDER") from error
