"""Whisper on CTranslate2 below ``WhisperModel.transcribe``: one encode, one generate and one align for each update.

``transcribe`` encodes a window many times (seek loop, temperature fallback) and has no place in a live loop. The word times
come from cross-attention by dynamic time warping, on the encoder output that was decoded.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.asr.whisper.ctranslate2_types import (
    Aligned,
    Encoded,
    NativeModel,
    NativeTokenizer,
    Splitter,
    new_splitter,
    storage_view,
)
from models.asr.whisper.hypothesis import FRAME_S, HeardWord, Hypothesis, Job, Tokens
from models.asr.whisper.language import LANGUAGES, SINCE_LARGE_V3, iso_code, whisper_code
from models.asr.whisper.log_mel import Spectrogram
from models.asr.whisper.prompt_terms import is_doubtful, says_a_term
from models.asr.whisper.words import UNSPACED, split_words
from pipeline.errors import ModelError

# fmt: off
CONTROL_TOKENS = (
    "startoftranscript", "startofprev", "startoflm", "transcribe", "translate", "nospeech", "nocaptions", "notimestamps",
)
# fmt: on
MAX_POSITIONS = 448
MAX_TEXT_TOKENS = MAX_POSITIONS // 2  # prefix and new words; the other half is for the context and control tokens
ALIGNMENTS_PER_SECOND = 50
SILENT_S = 1.0  # of silence after the audio: without it words are invented at its end
LEAST_WIDTH_S = 10.0  # with less, words at the begin of speech are missed and misheard
SILENT_FEATURE = 0.0  # faster-whisper fills what follows the audio with this, and OpenAI's Whisper does too


@dataclass(frozen=True, slots=True)
class Timing:
    """Beginning of each token and end of the last one [tokens + 1], in seconds of the window, and probability of each."""

    times: NDArray[np.float64]
    probabilities: Sequence[float]


class CTranslate2Engine:
    """Decoder of windows with a ``ctranslate2.models.Whisper`` and its ``tokenizers.Tokenizer``.

    ``frames`` is the width that every window is filled up to, or if ``adaptive`` at most. A beam search is with timestamps:
    without, it often says a sentence again in the silence after it. It belongs to one thread: give it a lane.
    """

    def __init__(
        self,
        model: NativeModel,
        tokenizer: NativeTokenizer,
        frames: int,
        beam_size: int = 1,
        *,
        adaptive: bool = False,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._frames = frames
        self._beam_size = beam_size
        self._adaptive = adaptive
        self._splitters: dict[str, Splitter] = {}
        splitter = self._splitter("en")
        self._end = splitter.eot
        self._plain, self._timed = splitter.no_timestamps, splitter.timestamp_begin
        self._suppressed = _suppressed(splitter, tokenizer)

    @property
    def n_mels(self) -> int:
        """Rows of the features it wants."""
        return self._model.n_mels

    @property
    def window_s(self) -> float:
        """The longest window it can hear."""
        return self._frames * FRAME_S

    @property
    def languages(self) -> frozenset[str]:
        """Languages it understands."""
        if not self._model.is_multilingual:
            return frozenset({"en"})
        known = (code for code in LANGUAGES | SINCE_LARGE_V3 if self._tokenizer.token_to_id(f"<|{whisper_code(code)}|>"))
        return frozenset(known)

    def encode_text(self, text: str) -> Tokens:
        """Return the tokens of a text."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, jobs: Sequence[Job]) -> list[Hypothesis]:
        """Decode a batch; when CUDA runs out of memory, once more. Raises `ModelError` for whatever CTranslate2 refuses."""
        try:
            return self._decode(jobs)
        except (RuntimeError, ValueError) as error:
            if "out of memory" not in str(error):
                raise ModelError(f"the recognizer failed: {error}") from error
        gc.collect()
        try:
            return self._decode(jobs)
        except (RuntimeError, ValueError) as error:
            raise ModelError(
                f"the GPU ran out of memory while recognizing ({error})",
                hint="a smaller model (recognizer.model=small), recognizer.compute_type=int8_float16, or fewer sessions",
            ) from error

    def _decode(self, jobs: Sequence[Job]) -> list[Hypothesis]:
        encoded = self.encode([job.features for job in jobs])
        heard = self.detect(encoded, jobs)
        languages = [job.language or max(row, key=lambda code: row[code]) for job, row in zip(jobs, heard, strict=True)]
        hypotheses = self._read(encoded, jobs, languages, heard)
        doubts = [
            bool(job.terms.tokens) and is_doubtful(found.words, job.last)
            for job, found in zip(jobs, hypotheses, strict=True)
        ]
        if any(doubts):
            told = [replace(job, context=job.terms.tokens + job.context) for job in jobs]
            rows = zip(doubts, jobs, hypotheses, self._read(encoded, told, languages, heard), strict=True)
            hypotheses = [
                again if doubt and says_a_term(job.terms, found, again) else found for doubt, job, found, again in rows
            ]
        return hypotheses

    def _read(
        self, encoded: Encoded, jobs: Sequence[Job], languages: Sequence[str], heard: Sequence[Mapping[str, float]]
    ) -> list[Hypothesis]:
        texts, no_speech = self.generate(encoded, jobs, languages)
        timings = self.align(encoded, jobs, languages, texts)
        hypotheses = []
        for index, job in enumerate(jobs):
            forced, words = self._words(job, languages[index], texts[index], timings[index])
            detected = heard[index] if job.detect else {}
            hypotheses.append(Hypothesis(words, languages[index], forced, no_speech[index], detected))
        return hypotheses

    def encode(self, features: Sequence[Spectrogram]) -> Encoded:
        """Encode windows, filled up to equal width, in one pass; the output stays on the device."""
        longest = max(window.shape[1] for window in features)
        frames = self._width(longest) if self._adaptive else self._frames
        batch = np.full((len(features), self.n_mels, frames), SILENT_FEATURE, np.float32)
        for row, window in zip(batch, features, strict=True):
            width = min(frames, window.shape[1])
            row[:, :width] = window[:, :width]
        return self._model.encode(storage_view(batch))

    def _width(self, frames: int) -> int:
        """Return the frames to compute for a window of ``frames``: whole seconds, at least one of them silent."""
        seconds = -(-(frames + round(SILENT_S / FRAME_S)) * FRAME_S // 1)
        return min(self._frames, round(max(LEAST_WIDTH_S, seconds) / FRAME_S))

    def detect(self, encoded: Encoded, jobs: Sequence[Job]) -> list[dict[str, float]]:
        """Compute the probabilities among the languages that each job allows; empty if no job asks."""
        if all(job.language and not job.detect for job in jobs):
            return [{} for _ in jobs]
        if not self._model.is_multilingual:
            return [{"en": 1.0} for _ in jobs]
        detected = self._model.detect_language(encoded)
        named = [{iso_code(token[2:-2]): probability for token, probability in row} for row in detected]
        return [_among(row, job.allowed) for row, job in zip(named, jobs, strict=True)]

    def generate(
        self, encoded: Encoded, jobs: Sequence[Job], languages: Sequence[str]
    ) -> tuple[list[list[int]], list[float]]:
        """Generate the text tokens of every job, its prefix included, and the probability that nobody speaks."""
        beams = 1 if jobs[0].greedy else self._beam_size
        opening = self._timed if beams > 1 else self._plain
        prompts = [
            [*self._start(job, language), opening, *job.prefix_tokens]
            for job, language in zip(jobs, languages, strict=True)
        ]
        budgets = [min(MAX_TEXT_TOKENS, len(job.prefix_tokens) + job.max_new_tokens) for job in jobs]
        contexts = [len(prompt) - len(job.prefix_tokens) for prompt, job in zip(prompts, jobs, strict=True)]
        results = self._model.generate(
            encoded,
            prompts,
            beam_size=beams,
            # CTranslate2 generates min(max_length / 2, max_length - tokens before the text), the prefix included.
            max_length=min(MAX_POSITIONS, max(2 * max(budgets), max(contexts) + max(budgets))),
            suppress_blank=not jobs[0].prefix,  # it would forbid to end right after the prefix
            suppress_tokens=self._suppressed,
            return_no_speech_prob=True,
        )
        texts = [
            [token for token in result.sequences_ids[0] if token < self._end][:budget]
            for result, budget in zip(results, budgets, strict=True)
        ]
        return texts, [float(result.no_speech_prob) for result in results]

    def align(
        self, encoded: Encoded, jobs: Sequence[Job], languages: Sequence[str], texts: Sequence[list[int]]
    ) -> list[Timing]:
        """Find the time of each token.

        A call has one start sequence for all rows, and a row's times depend on the length of the longest: rows are aligned
        with those of equal start and length, beside dummies in the places of the others.
        """
        starts = [tuple(self._start(job, language)) for job, language in zip(jobs, languages, strict=True)]
        frames = [min(self._frames, round((job.end - job.start) / FRAME_S)) for job in jobs]
        timings = [Timing(np.zeros(1), ())] * len(jobs)
        kinds = [(start, len(text)) for start, text in zip(starts, texts, strict=True)]
        for start, length in dict.fromkeys(kind for kind in kinds if kind[1]):
            rows = [text if kind == (start, length) else [0] * length for text, kind in zip(texts, kinds, strict=True)]
            aligned = self._model.align(encoded, list(start), rows, frames)
            for index, found in enumerate(aligned):
                if kinds[index] == (start, length):
                    timings[index] = _timing(found, length, frames[index] * FRAME_S)
        return timings

    def _words(
        self, job: Job, language: str, tokens: list[int], timing: Timing
    ) -> tuple[tuple[tuple[float, float], ...], tuple[HeardWord, ...]]:
        """Return the spans of the forced words, and the words after them."""
        forced, words, at = [], [], 0
        times = timing.times + job.start
        for piece in job.prefix:
            begin, at = at, at + len(piece)
            if at < len(times):
                forced.append((float(times[begin]), float(times[at])))
        for text, piece in split_words(tokens[at:], self._splitter(language), language not in UNSPACED):
            begin, at = at, at + len(piece)
            probability = float(np.mean(timing.probabilities[begin:at]))
            words.append(HeardWord(text, float(times[begin]), float(times[at]), probability, piece))
        return tuple(forced), tuple(words)

    def _start(self, job: Job, language: str) -> list[int]:
        splitter = self._splitter(language)
        context = [splitter.sot_prev, *job.context] if job.context else []
        return [*context, *splitter.sot_sequence]

    def _splitter(self, language: str) -> Splitter:
        if language not in self._splitters:
            code = whisper_code(language)
            self._splitters[language] = new_splitter(self._tokenizer, self._model.is_multilingual, code)
        return self._splitters[language]


def _timing(found: Aligned, tokens: int, end_s: float) -> Timing:
    """Read token times off the warping path: a token begins in the first frame of its row."""
    times = np.full(tokens + 1, end_s)
    if not found.alignments:
        return Timing(times, [0.0] * tokens)
    path = np.array(found.alignments)
    begins = path[np.flatnonzero(np.diff(path[:, 0], prepend=-1)), 1] / ALIGNMENTS_PER_SECOND
    times[: len(begins)] = np.minimum(begins[: tokens + 1], end_s)
    return Timing(times, found.text_token_probs)


def _among(probabilities: Mapping[str, float], allowed: Sequence[str]) -> dict[str, float]:
    chosen = {code: probability for code, probability in probabilities.items() if not allowed or code in allowed}
    total = sum(chosen.values()) or 1.0
    return {code: probability / total for code, probability in chosen.items()}


def _suppressed(splitter: Splitter, tokenizer: NativeTokenizer) -> list[int]:
    """Return the symbols nobody says, and every control token that must not appear in a text."""
    languages = [whisper_code(language) for language in LANGUAGES | SINCE_LARGE_V3]
    ids = [tokenizer.token_to_id(f"<|{name}|>") for name in (*CONTROL_TOKENS, *languages)]
    return sorted({*splitter.non_speech_tokens, *(token for token in ids if token is not None)})
