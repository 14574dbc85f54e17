"""A voice and a style for a profile: refused before a model is loaded where that can be known."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, cast

from pipeline.audio.resampling import resampled
from pipeline.contracts import KnowsVoices, SeveralVoices, Synthesizer, SynthesizerBackend, TakesStyle, Voice
from pipeline.errors import BadInput, Refused, TranslateLiveError
from pipeline.events import AudioChunk
from pipeline.languages import known_code
from pipeline.profiles.profile import Profile, load_profile, profile_names
from pipeline.speech_facts import LearnsByLanguage
from pipeline.stages.recognize import RECOGNIZER_HZ
from pipeline.voices.record import VoiceRecord
from pipeline.voices.store import VoiceStore

MOST_KNOWN, SHORTEST_S = 20, 1.5  # voices that speakers are known by, and seconds of the clip of each


@dataclass(frozen=True, slots=True)
class ChosenVoice:
    """A voice that ``model`` can speak with once it is loaded: an enrolled one (``record`` as it was then) or a preset."""

    name: str
    model: str
    store: VoiceStore
    record: VoiceRecord | None

    async def ready(self, synthesizer: Synthesizer, language: str) -> Voice:
        """Give the voice for this model and language: as stored now, else learned from the clip that was kept, and stored.

        Raises `BadInput` for a voice that was removed, damaged, or enrolled for another model since it was chosen.
        """
        if self.record is None:
            return Voice(self.name)
        record, known = self._stored()
        path = self.store.clip_path(record)
        lacks = known is None or (isinstance(synthesizer, LearnsByLanguage) and synthesizer.lacks(known, language))
        if known is not None and (not lacks or path is None):
            return known
        if path is None:
            told = f"the voice {self.name!r} was enrolled anew, not for {self.model}, and its clip was not kept"
            raise BadInput(told, hint="to enrol it again, and keep its clip", code="voice_needs_enrolment")
        learned = await synthesizer.enrol(self.store.clip(path))
        now, known = self._stored()  # others may have learned meanwhile
        if now.clip != record.clip:  # it was enrolled anew
            return await self.ready(synthesizer, language)
        arrays = {**learned.arrays, **(known.arrays if known is not None else {})}
        self.store.cache(now, self.model, arrays)
        return Voice(self.name, arrays)

    def _stored(self) -> tuple[VoiceRecord, Voice | None]:
        """Read the record, and the voice if this model has learned it."""
        record = self.store.record(self.name)
        return record, self.store.voice(record, self.model) if self.model in record.arrays else None


def model_of(profile: Profile, stage: str = "synthesizer") -> str:
    """Name the model that a profile's voices are learned by: a synthesizer's class and, if it has one, ``model``."""
    model = getattr(profile.backends.synthesizers[stage], "model", "")
    return f"{profile.stages[stage].use} {model}".strip()


def cloner(profile: Profile, *, live: bool = False) -> str:
    """Name the stage that learns voices: the first whose synthesizer is here and does, else the one that is for it.

    The first synthesizer is asked before any other where that must be loaded, or fetched, before it is known.
    """
    found = profile.backends.synthesizers
    if knows_voices(profile.backends.synthesizer) is None:
        return "synthesizer"
    otherwise = "cloning_synthesizer" if "cloning_synthesizer" in found else "synthesizer"
    return next((stage for stage, one in found.items() if learns(one, live=live)), otherwise)


def chosen_voice(name: str, profile: Profile, store: VoiceStore, targets: Iterable[str] = ()) -> ChosenVoice:
    """Find the voice of that name: an enrolled one, for the stage that learns voices, else a preset of the first.

    Raises `BadInput` with the nearest names for an unknown voice, for one that only another model can speak with, and for
    a preset of another synthesizer of the profile, which speaks none of the ``targets`` as `other_presets` found.
    """
    model = model_of(profile, cloner(profile))
    if store.has(name):
        record = store.record(name)
        if model not in record.arrays and record.clip is None:
            raise _other_model(record, model, profile)
        return ChosenVoice(record.name, model, store, record)
    known = knows_voices(profile.backends.synthesizer)
    if known is not None and not known.has_preset(name):
        wanted = " or ".join(targets)
        others = (knows_voices(one) for one in profile.backends.synthesizers.values())
        if wanted and any(other is not None and other.has_preset(name) for other in others):
            speaks = ", ".join(_preset_languages(name, profile))
            message = f"the voice {name!r} " + (
                f"speaks {speaks} and not {wanted}" if speaks else f"does not speak {wanted}"
            )
            raise BadInput(message, hint="another voice", code="preset_language")
        raise _unknown(name, profile, known, store)
    return ChosenVoice(name, model, store, None)


def enrolled_for(stage: str, chosen: ChosenVoice, profile: Profile) -> ChosenVoice | None:
    """Return an enrolled voice for one synthesizer of the profile; `None` where that one cannot speak with it.

    It can if it was here when the voice was enrolled, and learned it then, or learns it now from the clip that was kept.
    """
    record, synthesizer = chosen.record, profile.backends.synthesizers[stage]
    if record is None or not learns(synthesizer):
        return None
    model = model_of(profile, stage)
    from_clip = record.clip is not None and not _needs_words(synthesizer)
    return replace(chosen, model=model) if model in record.arrays or from_clip else None


def _preset_languages(name: str, profile: Profile) -> list[str]:
    """List the languages that a profile's synthesizers are known to speak with a preset of this name."""
    synthesizers = profile.backends.synthesizers.values()
    return sorted({code for one in synthesizers for code in one.languages() if name in several_voices(one, code)})


