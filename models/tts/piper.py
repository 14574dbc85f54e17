"""Piper: voices that cost a sixth of Kokoro's computing, one file a voice (https://huggingface.co/rhasspy/piper-voices).

VITS (Kim et al., 2021) as ONNX, without torch. Its code is MIT and each voice has its data's license. Most were trained on
from the voice "lessac", whose recordings (Blizzard Challenge 2013) are licensed for research only, so `VOICES` names only
those whose model card says that they were trained from scratch, on data that may be used for anything.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from models.model_files import models_folder
from models.tts.onnx_voice import Graph, OnnxSynthesizer, cannot_clone, lacking, open_graph, outputs_of
from pipeline.contracts import Missing, Progress, Synthesizer, Voice
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, Refused, check_range, nearest
from pipeline.events import Samples
from pipeline.lane import Lane

REPOSITORY = "https://huggingface.co/rhasspy/piper-voices/resolve/main"


@dataclass(frozen=True, slots=True)
class PiperVoice:
    """A voice that may be offered: its language, and the license and the source of the recordings it was trained on."""

    language: str
    license: str
    source: str


VOICES = {
    "en_US-ljspeech-medium": PiperVoice("en", "public domain", "https://keithito.com/LJ-Speech-Dataset"),
    "en_US-norman-medium": PiperVoice("en", "public domain", "https://librivox.org"),
    "en_US-kristin-medium": PiperVoice("en", "public domain", "https://librivox.org"),
    "en_GB-cori-medium": PiperVoice("en", "public domain", "https://librivox.org"),
    "fr_FR-mls-medium": PiperVoice("fr", "CC BY 4.0", "https://www.openslr.org/94"),
    "nl_BE-rdh-medium": PiperVoice("nl", "CC0 1.0", "https://github.com/r-dh/dutch-vl-tts"),
    "nl_NL-mls-medium": PiperVoice("nl", "CC BY 4.0", "https://www.openslr.org/94"),
    "uk_UA-ukrainian_tts-medium": PiperVoice("uk", "CC0 1.0", "https://github.com/OHF-Voice/voice-datasets"),
}


@dataclass(frozen=True, slots=True)
class Piper:
    """Speaks with one Piper voice at ``speed`` (0.5 to 2), computed by ``threads`` (0: half of the cores, at most all).

    ``model`` is a voice of `VOICES`, in ``folder`` (empty: where model files are kept), or a path to an .onnx file of one's
    own with its .onnx.json beside it, for whose license its user answers. Of several speakers it is number ``speaker``.
    """

    model: str = "en_US-ljspeech-medium"
    folder: str = ""
    threads: int = 0
    speed: float = 1.0
    speaker: int = 0
    pause_s: float = 0.08

    def missing(self) -> Sequence[Missing]:
        """The program eSpeak NG and the voice's files, where they are not there."""
        lacks = lacking(self._file, self._config_file)
        if self.model not in VOICES:
            return lacks
        region, name, quality = self.model.split("-")
        place = f"{REPOSITORY}/{region.partition('_')[0]}/{region}/{name}/{quality}"
        return [
            replace(lack, fix=f"download it from {place}", fetchable=False) if lack.fix == FETCH_MODELS else lack
            for lack in lacks
        ]

    def languages(self) -> frozenset[str]:
        """The language of its voice; of a file of one's own what stands beside it, so none where that is missing."""
        if self.model in VOICES:
            return frozenset({VOICES[self.model].language})
        return frozenset({_language(self._config())}) if self._config_file.is_file() else frozenset()

    def presets(self) -> Collection[str]:
        """The one voice of its file."""
        return [self._file.stem]

    def has_preset(self, name: str) -> bool:
        """Tell if this is its voice."""
        return name in self.presets()

    def check_cloning(self) -> None:
        """Raise `Refused`: Piper has presets only."""
        raise cannot_clone("Piper")

    def pull(self, progress: Progress) -> None:
        """Nothing is downloaded: `missing` says where the voice is."""

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Synthesizer]:
        """Load the graph and say one sound, which makes the first unit as fast as the others."""
        check_range("speed", self.speed, 0.5, 2)
        if self.model not in VOICES and not self.model.endswith(".onnx"):
            raise BadInput(f"no voice {self.model!r} whose license allows its use; {nearest(self.model, VOICES)}")
        for lack in self.missing():
            raise ModelError(f"{lack.what} not found", hint=lack.fix)
        config = self._config()
        with Lane("speak") as lane:
            graph = await lane.run(open_graph, self._file, self._file.read_bytes(), self.threads)
            names = {item.name for item in graph.get_inputs()}
            if not {"input", "input_lengths", "scales"} <= names <= {"input", "input_lengths", "scales", "sid"}:
                raise ModelError(f"{self._file} is no Piper: its inputs are {', '.join(sorted(names))}", hint=FETCH_MODELS)
            voice = _Speaker(self, graph, config, "sid" in names)
            await lane.run(list, voice.say("a", None))

            def speaker(wanted: Voice | None, language: str) -> _Speaker:
                if language.partition("-")[0] not in self.languages():
                    raise Refused(f"Piper's voice does not speak {language!r}; {nearest(language, self.languages())}")
                if wanted is not None and wanted.name and not self.has_preset(wanted.name):
                    raise BadInput(f"Piper has no voice {wanted.name!r}; {nearest(wanted.name, self.presets())}")
                return voice

            yield OnnxSynthesizer(lane, speaker, self.pause_s, "Piper")

    @property
    def _file(self) -> Path:
        if self.model not in VOICES:
            return Path(self.model).expanduser()
        folder = Path(self.folder).expanduser() if self.folder else models_folder() / "piper"
        return folder / f"{self.model}.onnx"

    @property
    def _config_file(self) -> Path:
        return self._file.with_name(self._file.name + ".json")

    def _config(self) -> Mapping[str, Any]:
        """Read what stands beside the graph; raises `ModelError` if it is no Piper voice that reads eSpeak's phonemes."""
        try:
            config = json.loads(self._config_file.read_text(encoding="utf-8"))
            kind, _ = config.get("phoneme_type", "espeak"), _language(config)
            complete = {"audio", "inference", "phoneme_id_map"} <= config.keys() and {"^", "_", "$"} <= config[
                "phoneme_id_map"
            ].keys()
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise ModelError(f"{self._config_file} describes no Piper voice ({error!r})", hint=FETCH_MODELS) from error
        if kind != "espeak" or not complete:
            raise ModelError(
                f"{self._config_file} describes no Piper voice that reads eSpeak's phonemes", hint=FETCH_MODELS
            )
        return config  # type: ignore[no-any-return]


