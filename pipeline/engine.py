"""The models of a profile, loaded once and shared by all sessions of a process."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pipeline.clock import Clock
from pipeline.contracts import Backend, TranslationRequest, Translator, Voice
from pipeline.errors import StageFailed, TranslateLiveError
from pipeline.profiles.profile import Profile, load_profile
from pipeline.request import ResolvedRequest, SessionRequest, resolve
from pipeline.session import Models, Session, SessionOptions
from pipeline.stages.speak import SpokenTarget
from pipeline.vision import Page, Pixels, TextReader
from pipeline.voices.choice import voices_learned_before
from pipeline.voices.speaker_voices import SpeakerVoices, VoicesLearner
from pipeline.voices.store import VoiceStore

SPEAKING = ("recognizer", "translator", "synthesizer")
"""The stages of a session that speaks."""


class Engine:
    """A profile's loaded models; `session` gives each listener a `Session` of its own on them.

    Use: ``async with Engine.load("cpu") as engine: session = await engine.session(SessionRequest(("es",)))``.
    """

    def __init__(self, profile: Profile, tasks: asyncio.TaskGroup) -> None:
        self.profile = profile
        self._models = {stage: Shared(backend, tasks) for stage, backend in profile.backends.items()}
        self._warming: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._warm: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def load(cls, profile: Profile | str, stages: Iterable[str] = SPEAKING) -> AsyncIterator[Engine]:
        """Load the models of these stages side by side, and free all at the end.

        Those of other stages are loaded when a session first needs them. Raises `BadInput` for an unknown profile and
        `ModelError` for a model that cannot be loaded.
        """
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            engine = cls(load_profile(profile) if isinstance(profile, str) else profile, tasks)
            try:
                loading = (engine.model(stage) for stage in stages)
                for loaded in await asyncio.gather(*loading, return_exceptions=True):
                    if isinstance(loaded, BaseException):
                        raise loaded
                yield engine
            except Exception as error:  # of a model or of the caller: a task group would wrap it
                failure = error
            finally:
                for shared in engine._models.values():
                    shared.free()
        failed = (failure, *(shared.failure for shared in engine._models.values()))
        for first in filter(None, failed):
            raise first

    async def session(self, request: SessionRequest | ResolvedRequest, clock: Clock | None = None) -> Session:
        """Prepare one listener's session; its models are loaded and warm when this returns, but for a reader of pictures.

        Raises what `resolve` raises, and `Refused` or `StageFailed` from a model that cannot do what is asked.
        """
        models, options = await self.prepare(request)
        speaking = (models.synthesizer, *(one.synthesizer for one in options.also_spoken))
        learners = [one.learner for one in speaking if isinstance(one, SpeakerVoices) and one.learner is not None]
        return Session(models, options, clock, tuple(dict.fromkeys(learners)))

    async def prepare(self, request: SessionRequest | ResolvedRequest) -> tuple[Models, SessionOptions]:
        """Return the models and options of one session; raises as `session`."""
        resolved = request if isinstance(request, ResolvedRequest) else resolve(request, self.profile)
        asked = resolved.request
        recognizer, translator = await self.model("recognizer"), await self.model("translator")
        speech = await self._speech(resolved)
        first = next(iter(speech), None)
        options = SessionOptions(
            languages=asked.languages,
            targets=asked.targets,
            spoken=first.target if first else None,
            spoken_as=first.spoken_as if first else None,
            voice=first.voice if first else None,
            also_spoken=tuple(speech[1:]),
            one_track=asked.one_track,
            glossary=asked.glossary,
            units=asked.units or self.profile.units,
            pace=asked.pace or self.profile.pace,
            same_language=asked.same_language,
            self_hearing=asked.self_hearing,
            hints=asked.hints,
            silenced=asked.silenced,
            speakers=await asked.speakers.options(VoiceStore()) if asked.speakers else None,
            watching=asked.watching,
        )
        await self._warm_up(translator, options.pairs())
        diarizer = None
        if asked.speakers is not None:
            diarizer = asked.speakers.channels or await self.model("diarizer")
        reader = LateReader(self) if asked.watching else None
        synthesizer = first.synthesizer if first else None
        return Models(recognizer, translator, synthesizer, diarizer, reader), options

    async def _speech(self, resolved: ResolvedRequest) -> list[SpokenTarget]:
        """Load what speaks each target; voices are learned once for all that one synthesizer speaks."""
        learners: dict[str, VoicesLearner] = {}
        speakers = resolved.request.speakers
        spoken: list[SpokenTarget] = []
        for one in resolved.speech:
            synthesizer = await self.model(one.synthesizer)
            voice = await one.voice.ready(synthesizer, one.spoken_as) if one.voice else None
            order = speakers.memory.spoken if speakers else []
            if one.same_voice:
                agreed = speakers.consenting if speakers else None
                learner = learners.setdefault(one.synthesizer, VoicesLearner(synthesizer, agreed, one=not speakers))
                known = dict[str, Voice]()
                if speakers and speakers.enrolled:
                    known = voices_learned_before(self.profile, VoiceStore(), one.synthesizer)
                synthesizer = SpeakerVoices(synthesizer, one.presets, learner, known, order)
            elif speakers and one.presets:
                synthesizer = SpeakerVoices(synthesizer, one.presets, order=order)
            spoken.append(SpokenTarget(one.target, synthesizer, one.spoken_as, voice))
        return spoken

    async def model(self, stage: str) -> Any:  # noqa: ANN401 - the contract is the stage's
        """Return the loaded model of a stage; raises what loading it raises."""
        return await self._models[stage].get()

    def has(self, stage: str) -> bool:
        """Return whether the model of a stage is loaded."""
        return self._models[stage].loaded

    async def _warm_up(self, translator: Translator, pairs: Sequence[tuple[str, str]]) -> None:
        """Translate a word into each target that no session had before, from the first language that is known."""
        first: dict[str, str] = {}
        for source, target in pairs:
            first.setdefault(target, source)
        for target, source in first.items():
            pair = f"{source}>{target}"
            async with self._warming[pair]:
                if source and pair not in self._warm:
                    await warm_up(translator, source, target)
                    self._warm.add(pair)


async def warm_up(translator: Translator, source: str, target: str) -> None:
    """Translate a word, so that what is refused or slow at first is so before audio comes; raises `StageFailed`."""
    try:
        await translator.translate(TranslationRequest("one", source, target))
    except TranslateLiveError:
        raise
    except Exception as error:  # the border to the model
        raise StageFailed("translate", error) from error


class LateReader:
    """A reader of pictures that is loaded when the first one comes, so that no audio waits for it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ready(self) -> None:
        """Load it, unless it is; raises what loading raises."""
        await self._engine.model("reader")

    async def read(self, picture: Pixels | bytes, looked: bytes, languages: Sequence[str]) -> Page:
        """Read a picture; raises what loading and reading raise."""
        reader: TextReader = await self._engine.model("reader")
        return await reader.read(picture, looked, languages)