def other_presets(
    name: str, profile: Profile, targets: Iterable[str], store: VoiceStore
) -> dict[str, tuple[str, ChosenVoice]]:
    """Find the targets that another synthesizer than the first speaks with a preset of this name: its stage and the voice.

    An enrolled voice, or a preset of the first, is none of these.
    """
    (_, first), *others = profile.backends.synthesizers.items()
    known = knows_voices(first)
    if store.has(name) or not isinstance(first, KnowsVoices) or (known is not None and known.has_preset(name)):
        return {}
    found: dict[str, tuple[str, ChosenVoice]] = {}
    for stage, other in others:
        spoken = other.languages()
        for target in targets:
            called = known_code(target, spoken)
            if target not in found and called in spoken and name in several_voices(other, called):
                found[target] = stage, ChosenVoice(name, "", store, None)
    return found


def _other_model(record: VoiceRecord, model: str, profile: Profile) -> BadInput:
    """Word the error for a voice of another model: the profile that has it, or how this one can learn it."""
    what = f"the voice {record.name!r} was enrolled for {' and '.join(record.arrays)}, not for {model}"
    for name in profile_names():
        if model_of(load_profile(name)) in record.arrays:
            return BadInput(f"{what} of profile {profile.name}", hint=f"the profile {name}")
    try:
        check_cloning(profile.backends.synthesizers[cloner(profile)])
    except Refused as refused:
        return BadInput(f"{what}; {refused.message}", hint=refused.hint)
    hint = "to enrol it again, and keep its clip"
    return BadInput(f"{what}, and its clip was not kept", hint=hint, code="voice_needs_enrolment")


def check_cloning(synthesizer: SynthesizerBackend) -> None:
    """Raise `Refused` where a synthesizer cannot learn a voice, if that can be known before it is loaded."""
    known = knows_voices(synthesizer)
    if known is not None:
        known.check_cloning()


def learns(synthesizer: SynthesizerBackend, *, live: bool = False) -> bool:
    """Return whether a synthesizer that is here is known to learn voices: from clips, or from ``live`` speakers, too."""
    try:
        (check_same_voice if live else check_cloning)(synthesizer)
    except Refused:
        return False
    return knows_voices(synthesizer) is not None


def _needs_words(synthesizer: SynthesizerBackend) -> bool:
    return bool(getattr(synthesizer, "enrols_words", False))


