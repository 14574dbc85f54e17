"""Piper: voices that cost a sixth of Kokoro's computing, one file a voice (https://huggingface.co/rhasspy/piper-voices).

VITS (Kim et al., 2021) as ONNX, without torch. Its code is MIT and each voice has its recordings' license. Many were
trained on from the voice "lessac", whose recordings (Blizzard Challenge 2013) are licensed for research only: the table of
those that are offered, ``models/piper_voices.toml``, has none of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from models.downloads import length
from models.model_files import check_present, models_folder, piper_voices, voices_of
from models.tts.engines import cannot_clone
from models.tts.onnx_voice import Graph, OnnxSynthesizer, lacking, open_graph, outputs_of
from pipeline.contracts import FetchOptions, Missing, Progress, Synthesizer, Voice
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, Refused, check_range, nearest
from pipeline.events import Samples
from pipeline.lane import Lane
from pipeline.speech_facts import SpeechFacts

KINDS = ("espeak", "text")  # of symbols that a voice reads: eSpeak's phonemes, or the letters themselves
OWN_FILE = "NAME.onnx and NAME.onnx.json of a Piper voice, side by side"


@dataclass(frozen=True, slots=True)
class Piper:
    """Settings of Piper's voices, which speak at ``speed`` (0.5 to 2), by ``threads`` (0: half of the cores, at most all).

    ``model`` is empty for every language's own voice, each loaded when a session first needs it, or one voice of the table,
    in ``folder`` (empty: where model files are kept), or a path to an .onnx file of one's own with its .onnx.json beside
    it, for whose license its user answers. Of several speakers it is number ``speaker`` (none: the table's).
    """

    model: str = ""
    folder: str = ""
    threads: int = 0
    speed: float = 1.0
    speaker: int | None = None
    pause_s: float = 0.08

    def missing(self) -> Sequence[Missing]:
        """List the program eSpeak NG, and the files of the voice that is named, where they are not there."""
        return [*lacking(), *(self._lacks(self.model) if self.model else ())]

    def missing_for(self, language: str) -> Sequence[Missing]:
        """List the files of a language's voice, unless another voice of it is there."""
        names = self._names(language)
        return [] if not names or any(not self._lacks(name) for name in names) else self._lacks(names[0])

    def languages(self) -> frozenset[str]:
        """Return the languages of its voices; of a file of one's own what stands beside it, none where that is missing."""
        if not self._own:
            return frozenset(piper_voices()[name].language for name in self._offered() if name in piper_voices())
        return frozenset({_language(self.config_of(self.model))}) if self._files(self.model)[1].is_file() else frozenset()

    def presets(self) -> Sequence[str]:
        """List the voices whose files are there, or the one of its own file."""
        return [Path(self.model).stem] if self._own else [name for name in self._offered() if not self._lacks(name)]

    def has_preset(self, name: str) -> bool:
        """Tell if this is one of its voices."""
        return name in self.presets()

    def voices_for(self, language: str) -> Sequence[str]:
        """List the voices of a language that are there, its own first."""
        known = self.presets()
        return known if self._own else [name for name in self._names(language) if name in known]

    def check_cloning(self) -> None:
        """Raise `Refused`: Piper has presets only."""
        raise cannot_clone("Piper")

    def describe(self, language: str) -> SpeechFacts:
        """Describe its speech in a language: a preset that speaks a clause at a time."""
        if self._own or not (names := self._names(language)):
            return SpeechFacts("", streamed=False)
        return SpeechFacts(f"{piper_voices()[names[0]].license} (recordings)", streamed=False, voice=names[0])

    def memory(self) -> Mapping[str, int]:
        """Return the bytes that each voice that is there takes: three times its file (measured: 0.2 GB for 63 MB)."""
        names = [self.model] if self._own else self.presets()
        sizes = {Path(name).stem if self._own else name: length(self._files(name)[0]) for name in names}
        return {f"Piper {name}": 3 * size for name, size in sizes.items() if size}

    def pull(self, progress: Progress) -> None:
        """Download the voice that is named; without a name and languages there is none to choose."""
        self.fetch(FetchOptions(), progress)

    def fetch(self, options: FetchOptions, progress: Progress) -> None:
        """Download the voices of the target languages, or the one that is named; none into a folder of one's own."""
        from models.fetch import fetch

        wanted = [self.model] if self.model else [one for one in options.targets if self.missing_for(one)]
        if wanted and not self.folder and not self._own:
            fetch("piper", progress, wanted, options.source)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Synthesizer]:
        """Load the voice that is named; without a name each is loaded when a session first needs it."""
        check_range("speed", self.speed, 0.5, 2)
        if self.model and not self._own and self.model not in piper_voices():
            raise BadInput(f"no voice {self.model!r} whose license allows its use; {nearest(self.model, piper_voices())}")
        check_present(self.missing())
        voices = _Voices(self)
        with Lane("speak") as lane:
            if self.model:
                await lane.run(voices.loaded, self.model)

            async def speaker(wanted: Voice | None, language: str) -> _LoadedVoice:
                return await lane.run(voices.loaded, self._chosen(wanted.name if wanted is not None else "", language))

            yield OnnxSynthesizer(lane, speaker, self.pause_s, "Piper")

    def _chosen(self, name: str, language: str) -> str:
        """Return the voice to load: the one that is asked for, or a language's; raises what cannot be."""
        if language.partition("-")[0] not in self.languages():
            verb = "voice does" if self.model else "voices do"
            raise Refused(f"Piper's {verb} not speak {language!r}; {nearest(language, self.languages())}")
        if name and not self.has_preset(name):
            raise BadInput(f"Piper has no voice {name!r}; {nearest(name, self.presets())}")
        if self.model:
            return self.model
        names = self.voices_for(language)
        if name and name not in names:
            raise BadInput(f"Piper's voice {name!r} does not speak {language!r}; {nearest(name, names)}")
        for lack in self.missing_for(language):
            raise ModelError(f"{lack.what} is not on this machine", hint=lack.fix)
        return name or names[0]

    @property
    def _own(self) -> bool:
        return self.model.endswith(".onnx")

    def _offered(self) -> list[str]:
        return [self.model] if self.model else list(piper_voices())

    def _names(self, language: str) -> list[str]:
        """List the voices of a language that the settings allow, its own first."""
        return [name for name in voices_of(language.partition("-")[0]) if name in self._offered()]

    def _files(self, name: str) -> tuple[Path, Path]:
        """Return the paths of a voice's graph and of what stands beside it."""
        folder = Path(self.folder).expanduser() if self.folder else models_folder() / "piper"
        graph = Path(self.model).expanduser() if self._own else folder / f"{name}.onnx"
        return graph, graph.with_name(f"{graph.name}.json")

    def _lacks(self, name: str) -> list[Missing]:
        """List the files of a voice that are not there; one of the table of another size is damaged."""
        fetched = not self._own and not self.folder
        sizes = [file.size for file in piper_voices()[name].files] if fetched and name in piper_voices() else (None, None)
        files = [
            file
            for file, size in zip(self._files(name), sizes, strict=True)
            if not file.is_file() or (size is not None and length(file) != size)
        ]
        key = "" if self.model else f" for the language {piper_voices()[name].language}"
        fix = f"{FETCH_MODELS}{key}" if fetched else OWN_FILE
        return [Missing(f"the model file {file}", fix, fetchable=fetched) for file in files]

    def config_of(self, name: str) -> Mapping[str, Any]:
        """Read what stands beside a graph; raises `ModelError` for what is no Piper voice, or one of other symbols."""
        file = self._files(name)[1]
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
            kind, _ = config.get("phoneme_type", "espeak"), _language(config)
            complete = {"audio", "inference", "phoneme_id_map"} <= config.keys() and {"^", "_", "$"} <= config[
                "phoneme_id_map"
            ].keys()
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise ModelError(f"{file} describes no Piper voice ({error!r})", hint=FETCH_MODELS) from error
        if not complete:
            raise ModelError(f"{file} describes no Piper voice: it is not whole", hint=FETCH_MODELS)
        if kind not in KINDS:
            known = "eSpeak's phonemes or letters (espeak, text)"
            raise ModelError(f"{file}: the voice reads {kind!r}, and only {known} are made here", hint="another voice")
        return config  # type: ignore[no-any-return]

    def graph_of(self, name: str) -> Graph:
        """Open a voice's graph; raises `ModelError` for one that is no Piper."""
        file = self._files(name)[0]
        try:
            model = file.read_bytes()
        except OSError as error:
            raise ModelError(f"{file} cannot be read ({error})", hint=FETCH_MODELS) from error
        graph = open_graph(file, model, self.threads)
        names = {item.name for item in graph.get_inputs()}
        if not {"input", "input_lengths", "scales"} <= names <= {"input", "input_lengths", "scales", "sid"}:
            raise ModelError(f"{file} is no Piper: its inputs are {', '.join(sorted(names))}", hint=FETCH_MODELS)
        return graph

    def speaker_of(self, name: str, count: int) -> int:
        """Return the number of a voice's speaker; raises `BadInput` where it has none of that number."""
        table = piper_voices().get(name)
        number = self.speaker if self.speaker is not None else table.speaker if table else 0
        if not 0 <= number < max(count, 1):
            raise BadInput(f"speaker is {number}; {Path(name).name} has {count}, from 0 to {count - 1}")
        return number


