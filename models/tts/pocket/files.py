"""Files of Pocket TTS: what a language needs, where it lies on this machine, and its download at pinned revisions.

The package's own configurations name the weights and tokenizer of a language, each at a revision of the model hub. Its
weights are CC-BY-4.0; those that can clone a voice are given only to who has accepted their terms.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from models.hub import HubFile, gated
from pipeline.contracts import Progress
from pipeline.errors import ModelError, Refused

CONFIGS = {
    "de": "german", "en": "english", "es": "spanish", "fr": "french", "it": "italian", "nl": "dutch", "pt": "portuguese",
}  # fmt: skip
"""The package's configuration of each language."""

GATED = "kyutai/pocket-tts"
PUBLIC = "kyutai/pocket-tts-without-voice-cloning"
VOICES_REVISION = "a7056f505a4a8ca72d8b5fb1440071d6f1a35739"
"""The revision of `PUBLIC` from which the package takes its voices."""

VOICES = {
    "alba": "CC BY 4.0", "marius": "CC0 1.0", "anna": "CC BY 4.0", "charles": "CC BY 4.0", "javert": "CC0 1.0",
    "azelma": "CC BY 4.0", "paul": "CC BY 4.0", "eponine": "CC BY 4.0", "george": "CC BY 4.0", "eve": "CC BY 4.0",
    "michael": "CC BY 4.0", "fantine": "CC BY 4.0", "jane": "CC BY 4.0", "mary": "CC BY 4.0", "vera": "CC BY 4.0",
    "caro_davy": "CC0 1.0", "bill_boerst": "CC0 1.0", "peter_yearsley": "CC0 1.0", "stuart_bell": "CC0 1.0",
    "lola": "CC0 1.0", "giovanni": "CC0 1.0", "estelle": "CC0 1.0", "daan": "CC BY 4.0",
}  # fmt: skip
"""Voices of the package whose recordings may be used for anything, by the license that kyutai/tts-voices gives.

Those of lola and giovanni (Common Voice) and of daan (CML-TTS) are told by their file names. Left out: cosette and jean,
not for commercial use; juergen and rafael, whose license is stated nowhere.
"""

NATIVE = {"es": "lola", "fr": "estelle", "it": "giovanni", "nl": "daan"}
FETCHED = ("alba", "marius", "anna", "charles")  # besides a language's own, one for each of several speakers
_FOREIGN = "alba"  # speaks what has no voice of its own, with an English accent

_PATHS = (
    ("weights_path",),
    ("flow_lm", "lookup_table", "tokenizer_path"),
    ("flow_lm", "weights_path"),
    ("mimi", "weights_path"),
)
_PUBLIC = "weights_path_without_voice_cloning"


def default_voice(language: str) -> str:
    """Name the voice of a language."""
    return NATIVE.get(language, _FOREIGN)


@dataclass(frozen=True, slots=True)
class LanguageFiles:
    """Files of one language's model that are on this machine, and the configuration that names them by their paths."""

    config: Mapping[str, Any]
    clones: bool  # its weights can learn a voice
    voices: Mapping[str, Path]  # the default one first


def find_language(language: str, folder: str) -> LanguageFiles | None:
    """Find the files of a language, in a folder of one's own if one is named; none where weights or tokenizer lack.

    Raises `ModelError` for a configuration that cannot be read.
    """
    path = config_path(language, folder)
    if path is None or not path.is_file():
        return None
    config = _read(path)
    public = config.pop(_PUBLIC, None)
    clones = public is None or _located(config.get("weights_path"), path) is not None
    if not clones:
        config["weights_path"] = public
    for keys in _PATHS:
        place = _section(config, keys[:-1])
        if place.get(keys[-1]) is None:
            continue
        if (found := _located(place[keys[-1]], path)) is None:
            return None
        place[keys[-1]] = str(found)
    return LanguageFiles(config, clones, _voices(language, path if folder else None))