def check_same_voice(synthesizer: SynthesizerBackend) -> None:
    """Raise `Refused` where a synthesizer cannot learn a voice from what a live speaker says, as `check_cloning` does."""
    check_cloning(synthesizer)
    if _needs_words(synthesizer):
        raise Refused(
            f"{type(synthesizer).__name__} learns a voice from a clip and the words in it, not from a live speaker",
            hint="to enrol the voice, or another synthesizer, as that of the profile gpu",
            code="same_voice",
        )


def several_voices(synthesizer: SynthesizerBackend, language: str) -> tuple[str, ...]:
    """List the presets that different speakers can have in a language; none where they are not known before loading."""
    if not isinstance(synthesizer, SeveralVoices) or synthesizer.missing():
        return ()
    return tuple(synthesizer.voices_for(language))


def voices_learned_before(profile: Profile, store: VoiceStore, stage: str = "synthesizer") -> dict[str, Voice]:
    """Load the enrolled voices that a stage's model can speak with as they are, without those that are damaged."""
    model = model_of(profile, stage)
    found: dict[str, Voice] = {}
    for name in store.names():
        with suppress(TranslateLiveError):
            record = store.record(name)
            if model in record.arrays:
                found[record.name] = store.voice(record, model)
    return found


async def known_voices(store: VoiceStore) -> dict[str, AudioChunk]:
    """Read the clips that were kept of enrolled voices, at 16 kHz; one that cannot be read is nobody's.

    Nor is one that is called by a number: older versions let voices be called as unknown speakers are.
    """
    found: dict[str, AudioChunk] = {}
    for name in (name for name in store.names() if not name.isdigit()):
        try:
            record = store.record(name)
            if (path := store.clip_path(record)) is None:
                continue
            clip = store.clip(path)
        except TranslateLiveError:
            continue
        samples = resampled(clip.samples, clip.sample_rate, RECOGNIZER_HZ)
        if len(samples) >= SHORTEST_S * RECOGNIZER_HZ and len(found) < MOST_KNOWN:
            found[record.name] = AudioChunk(samples, RECOGNIZER_HZ, 0.0)
    return found


def styled(profile: Profile, style: str) -> Profile:
    """Copy the profile with a style for its voice, in words; raises `Refused` where its synthesizer takes none."""
    backend = profile.backends.synthesizer
    if not any(field.name == "style" for field in fields(cast(Any, backend))):
        raise Refused(
            f"{type(backend).__name__} of profile {profile.name} takes no style; Qwen3-TTS CustomVoice and VoiceDesign do",
            hint="the profile gpu with synthesizer.model=Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice",
            code="style",
        )
    with_style = profile.with_setting("synthesizer", "style", style)
    synthesizer = with_style.backends.synthesizer
    if isinstance(synthesizer, TakesStyle) and not synthesizer.missing():
        synthesizer.check_style()
    return with_style


def knows_voices(synthesizer: SynthesizerBackend) -> KnowsVoices | None:
    """Return the synthesizer, if it can say now which voices it has: the files that it reads them from are here."""
    return synthesizer if isinstance(synthesizer, KnowsVoices) and not synthesizer.missing() else None


def _unknown(name: str, profile: Profile, known: KnowsVoices, store: VoiceStore) -> BadInput:
    """Word the error for a voice neither enrolled nor a preset: near ones, and if the profile cannot learn it."""
    near = get_close_matches(name.casefold(), [*store.names(), *known.presets()], n=3, cutoff=0.5)
    message = f"there is no voice {name!r}" + (f"; did you mean {' or '.join(map(repr, near))}" if near else "")
    try:
        check_cloning(profile.backends.synthesizers[cloner(profile)])
    except Refused as refused:
        message += f"; profile {profile.name} cannot learn it: {refused.message}"
        return BadInput(message, hint=f"one of the presets, or {refused.hint}", code="unknown_preset")
    return BadInput(message, hint="one of the voices that are known, or to enrol it", code="unknown_voice")
