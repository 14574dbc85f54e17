"""Scripted models as a system under test: they know each utterance's words and translation, and cost what is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

from benchmarks.corpora.utterance import Utterance
from benchmarks.runs.row import Clock
from benchmarks.systems.in_process import Outcome, SourceAudio, interpret
from benchmarks.systems.scripted import ScriptedRecognizer, ScriptedSynthesizer, ScriptedTranslator
from pipeline.events import Word
from pipeline.session import Models, SessionOptions


class ScriptSystem:
    """Exact models; ``load`` multiplies their cost: at 1 a word costs 20 ms to hear, a unit 100 ms to translate."""

    clocks: tuple[Clock, ...] = ("real", "virtual", "cu")

    def __init__(self, load: float = 1.0) -> None:
        self._load = load

    def about(self) -> dict[str, Any]:
        """Its name and load."""
        return {"system": f"scripted:{self._load:g}"}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Nothing to load."""
        yield

    async def interpret(self, utterance: Utterance, audio: SourceAudio, clock: Clock) -> Outcome:
        """One session in which every source word becomes its share of the reference."""
        words = script_of(utterance)
        load = 0.0 if clock == "cu" else self._load
        models = Models(
            ScriptedRecognizer(words, utterance.source_language, cost_s=0.004 * load),
            ScriptedTranslator(translation_of(utterance), cost_s=0.1 * load),
            ScriptedSynthesizer(cost_s=0.02 * load),
        )
        target = utterance.target_language
        return await interpret(models, SessionOptions((utterance.source_language,), (target,), target), audio, clock)


def script_of(utterance: Utterance) -> list[Word]:
    """The utterance's words with their known ends, or spread evenly where no ends are known."""
    texts = utterance.transcript.split()
    ends = utterance.word_ends_s
    if len(ends) != len(texts):
        ends = tuple(utterance.duration_s * (index + 1) / (len(texts) + 1) for index in range(len(texts)))
    starts = (0.0, *ends)
    return [
        Word(f" {text}", max(start, end - 0.3), end, 1.0) for text, start, end in zip(texts, starts, ends, strict=False)
    ]


def translation_of(utterance: Utterance) -> Callable[[str], str]:
    """A translator of any stretch of the utterance: each source word stands for its share of its sentence's reference.

    The same text always gives the same translation, where it occurs first; text that was never said stays as it is.
    """
    words: list[str] = []
    shares: list[list[str]] = []
    for sentence in utterance.sentences:
        said, reference = sentence.transcript.split(), sentence.reference.split()
        marks = [round(len(reference) * index / len(said)) for index in range(len(said) + 1)]
        words += said
        shares += [reference[begin:end] for begin, end in pairwise(marks)]

    def translate(text: str) -> str:
        wanted = text.split()
        for first in range(len(words) - len(wanted) + 1):
            if words[first : first + len(wanted)] == wanted:
                return " ".join(word for share in shares[first : first + len(wanted)] for word in share)
        return text

    return translate
