"""Enrolling a voice: everything that can be refused first, then consent, then what the model learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from pipeline.errors import BadInput
from pipeline.profiles.backends import BackendChoice, Backends, backend
from pipeline.profiles.profile import Profile, require
from pipeline.voices.choice import check_cloning, model_of
from pipeline.voices.consent import Statement, given_consent, missing_consent, statement_for, utc_now
from pipeline.voices.quality import SpeechFinder
from pipeline.voices.record import Consent, VoiceRecord, checked_name
from pipeline.voices.recording import read_recording
from pipeline.voices.reference_clip import Heard, ReferenceClip, heard, reference_clip
from pipeline.voices.store import VoiceStore

# A speech model's speaker vectors were not trained to tell speakers apart, and no trained weights were at hand to find a
# threshold with; one from another model would only look like a check.
ONE_SPEAKER = (
    "not checked: that clip and consent are of the same speaker, for which you answer; a clip in which the speaker also "
    "agrees can be both"
)
SPEECH_FINDER = BackendChoice("models.asr.speech_finder:SileroSpeech")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A wish to enrol the voice in ``clip`` under ``name``, with the ``consent`` of ``who``, its speaker.

    ``language`` is spoken in both recordings; ``consent_text`` is what the consent says where it is not our sentence.
    """

    clip: Path
    name: str
    consent: Path | None
    consent_text: str | None
    who: str
    language: str
    keep_clip: bool
    replace: bool


async def enrol(wish: Enrolment, profile: Profile, store: VoiceStore, tell: Callable[[str], None]) -> VoiceRecord:
    """Enrol a voice and store it; ``tell`` gets advice. Raises typed errors, and then nothing was stored."""
    check_cloning(profile)
    statement = _statement(wish, store)
    finder = cast(SpeechFinder, backend(SPEECH_FINDER))
    clip = reference_clip(heard(await read_recording(wish.clip), finder))
    for line in clip.advice:
        tell(f"{wish.clip}: {line}")
    assert wish.consent is not None, "_statement refuses an enrolment without it"
    spoken = heard(await read_recording(wish.consent), finder)
    backends = profile.backends
    require(profile.name, backends.synthesizer.missing())
    consent = await _consent(statement, spoken, profile.name, backends, tell)
    if wish.consent.resolve() != wish.clip.resolve():
        tell(ONE_SPEAKER)
    tell("learning the voice")
    async with backends.synthesizer.load() as synthesizer:
        voice = await synthesizer.enrol(clip.audio)
    kept = clip.audio if wish.keep_clip else None
    return store.add(_record(wish, clip, consent), model_of(profile), voice.arrays, kept)


def _statement(wish: Enrolment, store: VoiceStore) -> Statement:
    """What the consent must say; raises `BadInput` for a name that is taken or none, and where there is no consent."""
    name = checked_name(wish.name)
    if store.has(name) and not wish.replace:
        raise BadInput(f"there is already a voice {name!r}; try: --replace, or another --name")
    statement = statement_for(name, wish.language, wish.who, wish.consent_text)
    if wish.consent is None:
        raise missing_consent(statement)
    return statement


async def _consent(
    statement: Statement, spoken: Heard, profile: str, backends: Backends, tell: Callable[[str], None]
) -> Consent:
    if statement.language not in backends.recognizer.languages():
        return await given_consent(statement, spoken, None)
    require(profile, backends.recognizer.missing())
    tell("checking the consent")
    async with backends.recognizer.load() as recognizer:
        return await given_consent(statement, spoken, recognizer)


def _record(wish: Enrolment, clip: ReferenceClip, consent: Consent) -> VoiceRecord:
    return VoiceRecord(
        name=checked_name(wish.name),
        language=wish.language,
        speech_s=round(clip.speech_s, 1),
        snr_db=round(clip.snr_db, 1),
        enrolled=utc_now(),
        consent=consent,
    )