class Shared:
    """A model that is loaded when it is first asked for, by a task that holds it until it is freed."""

    def __init__(self, backend: Backend[object], tasks: asyncio.TaskGroup) -> None:
        self._backend = backend
        self._tasks = tasks
        self._freed = asyncio.Event()
        self._loaded: asyncio.Future[object] | None = None
        self._holding: asyncio.Task[None] | None = None
        self.failure: Exception | None = None  # of freeing it, which must not hide its user's

    @property
    def loaded(self) -> bool:
        """True if it can be had at once."""
        return self._loaded is not None and self._loaded.done() and not self._loaded.cancelled()

    async def get(self) -> object:
        """Return the model; raises what loading it raises, and the next call tries again."""
        if self._loaded is None:
            self._loaded = asyncio.get_running_loop().create_future()
            self._holding = self._tasks.create_task(self._hold(self._loaded))
        return await asyncio.shield(self._loaded)

    def free(self) -> None:
        """Let the model go, or give up loading it."""
        self._freed.set()
        if self._holding is not None and self._loaded is not None and not self._loaded.done():
            self._holding.cancel()

    async def _hold(self, loaded: asyncio.Future[object]) -> None:
        try:
            async with self._backend.load() as model:
                loaded.set_result(model)
                await self._freed.wait()
        except Exception as error:  # the border to the model: whoever asked for it gets the error
            if loaded.done():
                self.failure = error
                return
            self._loaded = None
            loaded.set_exception(error)
        finally:
            loaded.cancel()