def _language(config: Mapping[str, Any]) -> str:
    return str(config["espeak"]["voice"]).partition("-")[0]


@dataclass(frozen=True, slots=True)
class _Speaker:
    """The voice of a file: ``config`` maps symbols to ids."""

    backend: Piper
    graph: Graph
    config: Mapping[str, Any]
    takes_speaker: bool
    most_phonemes: int = 120  # 8 s, which take a second

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return int(self.config["audio"]["sample_rate"])

    @property
    def espeak_voice(self) -> str:
        """The eSpeak voice whose phonemes it reads."""
        return str(self.config["espeak"]["voice"])

    @property
    def language(self) -> str:
        """Its language."""
        return _language(self.config)

    def say(self, phonemes: str, options: object) -> Iterator[Samples]:
        """Samples of one utterance, at once; none where no symbol is known that makes a sound."""
        table, scales = self.config["phoneme_id_map"], self.config["inference"]
        known = [symbol for symbol in normalize("NFD", phonemes) if symbol in table]
        if not any(symbol.isalpha() for symbol in known):
            return
        ids = [*table["^"], *table["_"]]
        for symbol in known:
            ids += [*table[symbol], *table["_"]]
        ids += table["$"]
        factors = (scales["noise_scale"], scales["length_scale"] / self.backend.speed, scales["noise_w"])
        inputs: dict[str, NDArray[Any]] = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(factors, np.float32),
        }
        if self.takes_speaker:
            inputs["sid"] = np.array([self.backend.speaker], np.int64)
        yield outputs_of(self.graph, None, inputs, options)[0].ravel()
