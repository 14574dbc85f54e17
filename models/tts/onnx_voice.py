"""Voices that are ONNX graphs from phonemes to samples: one session's speech with Kokoro or Piper."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from models.tts.engines import cannot_clone
from models.tts.phonemes import INSTALL, Phonemizer, cut
from models.tts.silence import SilenceTrim
from models.tts.spoken_text import own_script, spoken_text
from pipeline.contracts import Missing, Speaking, Voice
from pipeline.errors import FETCH_MODELS, ModelError
from pipeline.events import AudioChunk, ReadingUnit, Samples, SpeechChunk
from pipeline.lane import Lane, usable_cores

CHUNK_S = 0.1
CLAUSE_PAUSE_S = 0.15  # between the pieces of one unit
PROGRAM = "espeak-ng"

Inputs = Mapping[str, NDArray[Any]]


class Graph(Protocol):
    """An onnxruntime.InferenceSession."""

    def run(self, outputs: Sequence[str] | None, inputs: Inputs, options: object = None) -> list[NDArray[Any]]:
        """Return the named outputs, or all."""

    def get_inputs(self) -> Sequence[Any]:
        """Return name, type and shape of each input."""


class GraphVoice(Protocol):
    """A voice of a loaded graph."""

    @property
    def sample_rate(self) -> int:
        """Samples a second."""

    @property
    def espeak_voice(self) -> str:
        """Name of the eSpeak voice whose phonemes it reads; empty: it reads the text itself."""

    @property
    def language(self) -> str:
        """Code of the language that it speaks."""

    @property
    def most_phonemes(self) -> int:
        """Symbols of one utterance, above which a unit is cut after clauses."""

    def say(self, phonemes: str, options: object) -> Iterator[Samples]:
        """Yield the samples of one utterance as they are computed; none where it knows none of the phonemes."""


@dataclass(frozen=True, slots=True)
class OnnxSynthesizer:
    """A loaded model; ``lane`` owns its graphs. ``speaker`` finds a voice for a language, loaded, or raises.

    ``lighter`` gives the setting by which this machine can speak a language with less computing, if there is one.
    """

    lane: Lane
    speaker: Callable[[Voice | None, str], Awaitable[GraphVoice]]
    pause_s: float
    name: str
    lighter: Callable[[str], str] = lambda _: ""

    async def enrol(self, audio: AudioChunk) -> Voice:
        """Refuse: these graphs have presets only."""
        raise cannot_clone(self.name)

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[Speaking]:
        """Begin to speak; the session's eSpeak process ends with it."""
        if voice is not None and voice.arrays:
            raise cannot_clone(self.name)
        speaker = await self.speaker(voice, language)
        phonemizer = Phonemizer(program(), speaker.espeak_voice) if speaker.espeak_voice else None
        if phonemizer is not None:
            await phonemizer.start()
        spoken_text(own_script("5 km", speaker.language), speaker.language)  # words are loaded before the first unit
        try:
            yield _Speaking(self, speaker, phonemizer, self.lighter(speaker.language))
        finally:
            if phonemizer is not None:
                await phonemizer.close()


@dataclass(frozen=True, slots=True)
class _Speaking:
    model: OnnxSynthesizer
    speaker: GraphVoice
    phonemizer: Phonemizer | None
    lighter: str

    async def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        """Synthesize one unit in pieces of whole clauses; the whole text is awaited first, as intonation needs its end.

        Closing ends the run of the graph. Raises `ModelError` where eSpeak or the graph fails.
        """
        rate = self.speaker.sample_rate
        language = self.speaker.language
        words = spoken_text(own_script("".join([piece async for piece in text]), language), language)
        phonemes = await self.phonemizer.phonemes(words) if words and self.phonemizer is not None else words
        size, pause = int(CHUNK_S * rate), np.zeros(0, np.float32)
        for piece in cut(phonemes, self.speaker.most_phonemes):
            trim = SilenceTrim(rate, CLAUSE_PAUSE_S)
            async for samples in self._computed(piece):
                sound = trim.add(samples)
                if len(sound) and len(pause):
                    sound, pause = np.concatenate([pause, sound]), pause[:0]
                for start in range(0, len(sound), size):
                    yield SpeechChunk(unit.number, sound[start : start + size], rate, last=False)
            pause = trim.end() if len(trim.end()) else pause
        yield SpeechChunk(unit.number, pause[: int(self.model.pause_s * rate)], rate, last=True)

    async def _computed(self, phonemes: str) -> AsyncIterator[Samples]:
        """Yield the samples of one piece, each run of a graph when asked for; cancelling ends the run."""
        from onnxruntime import RunOptions

        options = RunOptions()

        def stop() -> None:
            options.terminate = True

        runs = self.speaker.say(phonemes, options)
        while (samples := await self.model.lane.stoppable(stop, next, runs, None)) is not None:
            yield samples


def open_graph(file: Path, model: bytes, threads: int) -> Graph:
    """Open a session of onnxruntime on the CPU for a model of a file, with at most as many threads as cores.

    Raises `ModelError` for a broken file.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads_for(threads), 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # the recognizer needs the cores meanwhile
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the border to onnxruntime, whose errors have no class in common
        raise ModelError(f"{file} is no voice model that onnxruntime can read ({error})", hint=FETCH_MODELS) from error
    session._model_bytes = None  # it would keep them for fallback to other devices
    return cast(Graph, session)


def outputs_of(graph: Graph, names: Sequence[str] | None, inputs: Inputs, options: object) -> list[NDArray[np.float32]]:
    """Run a graph; gives its outputs of these names, or all. Raises `ModelError` where it fails."""
    try:
        return graph.run(names, inputs, options)
    except Exception as error:  # the border to onnxruntime, whose errors have no class in common
        raise ModelError(f"the voice model failed: {error}") from error


def threads_for(asked: int) -> int:
    """Return as many threads as asked, up to this process's cores; 0: half of the cores, for other stages need some."""
    cores = usable_cores()
    return min(asked, cores) if asked else max(1, min(4, cores // 2))


def program() -> str:
    """Return the path of eSpeak NG; raises `ModelError` where it is missing."""
    if (path := shutil.which(PROGRAM)) is None:
        raise ModelError(f"the program {PROGRAM} not found", hint=INSTALL)
    return path


def lacking(*files: Path) -> list[Missing]:
    """List eSpeak NG and these model files where they are not there."""
    lacks = [] if shutil.which(PROGRAM) else [Missing(f"the program {PROGRAM}", INSTALL)]
    return [*lacks, *(Missing(f"the model file {file}", FETCH_MODELS) for file in files if not file.is_file())]
