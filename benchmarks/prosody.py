"""Prosody of the source in a profile's speech, with and without following the speaker: rates, long pauses, lag, the voice.

The talk is a folder's recordings again and again, three at a time 1.25 times as fast and as slow, with pauses between them.
All sessions hear it as fast as possible (clock ``cu``) and remember what models gave before, so they cut the same units.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import cycle, islice, pairwise
from pathlib import Path
from statistics import correlation, median

import numpy as np
import soxr

from benchmarks.corpora.audio import CORPUS_HZ, read_audio, speech_bounds_s
from benchmarks.corpora.utterance import Utterance
from benchmarks.metrics.statistics import mean, percentile
from benchmarks.runs.row import HeardWord, UnitRow
from benchmarks.systems.in_process import Outcome, SourceAudio, interpret
from benchmarks.systems.remembered import ModelMemory
from pipeline.audio.stretch import stretched
from pipeline.contracts import (
    Synthesizer,
    Voice,
)
from pipeline.diarizing import ComparesVoices
from pipeline.engine import Engine
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, ReadingUnit, Samples
from pipeline.policies.prosody import LONG_PAUSE_S, RECENT_S
from pipeline.profiles.profile import Profile
from pipeline.request import SessionRequest
from pipeline.stages.speak import whole
from pipeline.voices.consent import preview_sentence

RECORDINGS = 12
RATES = (1.25,) * 3 + (0.8,) * 3
PAUSES_S = (0.3, 1.0, 0.6)
AUDIBLE_PAUSE_S = 0.3
CLIP_S = 1.5  # the shortest unit whose voice is compared


def prosody_figures(profile: Profile, utterances: Sequence[Utterance]) -> dict[str, float]:
    """Measure rates, pauses, lag and likeness of the voice."""
    return asyncio.run(_measure(profile, utterances))


async def _measure(profile: Profile, utterances: Sequence[Utterance]) -> dict[str, float]:
    samples = talk([read_audio(Path(utterance.audio)) for utterance in utterances])
    heard = SourceAudio(samples, CORPUS_HZ, *speech_bounds_s(samples, CORPUS_HZ))
    source, target = utterances[0].source_language, utterances[0].target_language
    plain = replace(profile.pace, follow_speaker=False, max_pause_s=0.0)
    kinds = {"first": plain, "plain": plain, "followed": replace(plain, follow_speaker=True), "closer": profile.pace}
    async with Engine.load(profile) as engine:
        outcomes: dict[str, Outcome] = {}
        memory = ModelMemory()
        for kind, pace in kinds.items():
            models, options = await engine.prepare(SessionRequest((target,), (source,), spoken=target, pace=pace))
            outcomes[kind] = await interpret(memory.of(models), options, heard, "cu")
            print(f"{kind}: {outcomes[kind].row.wall_s:.0f} s", *outcomes[kind].row.notices, sep="\n", flush=True)
        del outcomes["first"]  # in which a model may have been too slow on a busy machine; the others wait for none
        assert models.synthesizer is not None
        alike = await _likeness(profile, outcomes["closer"], models.synthesizer, target)
    figures: dict[str, float] = {}
    for kind, outcome in outcomes.items():
        figures |= {f"{kind}_{name}": value for name, value in unit_figures(outcome.row.units).items()}
    return {**figures, **alike}


def talk(recordings: Sequence[tuple[Samples, int]]) -> Samples:
    """Join recordings to a talk at 16 kHz, three in turn fast and slow."""
    pieces: list[Samples] = []
    for (samples, hz), rate, pause_s in islice(
        zip(cycle(recordings), cycle(RATES), cycle(PAUSES_S), strict=False), RECORDINGS
    ):
        heard = np.asarray(soxr.resample(samples, hz, CORPUS_HZ), np.float32)
        pieces += [stretched(heard, rate, CORPUS_HZ), np.zeros(round(pause_s * CORPUS_HZ), np.float32)]
    return np.concatenate(pieces)


@dataclass(frozen=True, slots=True)
class Breath:
    """Units that were spoken as one: their source, their letters, and when they were played at which rate."""

    source: tuple[HeardWord, ...]
    letters: int
    start_s: float
    end_s: float
    rate: float

    @property
    def source_rate(self) -> float:
        """Letters a second of the source's words."""
        spoken_s = sum(word.end_s - word.start_s for word in self.source)
        return sum(letters(word.text) for word in self.source) / max(spoken_s, 0.05)


def letters(text: str) -> int:
    """Count the letters of a text."""
    return sum(map(str.isalpha, text))


def breaths(units: Sequence[UnitRow]) -> Iterator[Breath]:
    """The breaths of a session, in order."""
    groups: dict[int, list[UnitRow]] = {}
    for unit in units:
        if unit.breath is not None:
            groups.setdefault(unit.breath, []).append(unit)
    for group in groups.values():
        start_s, end_s = group[0].start_s, group[-1].end_s
        assert start_s is not None
        assert end_s is not None
        source = tuple(word for unit in group for word in unit.source)
        yield Breath(source, sum(letters(unit.text) for unit in group), start_s, end_s, group[0].rate)