def lighter(language: str) -> str:
    """Word the setting by which a Piper voice on this machine speaks a language; empty where there is none."""
    piper = Piper()
    return "synthesizer.use=models.tts.piper:Piper" if piper.voices_for(language) and not piper.missing() else ""


def _language(config: Mapping[str, Any]) -> str:
    spoken = config["espeak"]["voice"] if "espeak" in config else config["language"]["code"]  # letters need no eSpeak
    return re.split("[-_]", str(spoken))[0]


@dataclass(frozen=True, slots=True)
class _Voices:
    """Voices that are loaded, on their lane only."""

    backend: Piper
    speakers: dict[str, _LoadedVoice] = field(default_factory=dict)

    def loaded(self, name: str) -> _LoadedVoice:
        """Return a voice, loaded; it says one sound first, which makes the first unit as fast as the others."""
        if name not in self.speakers:
            config = self.backend.config_of(name)
            graph = self.backend.graph_of(name)
            several = any(item.name == "sid" for item in graph.get_inputs())
            number = self.backend.speaker_of(name, int(config.get("num_speakers", 1))) if several else None
            table = piper_voices().get(name)
            speaker = _LoadedVoice(
                graph, config, table.language if table else _language(config), self.backend.speed, number
            )
            list(speaker.say("a", None))
            self.speakers[name] = speaker
        return self.speakers[name]


