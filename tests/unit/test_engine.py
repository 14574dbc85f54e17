"""An engine: models loaded once, side by side, and sessions on them that know nothing of each other."""

import asyncio
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.commands.advice import worded
from pipeline.contracts import Missing
from pipeline.engine import Engine
from pipeline.errors import FETCH_MODELS, BadInput, DeviceError, ModelError, Refused, StageFailed
from pipeline.events import Fault, ReadingUnit, Skipped, SpeechChunk
from pipeline.glossary.entries import Entry
from pipeline.glossary.glossary import Glossary
from pipeline.hints import MOST, Hints
from pipeline.policies.pace import PaceOptions
from pipeline.profiles.backends import BackendChoice
from pipeline.profiles.profile import Profile
from pipeline.request import SessionRequest, resolve
from pipeline.sinks.delivery import Budget, SinkQueue
from pipeline.voices.store import VoiceStore
from tests.scripted import Keep, Models, Talk
from tests.scripted_backends import OtherVoice, Scripted, ScriptedVoice, Tagging

HERE = "tests.scripted_backends"


def profile(**stages: str) -> Profile:
    uses = {"recognizer": "Scripted", "translator": "Tagging", "synthesizer": "ScriptedVoice", **stages}
    return Profile("scripted", "", {stage: BackendChoice(f"{HERE}:{use}") for stage, use in uses.items()})


def engine_of(**backends: object) -> Profile:
    """A profile whose backends are these objects."""
    made = profile(**({"fallback_synthesizer": "OtherVoice"} if "fallback_synthesizer" in backends else {}))
    made.__dict__["backends"] = replace(made.backends, **backends)
    return made


@dataclass(frozen=True)
class Slow(Scripted):
    """Loads in two seconds, and counts."""

    log: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def load(self):
        self.log.append("loading")
        await asyncio.sleep(2.0)
        self.log.append("loaded")
        try:
            yield Models()
        finally:
            self.log.append("freed")


@dataclass(frozen=True)
class Broken(Scripted):
    @asynccontextmanager
    async def load(self):
        raise ModelError("it is damaged")
        yield


@pytest.mark.looptime
async def test_models_are_loaded_side_by_side_and_freed() -> None:
    slow = [Slow(), Slow(), Slow()]
    began = asyncio.get_running_loop().time()
    stages = dict(zip(("recognizer", "translator", "synthesizer"), slow, strict=True))
    async with Engine.load(engine_of(**stages)):
        assert asyncio.get_running_loop().time() - began == pytest.approx(2.0)
    assert [one.log for one in slow] == [["loading", "loaded", "freed"]] * 3


@pytest.mark.looptime
async def test_a_model_that_cannot_be_loaded_is_the_error_itself_and_the_others_are_freed() -> None:
    slow = Slow()
    with pytest.raises(ModelError, match="it is damaged"):
        async with Engine.load(engine_of(recognizer=slow, translator=Broken())):
            pytest.fail("it was loaded")
    assert slow.log == ["loading", "loaded", "freed"]


@pytest.mark.looptime
async def test_an_error_of_the_caller_comes_out_as_it_is() -> None:
    slow = Slow()
    with pytest.raises(KeyError):
        async with Engine.load(engine_of(recognizer=slow)):
            raise KeyError("mine")
    assert slow.log[-1] == "freed"


@pytest.mark.looptime
async def test_loading_is_given_up_when_it_is_cancelled() -> None:
    slow = Slow()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0), Engine.load(engine_of(recognizer=slow)):
            pytest.fail("it was loaded")
    assert slow.log == ["loading"]


def glossary(source: str, target: str) -> Glossary:
    return Glossary([Entry(source, (target,), "g", 1)])


async def heard(engine: Engine, request: SessionRequest, seconds: float = 12.0) -> Keep:
    keep = Keep()
    await (await engine.session(request)).run(Talk(seconds), [SinkQueue(keep)])
    return keep


def said(keep: Keep) -> str:
    return "".join(unit.text for unit in keep.of(ReadingUnit))


@pytest.mark.looptime
async def test_two_sessions_at_once_share_models_and_no_word() -> None:
    """Other targets, glossaries, voices and pace, side by side on one engine."""
    async with Engine.load(profile(fallback_synthesizer="OtherVoice")) as engine:
        one = SessionRequest(("es",), spoken="es", glossary=glossary("word3", "uno"))
        other = SessionRequest(("de",), spoken="de", glossary=glossary("word3", "eins"), pace=PaceOptions(max_lag_s=3.0))
        spanish, german = await asyncio.gather(heard(engine, one), heard(engine, other))
    assert "[uno]" in said(spanish)
    assert "[eins]" in said(german)
    assert not {"[eins]", "de-word1"} & set(said(spanish).split())
    assert not {"[uno]", "es-word1"} & set(said(german).split())
    assert spanish.of(SpeechChunk)
    assert german.of(SpeechChunk)


