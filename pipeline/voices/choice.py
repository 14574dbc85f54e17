"""What ``--voice`` and ``--voice-style`` ask of a profile: refused before a model is loaded where that can be known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Any, Protocol, cast, runtime_checkable

from pipeline.contracts import Synthesizer, Voice
from pipeline.errors import BadInput, Refused
from pipeline.events import AudioChunk
from pipeline.profiles.profile import Profile, load_profile, profile_names
from pipeline.voices.record import VoiceRecord
from pipeline.voices.recording import read_recording
from pipeline.voices.store import VoiceStore


@runtime_checkable
class KnowsVoices(Protocol):
    """A synthesizer backend that can say, without loading, which voices it has; asked where `missing` is empty."""

    def presets(self) -> Collection[str]:
        """The voices it brings: names that `Voice` may have without arrays."""
        ...

    def has_preset(self, name: str) -> bool:
        """Whether a name is a preset's, in any spelling or variant that it takes."""
        ...

    def check_cloning(self) -> None:
        """Raise `Refused`, naming what can, where it cannot learn a voice."""
        ...


@runtime_checkable
class TakesStyle(Protocol):
    """A synthesizer backend with a ``style`` that only some of its models take."""

    def check_style(self) -> None:
        """Raise `Refused`, naming what can, where its model takes none."""
        ...


@dataclass(frozen=True, slots=True)
class ChosenVoice:
    """A voice that can be spoken with once the model is there: an enrolled one (``record``) or a preset."""

    name: str
    model: str
    store: VoiceStore
    record: VoiceRecord | None

    async def ready(self, synthesizer: Synthesizer) -> Voice:
        """The voice for this model: from the store, or learned anew from the clip that was kept, and then stored."""
        if self.record is None:
            return Voice(self.name)
        if self.model in self.record.arrays:
            return self.store.voice(self.record, self.model)
        path = self.store.clip_path(self.record)
        assert path is not None, "chosen_voice refuses such a voice"
        clip = await read_recording(path)
        learned = await synthesizer.enrol(AudioChunk(clip.samples, clip.sample_rate, 0.0))
        self.store.cache(self.record, self.model, learned.arrays)
        return replace(learned, name=self.record.name)


def model_of(profile: Profile) -> str:
    """What makes the arrays of a profile's voices: its synthesizer's class and, where it has one, ``model`` setting."""
    model = getattr(profile.backends.synthesizer, "model", "")
    return f"{profile.stages['synthesizer'].use} {model}".strip()


def chosen_voice(name: str, profile: Profile, store: VoiceStore) -> ChosenVoice:
    """The voice a user names: an enrolled one, else a preset of the profile's synthesizer.

    Raises `BadInput` with the nearest names for an unknown voice, and for one that only another model can speak with.
    """
    model = model_of(profile)
    if store.has(name):
        record = store.record(name)
        if model not in record.arrays and record.clip is None:
            raise _other_model(record, model, profile)
        return ChosenVoice(record.name, model, store, record)
    known = knows_voices(profile)
    if known is not None and not known.has_preset(name):
        raise _unknown(name, profile.name, known, store)
    return ChosenVoice(name, model, store, None)


def _other_model(record: VoiceRecord, model: str, profile: Profile) -> BadInput:
    """The error for a voice that this profile's model does not know: which profile does, or how this one can learn it."""
    what = f"the voice {record.name!r} was enrolled for {' and '.join(record.arrays)}, not for {model}"
    for name in profile_names():
        if model_of(load_profile(name)) in record.arrays:
            return BadInput(f"{what} of profile {profile.name}; try: --profile {name}")
    try:
        check_cloning(profile)
    except Refused as refused:
        return BadInput(f"{what}; {refused}")
    add = f"translate-live voices add CLIP --name {record.name} --consent CONSENT --replace --keep-clip"
    return BadInput(f"{what}, and its clip was not kept; try: {add}")


def check_cloning(profile: Profile) -> None:
    """Raise `Refused` where the profile's synthesizer cannot learn a voice, if that can be known before it is loaded."""
    known = knows_voices(profile)
    if known is not None:
        known.check_cloning()


def styled(profile: Profile, style: str) -> Profile:
    """The profile with a style for its voice, in words; raises `Refused` where its synthesizer takes none."""
    backend = profile.backends.synthesizer
    if not any(field.name == "style" for field in fields(cast(Any, backend))):
        raise Refused(
            f"{type(backend).__name__} of profile {profile.name} takes no --voice-style; Qwen3-TTS CustomVoice and "
            "VoiceDesign do; try: --profile gpu --set synthesizer.model=Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice"
        )
    with_style = profile.with_setting("synthesizer", "style", style)
    synthesizer = with_style.backends.synthesizer
    if isinstance(synthesizer, TakesStyle) and not synthesizer.missing():
        synthesizer.check_style()
    return with_style


def knows_voices(profile: Profile) -> KnowsVoices | None:
    """The profile's synthesizer if it can say now which voices it speaks with: what it reads them from is here."""
    synthesizer = profile.backends.synthesizer
    return synthesizer if isinstance(synthesizer, KnowsVoices) and not synthesizer.missing() else None


def _unknown(name: str, profile: str, known: KnowsVoices, store: VoiceStore) -> BadInput:
    """The error for a voice that is neither enrolled nor a preset: what is near, and how to add it where that can be."""
    near = get_close_matches(name.casefold(), [*store.names(), *known.presets()], n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(map(repr, near))}" if near else ""
    add = "translate-live voices add CLIP --name NAME --consent FILE"
    try:
        known.check_cloning()
    except Refused as refused:
        why, add = refused.message, refused.hint
        hint += f"; profile {profile} cannot learn it: {why}"
    return BadInput(f"there is no voice {name!r}{hint}; try: translate-live voices list, or to add it {add}")