@dataclass(frozen=True, slots=True)
class _LoadedVoice:
    """The voice of a file: ``config`` maps symbols to ids."""

    graph: Graph
    config: Mapping[str, Any]
    language: str
    speed: float
    number: int | None  # of several speakers
    most_phonemes: int = 120  # 8 s, which take a second

    @property
    def sample_rate(self) -> int:
        """Samples a second."""
        return int(self.config["audio"]["sample_rate"])

    @property
    def espeak_voice(self) -> str:
        """The eSpeak voice whose phonemes it reads; none where it reads letters."""
        return "" if self.config.get("phoneme_type") == "text" else str(self.config["espeak"]["voice"])

    def say(self, phonemes: str, options: object) -> Iterator[Samples]:
        """Yield the samples of one utterance, at once; none where no symbol is known that makes a sound."""
        table, scales = self.config["phoneme_id_map"], self.config["inference"]
        symbols = (symbol if symbol in table else symbol.lower() for symbol in normalize("NFD", phonemes))
        known = [symbol for symbol in symbols if symbol in table]
        if not any(symbol.isalpha() for symbol in known):
            return
        ids = [*table["^"], *table["_"]]
        for symbol in known:
            ids += [*table[symbol], *table["_"]]
        ids += table["$"]
        factors = (scales["noise_scale"], scales["length_scale"] / self.speed, scales["noise_w"])
        inputs: dict[str, NDArray[Any]] = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(factors, np.float32),
        }
        if self.number is not None:
            inputs["sid"] = np.array([self.number], np.int64)
        yield outputs_of(self.graph, None, inputs, options)[0].ravel()