@pytest.mark.looptime
async def test_a_client_that_takes_nothing_harms_no_other_session() -> None:
    class Stuck:
        async def put(self, event):
            await asyncio.Event().wait()

        async def close(self):
            pass

    async with Engine.load(profile()) as engine:
        request = SessionRequest(("es",), spoken="es")
        alone = await heard(engine, request, 60.0)
        stuck = SinkQueue(Stuck(), "client", Budget(max_bytes=2**16, max_age_s=5.0))
        keep = Keep()
        session = await engine.session(request)
        beside, _ = await asyncio.gather(heard(engine, request, 60.0), session.run(Talk(60.0), [stuck, SinkQueue(keep)]))
    assert said(beside) == said(alone) == said(keep)
    assert stuck.error is not None


@pytest.mark.looptime
async def test_a_fallback_voice_is_loaded_when_a_session_first_needs_it() -> None:
    @dataclass(frozen=True)
    class Fallback(Slow):
        def languages(self):
            return frozenset({"de"})

    fallback = Fallback()
    async with Engine.load(engine_of(fallback_synthesizer=fallback, synthesizer=ScriptedVoice())) as engine:
        await engine.session(SessionRequest(("es",), spoken="es"))
        assert fallback.log == []
        await asyncio.gather(*(engine.session(SessionRequest(("de",), spoken="de")) for _ in range(3)))
        assert fallback.log == ["loading", "loaded"]
    assert fallback.log[-1] == "freed"


@pytest.mark.looptime
async def test_a_voice_that_the_gpu_has_no_memory_for_refuses_its_session_alone_and_is_tried_again() -> None:
    full = [True]

    @dataclass(frozen=True)
    class Large(ScriptedVoice):
        def languages(self):
            return frozenset({"de"})

        @asynccontextmanager
        async def load(self):
            if full.pop():
                raise DeviceError("the GPU's memory is full")
            yield Models()

    async with Engine.load(engine_of(fallback_synthesizer=Large(), synthesizer=ScriptedVoice())) as engine:
        spanish, german = SessionRequest(("es",), spoken="es"), SessionRequest(("de",), spoken="de")
        alone = await heard(engine, spanish)

        async def refused() -> None:
            with pytest.raises(DeviceError, match="memory is full"):
                await engine.session(german)

        beside, _ = await asyncio.gather(heard(engine, spanish), refused())
        assert said(beside) == said(alone)
        assert not engine.has("fallback_synthesizer")
        full.append(False)
        assert (await heard(engine, german)).of(SpeechChunk)


@dataclass(frozen=True, slots=True)
class CloningVoice(OtherVoice):
    """A synthesizer that speaks German in anybody's voice."""

    def languages(self) -> frozenset[str]:
        return frozenset({"de"})

    def presets(self) -> list[str]:
        return []

    def has_preset(self, name: str) -> bool:
        return False

    def check_cloning(self) -> None:
        """It can."""


async def test_the_first_synthesizer_that_speaks_a_language_is_chosen_and_clones_if_it_can() -> None:
    scripted = profile(second_synthesizer="OtherVoice", fallback_synthesizer="OtherVoice")
    scripted.__dict__["backends"] = replace(scripted.backends, second_synthesizer=CloningVoice())
    asked = SessionRequest(targets=("es", "de"), spoken=("es", "de"), voice="same")
    chosen = {one.target: (one.synthesizer, one.same_voice) for one in resolve(asked, scripted).speech}
    assert chosen == {"es": ("synthesizer", True), "de": ("second_synthesizer", True)}
    without = replace(scripted.backends, second_synthesizer=None)
    assert without.synthesizer_for("de") == "fallback_synthesizer"
    assert list(scripted.backends.synthesizers) == ["synthesizer", "second_synthesizer", "fallback_synthesizer"]
    async with Engine.load(scripted) as engine:
        session = await engine.session(asked)
        assert session is not None


@dataclass(frozen=True)
class Bundle(OtherVoice):
    """A synthesizer with a voice a language, of which German's is ``here``."""

    here: bool = True

    def languages(self) -> frozenset[str]:
        return frozenset({"de", "es"})

    def missing_for(self, language: str) -> list[Missing]:
        return [] if self.here else [Missing("the voice anna", f"{FETCH_MODELS} for the language {language}")]

    def presets(self) -> list[str]:
        return ["anna", "juan"]

    def has_preset(self, name: str) -> bool:
        return name in self.presets()

    def check_cloning(self) -> None:
        raise Refused("it cannot")

    def voices_for(self, language: str) -> list[str]:
        return {"de": ["anna"], "es": ["juan"]}[language]


