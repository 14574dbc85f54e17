"""The files a profile's models are read from, with their hashes: a figure without them cannot be checked by anybody.

Backends say where they look for their files, each in its own way; here their answers become one list. Hashing gigabytes
takes a while, so a hash is kept in the user's cache under the file's path, size and time of change.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.atomic import write_bytes
from pipeline.errors import DeviceError
from pipeline.profiles.backends import BackendChoice, backend
from pipeline.profiles.profile import Profile

MANY = 64  # a folder of more files becomes one entry
CHUNK = 1 << 22  # bytes

Place = tuple[str, Path]
"""The name a file or folder is given in a result (no path of this machine), and where it lies."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file: its name below the model's folder, its size in bytes and its SHA-256.

    Of a folder of many files (a synthesizer's data) it is the whole: ``sha256`` is that of the lines "hash  name".
    """

    name: str
    bytes: int
    sha256: str


def model_files(profile: Profile) -> dict[str, list[dict[str, Any]] | None]:
    """The files of each stage, as plain values; none for a backend whose files are not known, or not all here."""
    hashes = Hashes(_cache_file())
    found = {stage: _files_of(choice, hashes) for stage, choice in profile.stages.items()}
    hashes.keep()
    return {stage: None if files is None else [asdict(file) for file in files] for stage, files in found.items()}


class Hashes:
    """SHA-256 of files, remembered from run to run."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = _remembered(file)
        self._new = False

    def of(self, file: Path) -> str:
        """The hash of a file's content, from memory if size and time of change are those of then."""
        status = file.stat()
        key = f"{file.resolve()}:{status.st_size}:{status.st_mtime_ns}"
        if key not in self._known:
            self._known[key] = _sha256(file)
            self._new = True
        return self._known[key]

    def keep(self) -> None:
        """Remember for the next run; a cache that cannot be written costs time, not the run."""
        if self._new:
            try:
                write_bytes(self._file, msgspec.json.encode(self._known))
            except DeviceError as error:
                print(f"hashes of the model files are not kept: {error}")


def _files_of(choice: BackendChoice, hashes: Hashes) -> list[ModelFile] | None:
    find = FINDERS.get(choice.use)
    if find is None:
        return None
    chosen: Any = backend(choice)
    if chosen.missing():
        return None
    return [file for name, place in find(chosen) if place.exists() for file in _listed(name, place, hashes)]


def _listed(name: str, place: Path, hashes: Hashes) -> list[ModelFile]:
    if place.is_file():
        return [ModelFile(name, place.stat().st_size, hashes.of(place))]
    paths = sorted(path for path in place.rglob("*") if path.is_file())
    files = [ModelFile(f"{name}/{path.relative_to(place)}", path.stat().st_size, hashes.of(path)) for path in paths]
    if len(files) <= MANY:
        return files
    lines = "".join(f"{file.sha256}  {file.name}\n" for file in files)
    size = sum(file.bytes for file in files)
    return [ModelFile(f"{name}/ ({len(files)} files)", size, hashlib.sha256(lines.encode()).hexdigest())]


def _whisper(chosen: Any) -> Iterable[Place]:  # noqa: ANN401
    from models.asr.whisper.model_files import find  # noqa: PLC0415

    if folder := find(chosen.model, chosen.cache):
        yield _named(chosen.model), folder
    if chosen.voice == "silero":
        yield from _voice_detector()


def _voice_detector() -> Iterable[Place]:
    from models.asr.vad import model_file  # noqa: PLC0415

    yield model_file().name, model_file()


def _checkpoint(chosen: Any) -> Iterable[Place]:  # noqa: ANN401
    from models.mt.checkpoint import local_folder  # noqa: PLC0415

    if folder := local_folder(chosen.entry().repository):
        yield _named(chosen.entry().repository), folder


def _int8(chosen: Any) -> Iterable[Place]:  # noqa: ANN401
    yield f"{_named(chosen.entry().repository)}-int8", chosen.folder()
    yield from _checkpoint(chosen)


def _tiers(chosen: Any) -> Iterable[Place]:  # noqa: ANN401
    for tier in chosen.tiers():
        yield from _bergamot(tier) if hasattr(tier, "term_beams") else _checkpoint(tier)


def _bergamot(chosen: Any) -> Iterable[Place]:  # noqa: ANN401
    return sorted((folder.name, folder) for folder in chosen._folders().values())  # noqa: SLF001


def _espeak(chosen: Any) -> Iterable[Place]:  # noqa: ANN401
    try:
        said = subprocess.run([chosen.program, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return
    if found := re.search(r"Data at: (.+)", said):
        yield "espeak-ng-data", Path(found[1].strip())


def _kokoro(chosen: Any) -> Iterable[Place]:  # noqa: ANN401
    from models.model_files import models_folder  # noqa: PLC0415

    yield "kokoro", Path(chosen.folder).expanduser() if chosen.folder else models_folder() / "kokoro"


def _diarizer(chosen: Any) -> Iterable[Place]:  # noqa: ANN401
    yield chosen.model, chosen.path


def _rapid_ocr(_: Any) -> Iterable[Place]:  # noqa: ANN401
    """Its models are in the package."""
    found = find_spec("rapidocr")
    for folder in (found and found.submodule_search_locations) or ():
        yield "rapidocr/models", Path(folder) / "models"


def _piper(chosen: Any) -> Iterable[Place]:  # noqa: ANN401
    from models.model_files import models_folder  # noqa: PLC0415

    folder = Path(chosen.folder).expanduser() if chosen.folder else models_folder() / "piper"
    if not chosen.model:
        yield "piper", folder
        return
    own = chosen.model.endswith(".onnx")
    yield Path(chosen.model).name, Path(chosen.model).expanduser() if own else folder / f"{chosen.model}.onnx"


def _on_hub(last: str) -> Callable[[Any], Iterable[Place]]:
    """Find a checkpoint of the hub, which is whole with its ``last`` file."""

    def find(chosen: Any) -> Iterable[Place]:  # noqa: ANN401
        from models.hub import hub_folder  # noqa: PLC0415

        if folder := hub_folder(chosen.model, last):
            yield _named(chosen.model), folder

    return find


def _pocket(chosen: Any) -> Iterable[Place]:  # noqa: ANN401
    for language, files in chosen._found().items():  # noqa: SLF001
        weights = Path(files.config["weights_path"])
        yield f"{language}/{weights.name}", weights


FINDERS: Mapping[str, Callable[[Any], Iterable[Place]]] = {
    "models.asr.whisper:FasterWhisper": _whisper,
    "models.mt.bergamot.backend:Bergamot": _bergamot,
    "models.mt.causal_lm:CausalLM": _checkpoint,
    "models.mt.seq2seq:Seq2Seq": _checkpoint,
    "models.mt.ctranslate2:CTranslate2": _int8,
    "models.mt.router:Router": _tiers,
    "models.tts.espeak:Espeak": _espeak,
    "models.tts.kokoro:Kokoro": _kokoro,
    "models.tts.piper:Piper": _piper,
    "models.tts.pocket:Pocket": _pocket,
    "models.tts.qwen3:Qwen3TTS": _on_hub("speech_tokenizer/config.json"),
    "models.tts.omnivoice:OmniVoice": _on_hub("audio_tokenizer/model.safetensors"),
    "models.tts.voxcpm:VoxCPM": _on_hub("model.safetensors"),
    "models.diarize.backend:Ge2eDiarizer": _diarizer,
    "models.diarize.backend:CamPlusDiarizer": _diarizer,
    "models.vision.rapid_ocr:RapidOcr": _rapid_ocr,
}


def _named(model: str) -> str:
    """A model's name as a result may show it: of a folder on this machine only its last part."""
    return Path(model).expanduser().name if Path(model).expanduser().is_dir() else model


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _cache_file() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "translate-live" / "model-hashes.json"


def _remembered(file: Path) -> dict[str, str]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return {}