def config_path(language: str, folder: str) -> Path | None:
    """Tell where the configuration of a language would lie: in its folder of one's own, or in the package; none without."""
    if folder:
        return Path(folder).expanduser() / language / "config.yaml"
    package = find_spec("pocket_tts")
    if package is None or not package.submodule_search_locations or language not in CONFIGS:
        return None
    return Path(package.submodule_search_locations[0]) / "config" / f"{CONFIGS[language]}.yaml"


def fetch_language(language: str, progress: Progress) -> None:
    """Download a language's model and some voices; without leave for the weights that clone, those that cannot."""
    path = config_path(language, "")
    if path is None or not path.is_file():
        what = f"the Python package pocket-tts is not installed, or has no model for {language}"
        raise ModelError(what, hint="pip install 'translate-live[pocket]'")
    config, what = _read(path), f"downloading Pocket TTS for {language}"
    names = dict.fromkeys((default_voice(language), *FETCHED))
    others = [config["flow_lm"]["lookup_table"]["tokenizer_path"], *(voice_file(language, name) for name in names)]
    for number, reference in enumerate(others):
        progress(what, 0.2 * number / len(others))
        _fetch(reference)
    progress(what, 0.2)
    try:
        _fetch(config["weights_path"])
    except Refused as refused:
        if refused.code != "gated":
            raise
        progress(f"{refused}; until then, the weights that cannot clone a voice", 0.2)
        _fetch(config[_PUBLIC])
    progress(what, 1.0)


def _fetch(reference: str | HubFile) -> None:
    file = _hub_file(reference) if isinstance(reference, str) else reference
    if file is not None and file.local is None:
        file.fetch()


def _voices(language: str, own: Path | None) -> dict[str, Path]:
    """Find a language's voices: all in a folder of one's own, else those of `VOICES`, the language's own first."""
    if own is not None:
        return {file.stem: file for file in sorted((own.parent / "voices").glob("*.safetensors"))}
    names = dict.fromkeys((default_voice(language), *VOICES))
    places = {name: voice_file(language, name).local for name in names}
    return {name: place for name, place in places.items() if place is not None}


def voice_file(language: str, name: str) -> HubFile:
    """Tell where a voice of the package lies on the hub: it is a state of the language's model."""
    return HubFile(PUBLIC, f"languages/{CONFIGS[language]}/embeddings/{name}.safetensors", VOICES_REVISION)


def _located(reference: object, config: Path) -> Path | None:
    """Find the file that a configuration names, in the hub's cache or beside it; none where it is not here."""
    if not isinstance(reference, str) or not reference:
        return None
    if "://" in reference:
        file = _hub_file(reference)
        return file.local if file is not None else None
    place = config.parent / reference
    return place if place.is_file() else None


def _hub_file(reference: str) -> HubFile | None:
    """Read ``hf://OWNER/REPOSITORY/PATH@REVISION``; none for another address, or one that pins no revision."""
    address, _, revision = reference.removeprefix("hf://").partition("@")
    owner, _, rest = address.partition("/")
    repository, _, path = rest.partition("/")
    return HubFile(f"{owner}/{repository}", path, revision) if reference.startswith("hf://") and path and revision else None


def _read(path: Path) -> dict[str, Any]:
    """Read a configuration, to be changed; raises `ModelError` for a file that is none."""
    return deepcopy(_parsed(path, path.stat().st_mtime_ns))


@lru_cache(64)
def _parsed(path: Path, changed_ns: int) -> dict[str, Any]:
    """Parse a file once for each of its versions: which languages are here is asked at every session."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError(f"{path} cannot be read as YAML ({error})") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} is no configuration of Pocket TTS")
    return config


def _section(config: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """Take a nested section; an empty one where there is none."""
    place: Any = config
    for key in keys:
        place = place.get(key) if isinstance(place, dict) else None
    return place if isinstance(place, dict) else {}


def refuse_cloning() -> Refused:
    """Make the error for learning a voice with the weights that are open to everybody."""
    reason = gated(GATED)
    return Refused(f"the weights of Pocket TTS that are here cannot clone a voice, and {reason.message}", hint=reason.hint)