def with_bundle(fallback: str | None = "OtherVoice", **bundle: object) -> Profile:
    scripted = profile(**({"fallback_synthesizer": fallback} if fallback else {}))
    scripted.__dict__["backends"] = replace(scripted.backends, second_synthesizer=Bundle(**bundle))
    return scripted


def test_a_voice_that_is_not_here_gives_way_to_one_that_is_and_says_what_brings_it() -> None:
    asked = SessionRequest(targets=("de",), spoken="de")
    resolved = resolve(asked, with_bundle())
    assert [one.synthesizer for one in resolved.speech] == ["second_synthesizer"]
    assert resolved.notices == ("ScriptedVoice does not speak German (de): Bundle will, in its own voice",)
    resolved = resolve(asked, with_bundle(here=False))
    assert [one.synthesizer for one in resolved.speech] == ["fallback_synthesizer"]
    (notice,) = resolved.notices
    assert "OtherVoice will, in its own voice, for that of Bundle is not on this machine" in notice
    assert worded(notice, "cpu").endswith(": translate-live pull scripted --to de")
    with pytest.raises(ModelError, match="lacks the voice anna") as raised:
        resolve(asked, with_bundle(None, here=False))
    assert worded(raised.value.hint) == "translate-live pull scripted --to de"


def test_a_later_synthesizer_that_is_not_here_gives_way_to_one_that_is() -> None:
    asked = SessionRequest(targets=("de",), spoken="de")
    scripted = profile(fallback_synthesizer="OtherVoice")

    @dataclass(frozen=True)
    class Absent(CloningVoice):
        def missing(self) -> list[Missing]:
            return [Missing("the model of two billion numbers", FETCH_MODELS)]

    scripted.__dict__["backends"] = replace(scripted.backends, second_synthesizer=Absent())
    resolved = resolve(asked, scripted)
    assert [one.synthesizer for one in resolved.speech] == ["fallback_synthesizer"]
    assert worded(*resolved.notices).endswith(
        "for that of Absent is not on this machine: translate-live pull scripted --to de"
    )
    scripted.__dict__["backends"] = replace(scripted.backends, fallback_synthesizer=None)
    with pytest.raises(ModelError, match="the model of two billion numbers"):
        resolve(asked, scripted)
    scripted.__dict__["backends"] = replace(scripted.backends, synthesizer=Absent(), fallback_synthesizer=OtherVoice())
    with pytest.raises(ModelError, match="the model of two billion numbers"):
        resolve(asked, scripted)  # a profile without its first voice is not that profile


@pytest.mark.parametrize(
    ("installed", "error"), [({("fr", "es")}, ""), (set(), "no model on this machine translates to 'es'")]
)
def test_a_target_that_no_language_can_be_translated_to_here_is_refused_before_one_is_heard(installed, error) -> None:
    @dataclass(frozen=True)
    class Hearing(Scripted):
        def languages(self) -> frozenset[str]:
            return frozenset({"en", "fr"})

    @dataclass(frozen=True)
    class ByPair(Tagging):
        def pairs(self) -> frozenset[tuple[str, str]]:
            return frozenset({("en", "es"), ("fr", "es"), ("en", "fr")})

        def missing_between(self, source: str, target: str) -> list[Missing]:
            return [] if (source, target) in installed else [Missing("its model", FETCH_MODELS)]

    asked = SessionRequest(targets=("es", "fr"))  # what is spoken may be French, which then is shown as it is
    with pytest.raises(ModelError, match=error) if error else nullcontext() as raised:
        resolve(asked, engine_of(recognizer=Hearing(), translator=ByPair()))
    assert not error or worded(raised.value.hint) == "translate-live pull scripted --to es"


