"""What ``--voice`` and ``--voice-style`` ask of a profile: refused before a model is loaded where that can be known."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, cast, runtime_checkable

from pipeline.config import Profile
from pipeline.contracts import Synthesizer, Voice
from pipeline.errors import BadInput, Refused, nearest
from pipeline.events import AudioChunk
from pipeline.voices.record import VoiceRecord
from pipeline.voices.recording import read_recording
from pipeline.voices.store import VoiceStore


@runtime_checkable
class HasPresets(Protocol):
    """A synthesizer backend that can list the voices it brings, without loading."""

    def presets(self) -> Collection[str]:
        """The names that `Voice` may have without arrays."""
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
    model = getattr(profile.backends().synthesizer, "model", "")
    return f"{profile.synthesizer.use} {model}".strip()


def chosen_voice(name: str, profile: Profile, store: VoiceStore) -> ChosenVoice:
    """The voice a user names: an enrolled one, else a preset of the profile's synthesizer.

    Raises `BadInput` with the nearest names for an unknown voice, and for one that only another model can speak with.
    """
    model = model_of(profile)
    if store.has(name):
        record = store.record(name)
        if model not in record.arrays and record.clip is None:
            raise BadInput(
                f"the voice {record.name!r} was enrolled for {' and '.join(record.arrays)}, not for {model}, and its clip "
                f"was not kept; try: translate-live voices add CLIP --name {record.name} --consent CONSENT --replace "
                "--keep-clip"
            )
        return ChosenVoice(record.name, model, store, record)
    synthesizer = profile.backends().synthesizer
    if isinstance(synthesizer, HasPresets) and name not in synthesizer.presets():
        known = [*store.names(), *synthesizer.presets()]
        raise BadInput(f"there is no voice {name!r}; {nearest(name, known)}; try: translate-live voices list")
    return ChosenVoice(name, model, store, None)


def styled(profile: Profile, style: str) -> Profile:
    """The profile with a style for its voice, in words; raises `Refused` where its synthesizer takes none."""
    backend = profile.backends().synthesizer
    if not any(field.name == "style" for field in fields(cast(Any, backend))):
        raise Refused(
            f"{type(backend).__name__} of profile {profile.name} takes no --voice-style; Qwen3-TTS CustomVoice and "
            "VoiceDesign do; try: --profile gpu --set synthesizer.model=Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice"
        )
    choice = replace(profile.synthesizer, settings={**profile.synthesizer.settings, "style": style})
    return replace(profile, synthesizer=choice)
