"""Kokoro-82M: neural voices for six languages on a CPU, without torch (https://huggingface.co/hexgrad/Kokoro-82M).

StyleTTS 2 (Li et al., 2023) with an iSTFTNet vocoder (Kaneko et al., 2022), 82 million weights in 8 bits, 24 kHz. Model and
voices are licensed under Apache-2.0.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.downloads import length
from models.model_files import VOICES, check_present, kind_of, models_folder
from models.tts.engines import cannot_clone
from models.tts.kokoro_graph import KokoroGraph, Statistics, load_kokoro, statistics_of
from models.tts.onnx_voice import OnnxSynthesizer, lacking
from models.tts.phonemes import PUNCTUATION
from models.tts.piper import lighter
from pipeline.contracts import FetchOptions, Missing, Progress, Synthesizer, Voice
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, Refused, check_range, nearest
from pipeline.events import Samples
from pipeline.lane import Lane
from pipeline.speech_facts import SpeechFacts

SAMPLE_RATE = 24_000
STYLE_SIZE = 256
MOST_AT_ONCE, MOST_STREAMED = 60, 120  # symbols, 4 and 8 s
LEAST_STREAMED = 20  # symbols: statistics of sentences make less nearly inaudible
MOST_TOKENS = 510  # as many styles has a voice: one for each number of tokens
PRESETS = {"en": "af_heart", "es": "ef_dora", "fr": "ff_siwis", "hi": "hf_alpha", "it": "if_sara", "pt": "pf_dora"}
"""The voice of each language; all are Apache-2.0, as the 48 others, which speak these languages with their own accent."""

ESPEAK_VOICES = {"en": "en-us", "es": "es", "fr": "fr-fr", "hi": "hi", "it": "it", "pt": "pt-br"}
_RUNS = {
    1: ";:,.!?", 9: '—…"()“” \u0303ʣʥʦʨᵝꭧAI', 31: "O", 33: "Q", 35: "ST", 39: "W", 41: "Yᵊabcdef",
    50: "hijklmnopqrstuvwxyzɑɐɒæ", 75: "βɔɕç", 80: "ɖðʤə", 85: "ɚɛɜ", 90: "ɟ", 92: "ɡ", 99: "ɥ", 101: "ɨɪʝ",
    110: "ɯɰŋɳɲɴø", 118: "ɸθœ", 123: "ɹ", 125: "ɾɻ", 128: "ʁɽʂʃʈʧ", 135: "ʊʋ", 138: "ʌɣɤ", 142: "χʎ", 147: "ʒʔ",
    156: "ˈˌː", 162: "ʰ", 164: "ʲ", 169: "↓", 171: "→↗↘", 177: "ᵻ",
}  # fmt: skip
SYMBOLS = {symbol: first + place for first, run in _RUNS.items() for place, symbol in enumerate(run)}
"""The number of each symbol in the model's table."""