def test_a_preset_of_another_synthesizer_speaks_its_own_language(tmp_path: Path) -> None:
    @dataclass(frozen=True, slots=True)
    class Presets(ScriptedVoice):
        """A first synthesizer whose voices are known."""

        def presets(self) -> list[str]:
            return ["maria"]

        def has_preset(self, name: str) -> bool:
            return name == "maria"

        def check_cloning(self) -> None:
            raise Refused("it cannot", hint="another")

    scripted = with_bundle()
    scripted.__dict__["backends"] = replace(scripted.backends, synthesizer=Presets())

    def chosen(voice: str) -> dict[str, tuple[str, str | None]]:
        asked = SessionRequest(targets=("es", "de"), spoken=("es", "de"), voice=voice)
        speech = resolve(asked, scripted, VoiceStore(tmp_path)).speech
        return {one.target: (one.synthesizer, one.voice.name if one.voice else None) for one in speech}

    assert chosen("maria") == {"es": ("synthesizer", "maria"), "de": ("second_synthesizer", None)}
    assert chosen("juan") == {"es": ("second_synthesizer", "juan"), "de": ("second_synthesizer", None)}
    assert chosen("anna") == {"es": ("synthesizer", None), "de": ("second_synthesizer", "anna")}
    with pytest.raises(BadInput, match="no voice 'ana'"):
        chosen("ana")
    with pytest.raises(BadInput, match="the voice 'anna' speaks de and not es"):
        resolve(SessionRequest(targets=("es",), spoken="es", voice="anna"), scripted, VoiceStore(tmp_path))
    both = SessionRequest(targets=("es", "de"), spoken=("es", "de"), voice="anna")
    assert resolve(both, scripted, VoiceStore(tmp_path)).notices == (
        "the voice 'anna' does not speak Spanish (es): Presets will, in its own voice",
    )

    class Lacking(Presets):
        """The same, whose own voice for Spanish is not here."""

        def missing_for(self, language: str) -> list[Missing]:
            return [Missing("a voice", FETCH_MODELS)]

    scripted.__dict__["backends"] = replace(scripted.backends, synthesizer=Lacking())
    assert chosen("maria")["es"] == ("synthesizer", "maria"), "who names a voice that is here gets it"
    (notice,) = resolve(SessionRequest(targets=("es",), spoken="es"), scripted, VoiceStore(tmp_path)).notices
    said = "Lacking's model for Spanish (es) is not on this machine: Bundle will speak it, in its own voice; "
    assert worded(notice) == f"{said}to bring that model: translate-live pull scripted"


@dataclass(frozen=True, slots=True)
class WordsVoice(CloningVoice):
    """A synthesizer that learns a voice only with the words in its clip."""

    enrols_words: ClassVar[bool] = True


def test_a_synthesizer_that_needs_words_is_not_asked_for_a_live_speakers_voice() -> None:
    scripted = profile()
    scripted.__dict__["backends"] = replace(scripted.backends, second_synthesizer=WordsVoice())
    asked = SessionRequest(targets=("es", "de"), spoken=("es", "de"), voice="same")
    resolved = resolve(asked, scripted)
    assert [one.same_voice for one in resolved.speech] == [True, False]
    assert "in its own voice" in resolved.notices[0]
    scripted.__dict__["backends"] = replace(scripted.backends, synthesizer=WordsVoice(), second_synthesizer=None)
    with pytest.raises(Refused, match="the words in it"):
        resolve(SessionRequest(targets=("de",), spoken="de", voice="same"), scripted)


@pytest.mark.looptime
async def test_a_pair_is_warmed_up_once_a_process() -> None:
    models = Models()

    @dataclass(frozen=True)
    class Counting(Tagging):
        @asynccontextmanager
        async def load(self):
            yield models

    async with Engine.load(engine_of(translator=Counting())) as engine:
        requests = [SessionRequest(("es",), ("en",)), SessionRequest(("es",), ("en",)), SessionRequest(("de",), ("en",))]
        await asyncio.gather(*map(engine.session, requests))
    assert models.faults.calls["translate"] == 2


async def test_what_the_translator_refuses_is_known_before_audio_comes() -> None:
    @dataclass(frozen=True)
    class Failing(Tagging):
        async def translate(self, request):
            raise RuntimeError("it broke")

    async with Engine.load(engine_of(translator=Failing())) as engine:
        with pytest.raises(StageFailed, match="translate stage failed: it broke"):
            await engine.session(SessionRequest(("es",), ("en",)))


@pytest.mark.looptime
async def test_hints_reach_the_recognizer_and_the_translation_while_a_session_runs() -> None:
    expected: list[tuple[str, ...]] = []

    class Expecting(Models):
        def open(self, *asked):
            return self._open(*asked)

        @asynccontextmanager
        async def _open(self, *asked):
            async with Models.open(self, *asked) as stream:
                stream.expect = lambda words: expected.append(tuple(words))
                yield stream

    @dataclass(frozen=True)
    class Hearing(Scripted):
        @asynccontextmanager
        async def load(self):
            yield Expecting()

    hints = Hints(["Ana"])
    async with Engine.load(engine_of(recognizer=Hearing())) as engine:
        session = await engine.session(SessionRequest(("es",), hints=hints, glossary=glossary("word3", "tres")))
        keep = Keep(on_put=lambda event: hints.add(["word20"], keep=True) if len(keep.events) == 5 else None)
        await session.run(Talk(12.0), [SinkQueue(keep)])
    assert expected[0] == ("word3", "Ana")
    assert expected[-1] == ("word3", "Ana", "word20")
    assert "(word20)" in said(keep)