def unit_figures(units: Sequence[UnitRow]) -> dict[str, float]:
    """Return figures of a session's units: correlation of rates, lag, and long pauses."""
    said = list(breaths(units))
    lags = [unit.start_s - unit.source_end_s for unit in units if unit.start_s is not None]
    recent = [_recent(said[: count + 1]) for count in range(len(said))]
    pauses = [
        after.start_s - before.end_s
        for before, after in pairwise(said)
        if after.source[0].start_s - before.source[-1].end_s >= LONG_PAUSE_S
    ]
    return {
        "rate_correlation": _correlation([one.source_rate for one in said], [one.letters / _length_s(one) for one in said]),
        "rate_correlation_10s": _correlation(*zip(*recent, strict=True)),
        "played_rate_correlation_10s": _correlation([source for source, _ in recent], [one.rate for one in said]),
        "ear_voice_span_mean_s": mean(lags),
        "ear_voice_span_p50_s": percentile(lags, 50),
        "ear_voice_span_p95_s": percentile(lags, 95),
        "units_slower_share": mean([float(one.rate < 1) for one in said]),
        "units_faster_share": mean([float(one.rate > 1) for one in said]),
        "long_pauses": float(len(pauses)),
        "long_pauses_heard_share": mean([float(pause_s >= AUDIBLE_PAUSE_S) for pause_s in pauses]),
        "long_pause_median_s": median(pauses) if pauses else math.nan,
    }


def _correlation(first: Sequence[float], second: Sequence[float]) -> float:
    return correlation(first, second) if len(set(first)) > 1 < len(set(second)) else math.nan


def _length_s(breath: Breath) -> float:
    return max(breath.end_s - breath.start_s, 0.05)


def _recent(said: Sequence[Breath]) -> tuple[float, float]:
    """Letters a second of the source and of the speech in the breaths whose source ended in the last 10 s."""
    end_s = said[-1].source[-1].end_s
    near = [one for one in said if one.source[-1].end_s > end_s - RECENT_S]
    words = [word for one in near for word in one.source]
    source_s = sum(word.end_s - word.start_s for word in words)
    source = sum(letters(word.text) for word in words) / max(source_s, 0.05)
    return source, sum(one.letters for one in near) / sum(map(_length_s, near))


async def _likeness(profile: Profile, outcome: Outcome, synthesizer: Synthesizer, target: str) -> Mapping[str, float]:
    """Cosines of voices: the session's first and last unit, its speech and the voice's own sample, and another voice."""
    said = [one for one in breaths(outcome.row.units) if _length_s(one) >= CLIP_S]
    if len(said) < 2 or profile.backends.diarizer is None:
        return {}
    first, last = (_clip(outcome, one) for one in (said[0], said[-1]))
    voices = profile.backends.synthesizer.voices_for(target) if hasattr(profile.backends.synthesizer, "voices_for") else []
    async with profile.backends.diarizer.load() as diarizer:
        if not isinstance(diarizer, ComparesVoices):
            raise BadInput(f"the diarizer of {profile.name} compares no voices")
        own = await _sample(synthesizer, None, target)
        alike = {
            "likeness_first_last": await diarizer.likeness(first, last),
            "likeness_sample_first": await diarizer.likeness(own, first),
            "likeness_sample_last": await diarizer.likeness(own, last),
        }
        for name in voices[1:2]:
            other = await _sample(synthesizer, Voice(name), target)
            alike["likeness_other_voice_last"] = await diarizer.likeness(other, last)
    return alike


def _clip(outcome: Outcome, breath: Breath) -> AudioChunk:
    first, last = (round(moment * outcome.speech_hz) for moment in (breath.start_s, breath.end_s))
    return _at_16_khz(outcome.speech[first:last], outcome.speech_hz)


async def _sample(synthesizer: Synthesizer, voice: Voice | None, language: str) -> AudioChunk:
    """A voice's sample: what `translate-live voices preview` says."""
    text = preview_sentence(language)
    if text is None:
        raise BadInput(f"there is no sentence to say in {language!r}")
    unit = ReadingUnit(0, (), text, language, 0.0, 0.0, 0.0)
    async with synthesizer.open(voice, language) as speaking, aclosing(speaking.say(unit, whole(text))) as chunks:
        spoken = [chunk async for chunk in chunks]
    return _at_16_khz(np.concatenate([chunk.samples for chunk in spoken]), spoken[0].sample_rate)


def _at_16_khz(samples: Samples, hz: int) -> AudioChunk:
    return AudioChunk(np.asarray(soxr.resample(samples, hz, CORPUS_HZ), np.float32), CORPUS_HZ, 0.0)