@dataclass(frozen=True, slots=True)
class Kokoro:
    """Settings of Kokoro-82M, which speaks at ``speed`` (0.5 to 2), by ``threads`` (0: half of the cores, at most all).

    ``folder`` (empty: where model files are kept) holds ``model``, an ONNX graph, and ``voices``: NAME.bin, float32
    [510, 1, 256]. Of the silence after a unit at most ``pause_s`` is kept.
    """

    folder: str = ""
    model: str = "model.onnx"
    threads: int = 0
    speed: float = 1.0
    pause_s: float = 0.08

    def missing(self) -> Sequence[Missing]:
        """List eSpeak NG, the graph and a voice, where they are not there; a language may still lack its own voice."""
        if misplaced := self._misplaced():
            return [*lacking(), *misplaced]
        lacks = lacking(self._root / self.model)
        return lacks if self.presets() else [*lacks, Missing(f"a voice in {self._root / 'voices'}", FETCH_MODELS)]

    def missing_for(self, language: str) -> Sequence[Missing]:
        """List a language's voice, unless another one of it is in the folder."""
        base = language.partition("-")[0]
        if base not in PRESETS or self.voices_for(base):
            return []
        what = f"Kokoro's voice for {base}, {PRESETS[base]},"
        if misplaced := self._misplaced():
            return misplaced
        if self.folder:
            return [Missing(what, f"{PRESETS[base]}.bin in {self._root / 'voices'}", fetchable=False)]
        return [Missing(what, f"{FETCH_MODELS} for the language {base}")]

    def languages(self) -> frozenset[str]:
        """Return the languages with a voice of their own whose phonemes eSpeak NG gives."""
        return frozenset(PRESETS)

    def presets(self) -> Sequence[str]:
        """List the voices in the folder, as ``af_heart``: language, sex, name."""
        return sorted(file.stem for file in (self._root / "voices").glob("*.bin"))

    def has_preset(self, name: str) -> bool:
        """Tell if a voice of this name is in the folder."""
        return name in self.presets()

    def voices_for(self, language: str) -> Sequence[str]:
        """List the voices of a language, its default first, then women and men in turn."""
        base = language.partition("-")[0]
        own = [name for name in self.presets() if VOICES.get(name[0]) == base and name != PRESETS.get(base)]
        default = PRESETS[base] if base in PRESETS and self.has_preset(PRESETS[base]) else ""
        like = [name for name in own if name[1] == default[1:2]]
        pairs = zip_longest([name for name in own if name not in like], like)
        return [name for name in (default, *chain.from_iterable(pairs)) if name]

    def check_cloning(self) -> None:
        """Raise `Refused`: Kokoro has presets only."""
        raise cannot_clone("Kokoro")

    def describe(self, language: str) -> SpeechFacts:
        """Describe its speech in a language: a preset that streams."""
        return SpeechFacts("Apache-2.0", voice=PRESETS.get(language.partition("-")[0], ""))

    def memory(self) -> Mapping[str, int]:
        """Return the bytes that the model takes, three times its file; measured: 0.29 GB for one of 92 MB."""
        size = length(self._root / self.model)
        return {f"Kokoro {self.model}": 3 * size} if size else {}

    def pull(self, progress: Progress) -> None:
        """Download the model and the voices of its six languages."""
        self.fetch(FetchOptions(), progress)

    def fetch(self, options: FetchOptions, progress: Progress) -> None:
        """Download the model and the voices for the target languages, unless there is a folder of one's own."""
        from models.fetch import fetch

        languages = sorted(self.languages() & set(options.targets)) if options.targets else sorted(PRESETS)
        if languages and not self.folder:
            fetch("kokoro", progress, languages, options.source)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[Synthesizer]:
        """Load the graph and say a sound, short and long, which makes the first unit as fast as the others."""
        check_range("speed", self.speed, 0.5, 2)
        check_present(self.missing())
        with Lane("speak") as lane:
            graph = await lane.run(load_kokoro, self._root / self.model, self.threads)
            names = _names(graph, self._root / self.model)

            async def speaker(voice: Voice | None, language: str) -> _LoadedVoice:
                return self._speaker(graph, names, voice, language)

            first = await speaker(Voice(self.presets()[0]), "en")
            for symbols in (1, LEAST_STREAMED):
                await lane.run(list, first.say("a" * symbols, None))
            yield OnnxSynthesizer(lane, speaker, self.pause_s, "Kokoro", lighter)

    def _speaker(self, graph: KokoroGraph, names: _Names, voice: Voice | None, language: str) -> _LoadedVoice:
        base = language.partition("-")[0]
        if base not in PRESETS:
            raise Refused(f"Kokoro does not speak {language!r}; {nearest(language, PRESETS)}")
        for lack in () if voice is not None and voice.name else self.missing_for(base):
            raise ModelError(f"{lack.what} is not on this machine", hint=lack.fix)
        name = (voice.name if voice is not None else "") or self.voices_for(base)[0]
        if not self.has_preset(name):
            raise BadInput(f"Kokoro has no voice {name!r}; {nearest(name, self.presets())}")
        file = self._root / "voices" / f"{name}.bin"
        styles = np.fromfile(file, "<f4")
        if not len(styles) or len(styles) % STYLE_SIZE or not np.isfinite(styles).all():
            raise ModelError(f"{file} is no voice of Kokoro: it holds {len(styles)} numbers", hint=FETCH_MODELS)
        statistics = statistics_of(name, graph.tensors)
        british = name.startswith("b")
        return _LoadedVoice(graph, names, styles.reshape(-1, STYLE_SIZE), statistics, self.speed, base, british)

    def _misplaced(self) -> list[Missing]:
        """Say what a folder of one's own is that holds no model."""
        if not self.folder or (self._root / self.model).is_file():
            return []
        wanted = f"a folder with {self.model} and voices/NAME.bin for the setting folder of this synthesizer"
        return [Missing(f"Kokoro's model in {self._root}, which {kind_of(self._root)},", wanted, fetchable=False)]

    @property
    def _root(self) -> Path:
        return Path(self.folder).expanduser() if self.folder else models_folder() / "kokoro"


@dataclass(frozen=True, slots=True)
class _Names:
    """The graph's inputs, which exports name in two ways; some take the speed as an integer."""

    tokens: str
    speed_kind: type[np.float32] | type[np.int32]


def _names(graph: KokoroGraph, file: Path) -> _Names:
    kinds = {item.name: item.type for item in graph.text.get_inputs()}
    tokens = next((name for name in ("tokens", "input_ids") if name in kinds), "")
    if not tokens or kinds.keys() != {tokens, "style", "speed"}:
        raise ModelError(f"{file} is no Kokoro: its inputs are {', '.join(sorted(kinds))}", hint=FETCH_MODELS)
    return _Names(tokens, np.float32 if kinds["speed"] == "tensor(float)" else np.int32)


@dataclass(frozen=True, slots=True)
class _LoadedVoice:
    """A voice: ``styles`` [n, 256], of which row n - 1 is for n tokens, and statistics of its speech if they are known."""

    graph: KokoroGraph
    names: _Names
    styles: NDArray[np.float32]
    statistics: Statistics | None
    speed: float
    language: str
    british: bool = False
    sample_rate: int = SAMPLE_RATE

    @property
    def most_phonemes(self) -> int:
        """Symbols of one utterance: fewer where its first sound waits for all of it."""
        return MOST_AT_ONCE if self.statistics is None else MOST_STREAMED

    @property
    def espeak_voice(self) -> str:
        """The eSpeak voice whose phonemes it reads."""
        return "en-gb" if self.british and self.language == "en" else ESPEAK_VOICES[self.language]

    def say(self, phonemes: str, options: object) -> Iterator[Samples]:
        """Yield the samples of one utterance; none where no symbol is known that makes a sound."""
        symbols = [symbol for symbol in phonemes if symbol in SYMBOLS][:MOST_TOKENS]
        silent = len(symbols) - len("".join(symbols).rstrip(PUNCTUATION + " "))
        if not any(symbol.isalpha() for symbol in symbols):
            return
        inputs = {
            self.names.tokens: np.array([[0, *(SYMBOLS[symbol] for symbol in symbols), 0]], np.int64),
            "style": self.styles[min(len(symbols), len(self.styles)) - 1][np.newaxis],
            "speed": np.array([self.speed], self.names.speed_kind),
        }
        statistics = self.statistics if len(symbols) >= LEAST_STREAMED else None
        yield from self.graph.say(inputs, statistics, silent, options)