def test_of_hints_without_end_the_newest_are_kept() -> None:
    hints, seen = Hints(["first"]), []
    with hints.watched(lambda: seen.append(hints.words)):
        for start in range(0, 3000, 500):
            hints.add([f"word{number}" for number in range(start, start + 500)], keep=True)
        hints.add(["word2000"])  # heard of again
    assert seen[-1] == hints.words == hints.kept
    assert hints.words == (*(f"word{number}" for number in range(2001, 3000)), "word2000")
    assert max(map(len, seen)) == MOST


def test_a_request_is_checked_without_loading() -> None:
    with pytest.raises(BadInput, match="does not translate .* to 'xx'") as refused:
        resolve(SessionRequest(("xx",)), profile())
    assert refused.value.code == "language"
    with pytest.raises(ModelError, match="lacks a voice") as lacking:
        resolve(SessionRequest(("es",), spoken="es"), engine_of(synthesizer=OtherVoice(lacks="a voice")))
    assert lacking.value.code == "missing"
    resolved = resolve(SessionRequest(("es-MX",), spoken="es-MX"), profile())
    assert (resolved.request.targets, resolved.request.spoken) == (("es",), "es")
    assert resolved.targets_by_name == {"es-MX": "es"}
    assert resolved.notices == ("es-MX is taken as es: this profile knows Spanish only",)


def test_the_step_that_a_missing_model_advises_names_no_command() -> None:
    missing = Missing("a model", "fetch the model files")

    @dataclass(frozen=True)
    class Lacking(ScriptedVoice):
        def missing(self):
            return [missing]

    with pytest.raises(ModelError) as lacking:
        resolve(SessionRequest(("es",), spoken="es"), engine_of(synthesizer=Lacking()))
    assert lacking.value.hint == "fetch the model files of the profile scripted"


async def test_a_spoken_language_must_be_a_target_and_there_must_be_one() -> None:
    with pytest.raises(BadInput, match="none of the targets; valid: es"):
        resolve(SessionRequest(("es",), ("en",), spoken="fr"), profile())
    with pytest.raises(BadInput, match="no target language"):
        resolve(SessionRequest((), ("en",)), profile())


@pytest.mark.looptime
async def test_a_model_that_cannot_be_freed_hides_no_error_of_the_caller() -> None:
    @dataclass(frozen=True)
    class Sticking(Scripted):
        @asynccontextmanager
        async def load(self):
            yield Models()
            raise OSError("it is not freed")

    with pytest.raises(ValueError, match="mine"):
        async with Engine.load(engine_of(recognizer=Sticking())):
            raise ValueError("mine")
    with pytest.raises(OSError, match="it is not freed"):
        async with Engine.load(engine_of(recognizer=Sticking())):
            pass


@pytest.mark.looptime
async def test_one_failure_counts_once_for_each_target() -> None:
    failed = set()

    @dataclass(frozen=True)
    class Hiccup(Tagging):
        async def translate(self, request):
            if "word0" in request.source.split() and request.target_language not in failed:
                if len(failed) == 3:
                    return await Tagging.translate(self, request)
                raise RuntimeError("it broke")
            return await Tagging.translate(self, request)

    async with Engine.load(engine_of(translator=Hiccup())) as engine:
        keep = await heard(engine, SessionRequest(("es", "ca", "de")), 6.0)
    assert len(keep.of(Fault)) == 3
    assert {unit.target for unit in keep.of(ReadingUnit)} == {"es", "ca", "de"}


@pytest.mark.looptime
async def test_what_was_heard_before_a_skip_is_not_spoken_after_it() -> None:
    """A recognizer that is slow gives its words when they are no longer wanted."""
    async with Engine.load(engine_of(recognizer=SlowEars())) as engine:
        session = await engine.session(SessionRequest(("es",), spoken="es"))
        keep = Keep()
        asyncio.get_running_loop().call_later(3.0, session.skip_to_live)
        await session.run(Talk(4.0), [SinkQueue(keep)])
    assert not [chunk for chunk in keep.of(SpeechChunk) if chunk.unit == 0]
    assert keep.of(Skipped)


@dataclass(frozen=True)
class SlowEars(Scripted):
    @asynccontextmanager
    async def load(self):
        yield Models(hear_s=2.5)
