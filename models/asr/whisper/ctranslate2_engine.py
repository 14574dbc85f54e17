"""Whisper on CTranslate2 below ``WhisperModel.transcribe``: one encode, one generate and one align for each update.

``transcribe`` encodes a window many times (seek loop, temperature fallback) and has no place in a live loop. The word times
come from cross-attention by dynamic time warping, on the encoder output that was decoded.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from models.asr.whisper.hypothesis import FRAME_S, HeardWord, Hypothesis, Job, Tokens
from models.asr.whisper.log_mel import Spectrogram
from models.asr.whisper.words import Splitter, split_words
from pipeline.errors import ModelError

MAX_POSITIONS = 448
ALIGNMENTS_PER_SECOND = 50
SILENT_FEATURE = 0.0  # faster-whisper fills what follows the audio with this, and OpenAI's Whisper does too

Forced = tuple[tuple[float, float], ...]


class CTranslate2Engine:
    """Decodes windows with a ``ctranslate2.models.Whisper`` and its ``tokenizers.Tokenizer``.

    ``frames`` is the width that every window is filled up to. Not thread-safe by intent: give it a lane.
    """

    def __init__(self, model: Any, tokenizer: Any, frames: int, beam_size: int = 1) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._frames = frames
        self._beam_size = beam_size
        self._splitters: dict[str, Any] = {}
        self._suppressed = _suppressed(self._splitter("en"), tokenizer)

    @property
    def n_mels(self) -> int:
        """Rows of the features it wants."""
        return int(self._model.n_mels)

    @property
    def window_s(self) -> float:
        """The longest window it can hear."""
        return self._frames * FRAME_S

    @property
    def languages(self) -> frozenset[str]:
        """What it understands."""
        from faster_whisper.tokenizer import _LANGUAGE_CODES

        if not self._model.is_multilingual:
            return frozenset({"en"})
        return frozenset(code for code in _LANGUAGE_CODES if self._tokenizer.token_to_id(f"<|{code}|>") is not None)

    def encode_text(self, text: str) -> Tokens:
        """The tokens of a text."""
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, jobs: Sequence[Job]) -> list[Hypothesis]:
        """Decode a batch; when CUDA runs out of memory, once more, then `ModelError`."""
        try:
            return self._decode(jobs)
        except RuntimeError as error:
            if "out of memory" not in str(error):
                raise ModelError(f"the recognizer failed: {error}") from error
        gc.collect()
        try:
            return self._decode(jobs)
        except RuntimeError as error:
            raise ModelError(
                f"the GPU ran out of memory while recognizing ({error}); take a smaller model "
                "(--set recognizer.model=small), --set recognizer.compute_type=int8_float16, or fewer sessions"
            ) from error

    def _decode(self, jobs: Sequence[Job]) -> list[Hypothesis]:
        encoded = self.encode([job.features for job in jobs])
        heard = self._detect(encoded, jobs)
        languages = [job.language or max(row, key=lambda code: row[code]) for job, row in zip(jobs, heard, strict=True)]
        texts, no_speech = self.generate(encoded, jobs, languages)
        aligned = self.align(encoded, jobs, languages, texts)
        return [
            self._hypothesis(job, language, text, alignment, silent, row if job.detect else {})
            for job, language, text, alignment, silent, row in zip(
                jobs, languages, texts, aligned, no_speech, heard, strict=True
            )
        ]

    def encode(self, features: Sequence[Spectrogram]) -> Any:
        """One encoder pass over windows filled up to equal width; the output stays on the device."""
        import ctranslate2

        batch = np.full((len(features), self.n_mels, self._frames), SILENT_FEATURE, np.float32)
        for row, window in zip(batch, features, strict=True):
            width = min(self._frames, window.shape[1])
            row[:, :width] = window[:, :width]
        return self._model.encode(ctranslate2.StorageView.from_array(batch))

    def generate(self, encoded: Any, jobs: Sequence[Job], languages: Sequence[str]) -> tuple[list[list[int]], list[float]]:
        """The text tokens of every job, its prefix included, and the probability that nobody speaks."""
        prompts = [
            [*self._start(job, language), self._splitter(language).no_timestamps, *job.prefix_tokens]
            for job, language in zip(jobs, languages, strict=True)
        ]
        budget = [len(job.prefix_tokens) + job.max_new_tokens for job in jobs]
        results = self._model.generate(
            encoded,
            prompts,
            beam_size=1 if jobs[0].greedy else self._beam_size,
            max_length=min(MAX_POSITIONS, 2 * max(budget)),  # CTranslate2 halves it, and counts the prefix
            suppress_blank=not jobs[0].prefix,  # it would forbid to end right after the prefix
            suppress_tokens=self._suppressed,
            return_no_speech_prob=True,
        )
        end = self._splitter("en").eot
        texts = [
            [token for token in result.sequences_ids[0] if token < end][:most]
            for result, most in zip(results, budget, strict=True)
        ]
        return texts, [float(result.no_speech_prob) for result in results]

    def align(
        self, encoded: Any, jobs: Sequence[Job], languages: Sequence[str], texts: Sequence[list[int]]
    ) -> list[tuple[NDArray[np.float64], list[float]]]:
        """For every job the begin of each token and of the end, in seconds of the window, and the tokens' probabilities.

        One call takes one start sequence for all rows, so rows in other languages are aligned in calls of their own.
        """
        starts = [tuple(self._start(job, language)) for job, language in zip(jobs, languages, strict=True)]
        frames = [min(self._frames, round((job.end - job.start) / FRAME_S)) for job in jobs]
        rows: list[tuple[NDArray[np.float64], list[float]]] = [(np.zeros(0), [])] * len(jobs)
        if not any(texts):
            return rows
        for start in dict.fromkeys(starts):
            for index, found in enumerate(self._model.align(encoded, list(start), list(texts), frames)):
                if starts[index] == start:
                    rows[index] = _token_times(found, len(texts[index]), frames[index] * FRAME_S)
        return rows

    def _detect(self, encoded: Any, jobs: Sequence[Job]) -> list[dict[str, float]]:
        """Probabilities among the languages each job allows; empty where nobody asks."""
        if all(job.language and not job.detect for job in jobs):
            return [{} for _ in jobs]
        if not self._model.is_multilingual:
            return [{"en": 1.0} for _ in jobs]
        detected = self._model.detect_language(encoded)
        return [_among({token[2:-2]: p for token, p in row}, job.allowed) for row, job in zip(detected, jobs, strict=True)]

    def _hypothesis(
        self,
        job: Job,
        language: str,
        tokens: list[int],
        alignment: tuple[NDArray[np.float64], list[float]],
        no_speech: float,
        languages: dict[str, float],
    ) -> Hypothesis:
        times, probabilities = alignment
        prefix = len(job.prefix_tokens)
        forced, words, at = [], [], 0
        for row in job.prefix:
            if at + len(row) < len(times):
                forced.append((job.start + float(times[at]), job.start + float(times[at + len(row)])))
            at += len(row)
        for text, piece in split_words(tokens[prefix:], cast(Splitter, self._splitter(language))):
            span = slice(at, at + len(piece))
            start, end = job.start + float(times[at]), job.start + float(times[at + len(piece)])
            words.append(HeardWord(text, start, end, float(np.mean(probabilities[span])), piece))
            at += len(piece)
        return Hypothesis(tuple(words), language, cast(Forced, tuple(forced)), no_speech, languages)

    def _start(self, job: Job, language: str) -> list[int]:
        splitter = self._splitter(language)
        context = [splitter.sot_prev, *job.context] if job.context else []
        return [*context, *splitter.sot_sequence]

    def _splitter(self, language: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        if language not in self._splitters:
            multilingual = self._model.is_multilingual
            self._splitters[language] = Tokenizer(self._tokenizer, multilingual, task="transcribe", language=language)
        return self._splitters[language]


def _token_times(found: Any, tokens: int, end_s: float) -> tuple[NDArray[np.float64], list[float]]:
    """Begin of each token, and of the end, by the first frame of its row in the warping path."""
    if not found.alignments:
        return np.full(tokens + 1, end_s), [0.0] * tokens
    path = np.array(found.alignments)
    begins = path[np.flatnonzero(np.diff(path[:, 0], prepend=-1)), 1] / ALIGNMENTS_PER_SECOND
    times = np.full(tokens + 1, end_s)
    times[: len(begins)] = np.minimum(begins[: tokens + 1], end_s)
    return times, list(found.text_token_probs)


def _among(probabilities: dict[str, float], allowed: Sequence[str]) -> dict[str, float]:
    chosen = {code: p for code, p in probabilities.items() if not allowed or code in allowed}
    total = sum(chosen.values()) or 1.0
    return {code: p / total for code, p in chosen.items()}


def _suppressed(splitter: Any, tokenizer: Any) -> list[int]:
    """Symbols nobody says, and every control token that must not appear in a text."""
    control = ["startoftranscript", "startofprev", "startoflm", "transcribe", "translate", "nospeech", "nocaptions"]
    from faster_whisper.tokenizer import _LANGUAGE_CODES

    names = [*control, "notimestamps", *_LANGUAGE_CODES]
    ids = {tokenizer.token_to_id(f"<|{name}|>") for name in names} - {None}
    return sorted({*splitter.non_speech_tokens, *ids})
