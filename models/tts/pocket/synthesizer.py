"""Loaded synthesizer: learns voices, opens sessions, and speaks units while they are computed."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from models.tts.engines import check_clip
from models.tts.pocket.files import refuse_cloning
from models.tts.pocket.model import LanguageModel
from models.tts.silence import EdgeTrim, pause_s
from models.tts.spoken_text import own_script, spoken_text
from models.tts.text_pieces import ATTEMPTS, no_speech, speak_parts
from pipeline.contracts import Speaking, Voice
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, Refused, nearest
from pipeline.events import AudioChunk, ReadingUnit, Samples, SpeechChunk
from pipeline.lane import Lane


@dataclass(frozen=True, slots=True)
class PocketSynthesizer:
    """Synthesizer of the languages whose models are loaded.

    ``lane`` owns them but for their encoders, which ``learning`` runs, so that nobody's speech waits for a clip.
    """

    lane: Lane
    learning: Lane
    models: Mapping[str, LanguageModel]
    known: frozenset[str]
    seed: int

    async def enrol(self, audio: AudioChunk) -> Voice:
        """Learn a voice from 3 to 15 s of speech, for each language that is loaded: each has an encoder of its own.

        Raises `Refused` where the weights cannot, and `BadInput` for a clip that is unfit.
        """
        models = [model for model in self.models.values() if model.files.clones]
        if not models:
            raise refuse_cloning()
        samples = check_clip(audio, models[0].sample_rate)
        return Voice("enrolled", {model.voice_key: await self.learning.run(model.learn, samples) for model in models})

    def lacks(self, voice: Voice, language: str) -> bool:
        """Tell if an enrolled voice was learned before the model of the language was here, and that can learn it."""
        model = self.models.get(language.partition("-")[0])
        return model is not None and model.files.clones and model.voice_key not in voice.arrays

    @asynccontextmanager
    async def open(self, voice: Voice | None, language: str) -> AsyncIterator[Speaking]:
        """Begin a session's speech in a voice that was learned, in one of the package's, or in the language's own.

        Raises `Refused` for another language or a voice of another model, `ModelError` for a language that was not fetched.
        """
        base = language.partition("-")[0]
        if base not in self.known:
            known = f"{nearest(language, self.known)}; Kokoro and eSpeak NG speak more"
            hint = "second_synthesizer.use=models.tts.kokoro:Kokoro"
            raise Refused(f"Pocket TTS does not speak {language!r}; {known}", hint=hint)
        if base not in self.models:
            what = f"no model of Pocket TTS for {base} was on this machine when it was loaded"
            raise ModelError(what, hint=f"{FETCH_MODELS} for the language {base}")
        model = self.models[base]
        state = await self.lane.run(_state_maker(model, voice or Voice("")))
        yield PocketSpeech(self.lane, model, state, self.seed)


def _state_maker(model: LanguageModel, voice: Voice) -> Callable[[], Any]:
    """Choose how the state of a voice is made; raises for one that the model cannot speak with."""
    if voice.arrays:
        latents = voice.arrays.get(model.voice_key)
        if latents is None or not model.fits(latents):
            raise Refused(
                f"the voice {voice.name!r} was learned by another model, or before that of {model.language} was here",
                hint="enrol it again, or the language's own voice",
            )
        return lambda: model.cloned(latents)
    voices = model.files.voices
    name = voice.name or next(iter(voices), "")
    if not name:
        raise ModelError(f"no voice of Pocket TTS for {model.language} is on this machine", hint=FETCH_MODELS)
    if name not in voices:
        raise BadInput(f"Pocket TTS has no voice {name!r} for {model.language} here; {nearest(name, voices)}")
    return lambda: model.preset(voices[name])


@dataclass(frozen=True, slots=True, eq=False)
class PocketSpeech:
    """Speaker of a session's units in one voice; each begins anew from it, so nothing drifts."""

    lane: Lane
    model: LanguageModel
    state: Any
    seed: int

    def say(self, unit: ReadingUnit, text: AsyncIterator[str]) -> AsyncGenerator[SpeechChunk, None]:
        """Speak one unit, whose whole text is awaited first; closing stops it within a frame.

        Raises `ModelError` if no speech comes of it, and the error of ``text`` once all text before it has been spoken.
        """

        def parts(whole: str) -> list[str]:
            return self.model.utterances(spoken_text(own_script(whole, self.model.language), self.model.language))

        return speak_parts(unit, text, parts, self._speak, self.model.sample_rate)

    async def _speak(self, text: str) -> AsyncGenerator[Samples, None]:
        """Speak one utterance without the silence around it; once more with other random numbers if no sound came."""
        for attempt in range(ATTEMPTS):
            edges, stop, seed = EdgeTrim(self.model.sample_rate), threading.Event(), self.seed + attempt

            def speak(give: Callable[[Samples], None], stop: threading.Event = stop, seed: int = seed) -> None:
                self.model.speak(self.state, text, seed, stop, give)

            async with aclosing(self.lane.stream(stop.set, speak)) as chunks:
                async for samples in chunks:
                    if len(sound := edges.pass_on(samples)):
                        yield sound
            if edges.begun:
                yield edges.finish(pause_s(text), broken_off=True)  # a loud end was cut off by the package's limit
                return
        raise no_speech(text)
