"""Enrolling a voice: everything that can be refused first, then consent, then what the model learns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pipeline.audio.resampling import resampled
from pipeline.contracts import EnrolsWords, Synthesizer, Voice
from pipeline.diarizing import ComparesVoices, DiarizerBackend
from pipeline.errors import BadInput, TranslateLiveError
from pipeline.events import AudioChunk
from pipeline.languages import language_name
from pipeline.profiles.backends import BackendChoice, Backends, backend
from pipeline.profiles.profile import Profile, require
from pipeline.voices.choice import check_cloning, cloner, learns, model_of
from pipeline.voices.consent import Statement, given_consent, missing_consent, recognized, statement_for, utc_now
from pipeline.voices.quality import FINDER_HZ, SpeechFinder
from pipeline.voices.record import Consent, VoiceRecord, checked_name
from pipeline.voices.reference_clip import (
    POOR_SNR_DB,
    SHORTEST_S,
    AnalysedRecording,
    ReferenceClip,
    analyse,
    only_speech,
    read_recording,
    reference_clip,
)
from pipeline.voices.store import VoiceStore

SPEECH_FINDER = BackendChoice("models.asr.vad:SileroSpeech")
YOURS = "that clip and consent are of the same speaker is for you to answer"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A request to enrol a voice."""

    clip: Path  # a recording of the voice
    name: str
    consent: Path | None  # a recording in which the speaker agrees
    consent_text: str | None  # its text, where that is not our sentence
    who: str  # the speaker
    language: str  # of both recordings
    keep_clip: bool
    replace: bool  # an older voice of that name


Loaded = Callable[[str], Awaitable[Any]]
"""Gives the model of a stage that is loaded already, as an engine does."""


async def enrol(
    request: Enrolment, profile: Profile, store: VoiceStore, tell: Callable[[str], None], loaded: Loaded | None = None
) -> VoiceRecord:
    """Enrol a voice and store it; ``tell`` gets advice. Raises typed errors, and then nothing was stored.

    Every synthesizer of the profile that learns voices and is here learns this one. With ``loaded`` models no other is
    loaded: only the first learns it, and the voices of clip and consent are not compared.
    """
    backends, first = profile.backends, cloner(profile)
    check_cloning(backends.synthesizers[first])
    statement = _statement(request, store)
    finder = cast(SpeechFinder, backend(SPEECH_FINDER))
    found = await asyncio.to_thread(analyse, await read_recording(request.clip), finder)
    clip = await asyncio.to_thread(reference_clip, found)
    for line in clip.advice:
        tell(f"{request.clip}: {line}")
    assert request.consent is not None, "_statement refuses an enrolment without it"
    spoken = await asyncio.to_thread(analyse, await read_recording(request.consent), finder)
    require(profile.name, backends.synthesizers[first].missing())
    consent = await _consent(statement, spoken, profile, tell, loaded)
    if loaded is None and request.consent.resolve() != request.clip.resolve():
        tell(await compared(found, spoken, backends.diarizer))
    tell("learning the voice")
    async with _model(first, backends, loaded) as synthesizer:
        voice = await learned(synthesizer, clip.audio, request.language, profile, loaded)
    kept = clip.audio if request.keep_clip else None
    record = store.add(_record(request, clip, consent), model_of(profile, first), voice.arrays, kept)
    for stage, other in backends.synthesizers.items():
        if loaded is not None or stage == first or not learns(other):
            continue
        tell(f"learning it for the languages of {type(other).__name__}")
        try:
            async with _model(stage, backends, loaded) as synthesizer:
                also = await learned(synthesizer, clip.audio, request.language, profile)
        except TranslateLiveError as error:  # the first has learned it
            tell(f"{type(other).__name__} did not learn it: {error}")
        else:
            record = store.cache(record, model_of(profile, stage), also.arrays)
    return record


