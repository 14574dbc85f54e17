"""Letting a voice say a sentence, to a file that is marked as AI-generated, or to the speaker."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.contracts import Sink, Synthesizer, SynthesizerBackend, Voice
from pipeline.errors import BadInput
from pipeline.events import ReadingUnit
from pipeline.languages import known_code, language_name
from pipeline.profiles.profile import Profile, require
from pipeline.scripts import speakable
from pipeline.sinks.loudspeaker import Loudspeaker
from pipeline.sinks.speech_file import SpeechFile
from pipeline.stages.speak import whole
from pipeline.voices.choice import ChosenVoice, chosen_voice, cloner, enrolled_for, other_presets
from pipeline.voices.consent import preview_sentence
from pipeline.voices.store import VoiceStore


@dataclass(frozen=True, slots=True)
class Preview:
    """A request to hear a voice."""

    name: str  # of an enrolled voice or a preset
    language: str | None = None  # none: the voice's own, if it can be spoken
    text: str | None = None  # none: a sentence of ours
    out: Path | None = None  # none: the speaker
    out_device: str | None = None


async def preview(request: Preview, profile: Profile, store: VoiceStore) -> None:
    """Speak it; raises `BadInput` for an unknown voice or language, and `ModelError` or `DeviceError` where it fails."""
    wanted = [request.language] if request.language is not None else sorted(profile.backends.spoken())
    others = other_presets(request.name, profile, wanted, store)
    if others:
        target, (stage, chosen) = next(iter(others.items()))
        backend = profile.backends.synthesizers[stage]
        language = known_code(target, backend.languages())
    else:
        targets = [] if request.language is None else [request.language]
        chosen = chosen_voice(request.name, profile, store, targets)
        backend = profile.backends.synthesizers[cloner(profile) if chosen.record else "synthesizer"]
        for stage in profile.backends.speaking(request.language or ""):
            if also := enrolled_for(stage, chosen, profile):
                chosen, backend = also, profile.backends.synthesizers[stage]
                break
        require(profile.name, backend.missing())
        language = _language(request, chosen, backend)
    text = preview_sentence(language) if request.text is None else request.text
    if text is None:
        raise BadInput(f"there is no sentence to say in {language_name(language)} yet", hint="a text to say")
    if not speakable(text):
        raise BadInput(f"the text {text!r} holds no word to say")
    sink = SpeechFile(request.out) if request.out else Loudspeaker(request.out_device)
    try:
        async with backend.load() as synthesizer:
            await _say(text, synthesizer, await chosen.ready(synthesizer, language), language, sink)
        if isinstance(sink, Loudspeaker):
            await asyncio.sleep(sink.queued_s)  # it was made faster than it is heard, and closing would cut it short
    finally:
        await sink.close()


async def _say(text: str, synthesizer: Synthesizer, voice: Voice, language: str, sink: Sink) -> None:
    unit = ReadingUnit(0, (), text, language, start=0.0, end=0.0, heard_s=0.0)
    spoken_s = 0.0
    async with synthesizer.open(voice, language) as speaking, aclosing(speaking.say(unit, whole(text))) as chunks:
        async for chunk in chunks:
            await sink.put(replace(chunk, start=spoken_s))
            spoken_s += chunk.duration


def _language(request: Preview, chosen: ChosenVoice, backend: SynthesizerBackend) -> str:
    """Choose the language asked for, else the voice's, else English, else any; raises `BadInput` if it is not spoken."""
    spoken = backend.languages()
    own = chosen.record.language if chosen.record else "en"
    if request.language is None:
        return next((language for language in (own, "en", *sorted(spoken)) if language in spoken), own)
    if request.language not in spoken:
        known = ", ".join(sorted(spoken))
        raise BadInput(f"{type(backend).__name__} does not speak {request.language!r}; it speaks {known}")
    return request.language
