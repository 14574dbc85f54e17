"""Enrolled voices on disk: a folder each, for their owner alone, and whole after a crash at any moment."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.contracts import Voice
from pipeline.errors import BadInput, nearest
from pipeline.events import AudioChunk
from pipeline.sinks.audio_writer import AudioWriter
from pipeline.voices.folder import data_folder
from pipeline.voices.private_files import make_private_folder, write_private, writing
from pipeline.voices.record import ArraysFile, VoiceRecord, checked_name

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
        """The names of all voices, also of those whose record is broken."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{RECORD}"))

    def has(self, name: str) -> bool:
        """Whether a voice of this name is there; not for what is no name."""
        with suppress(BadInput):
            return self._record(name).is_file()
        return False

    def record(self, name: str) -> VoiceRecord:
        """What is known of a voice; raises `BadInput` with the nearest names for one that is not there."""
        self._require(name)
        return _decoded(self._record(name))

    def voice(self, record: VoiceRecord, model: str) -> Voice:
        """The voice as ``model`` learned it; raises `BadInput` where its file is missing or was changed."""
        kept = record.arrays[model]
        path = self._place(record.name) / kept.file
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BadInput(f"{path} cannot be read ({error.strerror}); {_again(record.name)}") from error
        if hashlib.sha256(data).hexdigest() != kept.sha256:
            raise BadInput(f"{path} is not what was stored; {_again(record.name)}")
        from safetensors.numpy import load  # noqa: PLC0415 - only where a voice is used

        return Voice(record.name, load(data))

    def clip_path(self, record: VoiceRecord) -> Path | None:
        """The speech itself, where it was kept."""
        return self._place(record.name) / record.clip if record.clip else None

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
        """Keep what another model learned of a stored voice."""
        with writing(self._place(record.name)):
            return self._commit(record, model, arrays)

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
        write_private(place / kept.file, data)
        write_private(place / RECORD, msgspec.json.format(msgspec.json.encode(whole)))
        return whole

    def _require(self, name: str) -> None:
        if not self.has(name):
            names = self.names()
            known = nearest(name, names) if names else "none is enrolled; try: translate-live voices add --help"
            raise BadInput(f"there is no enrolled voice {name!r}; {known}")

    def _place(self, name: str) -> Path:
        return self.folder / checked_name(name).casefold()

    def _record(self, name: str) -> Path:
        return self._place(name) / RECORD


def _write_clip(place: Path, clip: AudioChunk) -> str:
    """Write the speech under a new name, so that a record in place keeps its own; gives the name."""
    path = place / f"clip-{secrets.token_hex(4)}.flac"
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
    """The record in a file; raises `BadInput` for one that is broken or points elsewhere."""
    name = path.parent.name
    try:
        record = msgspec.json.decode(path.read_bytes(), type=VoiceRecord)
    except (OSError, msgspec.DecodeError) as error:
        raise BadInput(f"{path} is broken ({error}); {_again(name)}") from error
    files = [kept.file for kept in record.arrays.values()] + ([record.clip] if record.clip else [])
    if record.name.casefold() != name or any(Path(file).name != file for file in files):
        raise BadInput(f"{path} is broken (it names files of another folder); {_again(name)}")
    return record


def _again(name: str) -> str:
    return f"enrol it again; try: translate-live voices add CLIP --name {name} --consent CONSENT --replace"