async def learned(
    synthesizer: Synthesizer, clip: AudioChunk, language: str, profile: Profile, loaded: Loaded | None = None
) -> Voice:
    """Learn a voice from a clip in a language, and where the synthesizer asks for its words, from what a recognizer hears.

    Raises `BadInput` where it does not hear the language.
    """
    if not isinstance(synthesizer, EnrolsWords):
        return await synthesizer.enrol(clip)
    hearing = profile.backends.recognizer
    if language not in hearing.languages():
        raise BadInput(
            f"a voice is learned from a clip and its words here; {profile.name} does not hear {language_name(language)}",
            hint="a clip in a language that it hears",
        )
    require(profile.name, hearing.missing())
    async with _model("recognizer", profile.backends, loaded) as recognizer:
        words = await recognized(recognizer, resampled(clip.samples, clip.sample_rate, FINDER_HZ), [language])
    return await synthesizer.enrol_said(clip, words)


def _statement(request: Enrolment, store: VoiceStore) -> Statement:
    """Return the text of consent; raises `BadInput` for a name that is taken or none, and where there is no consent."""
    name = checked_name(request.name)
    if store.has(name) and not request.replace:
        raise BadInput(f"there is already a voice {name!r}", hint="to replace it, or another name", code="voice_taken")
    statement = statement_for(name, request.language, request.who, request.consent_text)
    if request.consent is None:
        raise missing_consent(statement)
    return statement


async def _consent(
    statement: Statement, spoken: AnalysedRecording, profile: Profile, tell: Callable[[str], None], loaded: Loaded | None
) -> Consent:
    backends = profile.backends
    if statement.language not in backends.recognizer.languages():
        return await given_consent(statement, spoken, None)
    require(profile.name, backends.recognizer.missing())
    tell("checking the consent")
    async with _model("recognizer", backends, loaded) as recognizer:
        return await given_consent(statement, spoken, recognizer)


@asynccontextmanager
async def _model(stage: str, backends: Backends, loaded: Loaded | None) -> AsyncIterator[Any]:
    """Return a model that is loaded, or loaded for this."""
    if loaded is not None:
        yield await loaded(stage)
        return
    async with getattr(backends, stage).load() as model:
        yield model


def _record(request: Enrolment, clip: ReferenceClip, consent: Consent) -> VoiceRecord:
    return VoiceRecord(
        name=checked_name(request.name),
        language=request.language,
        speech_s=round(clip.speech_s, 1),
        snr_db=round(clip.snr_db, 1),
        enrolled=utc_now(),
        consent=consent,
    )


async def compared(clip: AnalysedRecording, consent: AnalysedRecording, backend: DiarizerBackend | None) -> str:
    """Say how alike the voices of a clip and a consent are, or why that was not looked at: a warning, never a refusal.

    How alike two voices are was measured on recordings made on one day with one microphone (``benchmarks one-voice``);
    noise makes one voice two. Another day, relatives and copies of a voice were not measured, so nothing is decided by it.
    """
    if backend is None or backend.missing():
        lacks = "the profile names no diarizer" if backend is None else f"{backend.missing()[0].what} is not here"
        return f"not compared: the voices of clip and consent ({lacks}); {YOURS}"
    if min(clip.speech_s, consent.speech_s) < SHORTEST_S:
        return f"not compared: the voices of clip and consent (less than {SHORTEST_S:.0f} s of speech); {YOURS}"
    if min(clip.snr_db, consent.snr_db) < POOR_SNR_DB:
        return f"not compared: the voices of clip and consent (less than {POOR_SNR_DB:.0f} dB above the noise); {YOURS}"
    try:
        async with backend.load() as diarizer:
            if not isinstance(diarizer, ComparesVoices):
                return f"not compared: the voices of clip and consent; {YOURS}"
            likeness = await diarizer.likeness(only_speech(clip, FINDER_HZ), only_speech(consent, FINDER_HZ))
    except TranslateLiveError as error:
        return f"not compared: the voices of clip and consent ({error.message}); {YOURS}"
    if likeness < diarizer.one_voice_from:
        usual = f"of one person {diarizer.one_voice_from:.2f} and more"
        return f"clip and consent may be of two people (likeness {likeness:.2f}, {usual}); {YOURS}"
    return f"the voices of clip and consent are alike ({likeness:.2f}), which proves nothing; {YOURS}"
