"""A Whisper model's files: found without the network, downloaded when asked, and the attention heads that follow the audio.

Where its files name no such heads, all of the decoder's upper half are taken, as openai/whisper does for a model that it
does not know (`whisper/model.py`), and converters today. CTranslate2 refuses to align without any since 4.8.5.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, BinaryIO

from models.hub import fetch_snapshot, newest_snapshot
from models.model_files import find as kept
from models.model_files import table
from pipeline.contracts import Progress
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, nearest

REPOSITORIES = {
    "tiny.en": "Systran/faster-whisper-tiny.en",
    "tiny": "Systran/faster-whisper-tiny",
    "base.en": "Systran/faster-whisper-base.en",
    "base": "Systran/faster-whisper-base",
    "small.en": "Systran/faster-whisper-small.en",
    "small": "Systran/faster-whisper-small",
    "medium.en": "Systran/faster-whisper-medium.en",
    "medium": "Systran/faster-whisper-medium",
    "large-v1": "Systran/faster-whisper-large-v1",
    "large-v2": "Systran/faster-whisper-large-v2",
    "large-v3": "Systran/faster-whisper-large-v3",
    "large": "Systran/faster-whisper-large-v3",
    "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
}
"""faster-whisper's names."""

NEEDED = ("config.json", "model.bin", "tokenizer.json", "vocabulary.*")
WANTED = (*NEEDED, "preprocessor_config.json")


def find(model: str, cache: str = "") -> Path | None:
    """Return the model's folder: one on disk, or the downloaded one; None when it was not downloaded (completely).

    Raises `BadInput` for a name that is no folder, no known model and no repository (``owner/name``).
    """
    if _is_folder(model):
        return Path(model).expanduser()
    if not cache and (name := f"whisper-{model}") in table() and (fetched := kept(name)):
        return fetched
    snapshot = newest_snapshot(repository(model), "config.json", cache)
    return snapshot if snapshot and not lacking(snapshot) else None


def _is_folder(model: str) -> bool:
    """Tell if this is a path, as ``./small``; ``small`` means the published model, even if a folder of that name exists."""
    return model not in REPOSITORIES and Path(model).expanduser().is_dir()


def repository(model: str) -> str:
    """Return the repository a model name stands for."""
    if model in REPOSITORIES:
        return REPOSITORIES[model]
    owner, slash, name = model.partition("/")
    if slash and owner.strip("~.") and name and "/" not in name:
        return model
    raise BadInput(
        f"{model!r} is no Whisper model: no such folder, no repository 'owner/name'; {nearest(model, REPOSITORIES)}"
    )


def lacking(folder: Path) -> list[str]:
    """Return the needed files that are not in the folder."""
    names = [file.name for file in folder.iterdir()]
    return [pattern for pattern in NEEDED if not any(fnmatch(name, pattern) for name in names)]


def download(model: str, cache: str, progress: Progress) -> None:
    """Fetch what is not there yet; an interrupted download goes on where it stopped.

    Raises `NetworkError` when the connection fails, `BadInput` when there is no such model, `ModelError` when the disk is
    full or may not be written.
    """
    if _is_folder(model):
        return
    elsewhere = "another disk (recognizer.cache=FOLDER)"
    try:
        fetch_snapshot(repository(model), WANTED, "config.json", progress, cache=cache, elsewhere=elsewhere)
    except BadInput as error:
        raise BadInput(f"{error.message}; {nearest(model, REPOSITORIES)}") from error


def read_settings(folder: Path, name: str) -> dict[str, Any]:
    """Read a JSON file of the model; empty when it is not there. Raises `BadInput` when it is no JSON."""
    file = folder / name
    if not file.is_file():
        return {}
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{file} is damaged ({error}): delete the folder and download the model again") from error
    return settings if isinstance(settings, dict) else {}


_LAYER = re.compile(r"decoder/layer_(\d+)/")
_HEADS = "decoder/num_heads"


def has_alignment_heads(folder: Path) -> bool:
    """Tell if the model says which heads follow the audio; with a guess instead word times are rough."""
    return bool(read_settings(folder, "config.json").get("alignment_heads"))


def with_guessed_heads(folder: Path) -> dict[str, bytes]:
    """Return the files of a model that says no heads, by name, as CTranslate2 takes them from memory; with a guess.

    Raises `ModelError` for a ``model.bin`` that is damaged or another format's.
    """
    try:
        layers, heads = _decoder_size(folder / "model.bin")
    except (OSError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise ModelError(f"{folder / 'model.bin'} is damaged ({error}): delete the folder", hint=FETCH_MODELS) from error
    settings = read_settings(folder, "config.json")
    settings["alignment_heads"] = [(layer, head) for layer in range(layers // 2, layers) for head in range(heads)]
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    return files | {"config.json": json.dumps(settings).encode()}


def _decoder_size(path: Path) -> tuple[int, int]:
    """Count layers and heads of the decoder, by the names and sizes in a CTranslate2 file (binary version 6)."""
    layers, heads = set(), 0
    with path.open("rb") as file:
        for name, value in _small_variables(file):
            if found := _LAYER.match(name):
                layers.add(found[1])
            elif name == _HEADS:
                heads = int.from_bytes(value, "little")
    if not layers or not heads:
        raise ValueError("it names no decoder")
    return len(layers), heads


def _small_variables(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Yield the names of all variables in the file, with the bytes of those that are a number; the others are skipped."""

    def number(kind: str) -> int:
        (value,) = struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))
        return int(value)

    def text() -> str:
        return file.read(number("H")).rstrip(b"\0").decode()

    number("I"), text(), number("I")  # version, kind of model, revision
    for _ in range(number("I")):
        name, rank = text(), number("B")
        for _ in range(rank):
            number("I")
        number("B")  # type
        size = number("I")
        yield name, b"" if rank else file.read(size)
        file.seek(size if rank else 0, 1)
