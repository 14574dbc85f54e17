"""DashScope's protocol: bytes become an event or a typed error, settings become wishes, any stream has its order."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.clocks.virtual import run_on
from pipeline.engine import Engine
from pipeline.events import Draft, Fault, Lag, ReadingUnit, Skipped, SpeechChunk, Transcript, Word
from pipeline.server.access import Key
from pipeline.server.asked import Audio, ClientEvent, Finish, Ignored, Image, Offset, Rejected
from pipeline.server.dialects.codec import error_object
from pipeline.server.dialects.dashscope import DashScope, knows
from pipeline.server.dialects.dashscope_events import TAGS, SessionFields
from pipeline.server.service import Limits
from pipeline.voices.record import SAME
from tests.dashscope_grammar import check
from tests.scripted_backends import Slides
from tests.serving import make_service, scripted_profile, tone
from tests.unit.test_server_connection import Socket, connected
from tests.unit.test_server_protocol import JSON

NEW, OLD = "qwen3.8-livetranslate-flash-realtime", "qwen3.5-livetranslate-flash-realtime"
NAMES = st.sampled_from([*SessionFields.__struct_fields__, "session", "audio", "image", "event_id", "language", "corpus"])
NEARLY = st.builds(
    lambda kind, rest: {**rest, "type": kind}, st.sampled_from(TAGS), st.dictionaries(NAMES, JSON, max_size=4)
)
UPDATES = st.builds(lambda rest: {"type": "session.update", "session": rest}, st.dictionaries(NAMES, JSON, max_size=4))
SLIDES = "reader.use=tests.scripted_backends:Slides"
JPEG = b"\xff\xd8\xff\xe0" + bytes(50)
FLAT = {
    "modalities": ["text"], "voice": "Cherry", "input_audio_format": "pcm16", "sample_rate": 8000,
    "input_audio_transcription": {"model": "qwen3-asr-flash-realtime", "language": "en"},
    "translation": {
        "language": "fr", "corpus": {"phrases": {"kernel": "noyau"}},
        "same_language_skip_options": {"skip_text": True, "skip_audio": True},
    },
}  # fmt: skip
NESTED = {
    "output_modalities": ["text"],
    "audio": {"input": {"format": {"type": "pcm", "sample_rate": 8000}}, "output": {"voice": "Cherry"}},
    "input_audio_transcription": {"language": "en"},
    "translation": {"language": "fr", "corpus": {"phrases": {"kernel": "noyau"}}},
    "same_language_skip_options": {"skip_text": True, "skip_audio": True},
}  # fmt: skip


def update(dialect: DashScope, **session):
    return dialect.decode(json.dumps({"type": "session.update", "session": session}))


@pytest.mark.parametrize("model", [NEW, OLD])
@given(text=st.one_of(JSON, NEARLY, UPDATES).map(json.dumps) | st.text())
def test_any_message_is_an_event_or_a_typed_error(model: str, text: str):
    dialect = DashScope(model, "es")
    try:
        event = dialect.decode(text)
    except Rejected as error:
        assert error.code in {"invalid_event", "invalid_audio"}  # noqa: PT017 - either is right
        json.dumps(error_object(error))
        return
    assert isinstance(event, get_args(ClientEvent))


@pytest.mark.parametrize(("model", "session"), [(NEW, NESTED), (OLD, FLAT), (NEW, FLAT), (OLD, NESTED)])
def test_settings_of_either_generation_become_wishes(model: str, session: dict):
    asked = update(DashScope(model, "es"), **session).asked
    assert (asked.target, asked.sources, asked.speak, asked.input_hz) == ("fr", ("en",), False, 8000)
    assert (asked.same_language, asked.voice, asked.any_voice) == ("mute", "Cherry", True)
    assert asked.glossary.terms("en", "fr")[0].targets == ("noyau",)


def test_what_an_update_omits_stays():
    dialect = DashScope(OLD, "es")
    for session in (FLAT, {"translation": {"language": "de"}}, {"enable_voice_clone": False}):
        dialect.asked = update(dialect, **session).asked
    described = json.loads(dialect.updated())["session"]
    assert (described["translation"]["language"], described["modalities"], described["sample_rate"]) == (
        "de",
        ["text"],
        8000,
    )
    assert dialect.asked.glossary.terms("en", "de")
    assert dialect.asked.session() == update(dialect).asked.session()


@pytest.mark.parametrize(
    ("skips", "same_language"),
    [
        ({}, "speak"),
        ({"skip_audio": True}, "captions"),
        ({"skip_text": True, "skip_audio": True}, "mute"),
        ({"skip_text": True}, "speak"),
    ],
)
def test_same_language_skips(skips: dict, same_language: str):
    assert update(DashScope(OLD, "es"), same_language_skip_options=skips).asked.same_language == same_language


@pytest.mark.parametrize(
    ("frequency", "voice", "wanted", "any_voice"),
    [("once", "default", SAME, False), ("always", "default", SAME, False), ("never", "ana", "ana", False)],
)
def test_voice_cloning(frequency: str, voice: str, wanted: str, any_voice: bool):
    clone = {"enable_voice_clone": True, "voice_clone_options": {"frequency": frequency}, "voice": voice}
    for dialect, consent in ((DashScope(OLD, "es"), False), (DashScope(NEW, "es", consent=True), True)):
        change = update(dialect, **clone)
        assert (change.asked.voice, change.asked.any_voice, change.asked.consent) == (wanted, any_voice, consent)
        assert [note.param for note in change.notes] == ["session.voice_clone_options.frequency"] * (frequency == "always")
    assert update(DashScope(OLD, "es"), **clone, translate_live={"consent": True}).asked.consent


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"turn_detection": {"type": "server_vad"}}, "session.turn_detection"),
        ({"audio": {"input": {"turn_detection": None}}}, "session.turn_detection"),
        ({"video": {"input": {"representation_compact": "high"}}}, "session.video"),
        ({"input_audio_transcription": {"corpus": {"text": "kernels"}}}, "session.input_audio_transcription.corpus"),
        ({"same_language_skip_options": {"skip_text": True}}, "session.same_language_skip_options"),
        ({"temperature": 0.5}, "session.temperature"),
    ],
)  # fmt: skip
def test_a_setting_without_meaning_is_told(session: dict, param: str):
    assert [note.param for note in update(DashScope(OLD, "es"), **session).notes] == [param]


@pytest.mark.parametrize(
    ("session", "param", "valid"),
    [
        ({"modalities": ["audio"]}, "session.modalities", "['text'], ['text', 'audio']"),
        ({"modalities": ["text", "video"]}, "session.modalities[1]", "audio, text"),
        ({"output_audio_format": "mp3"}, "session.output_audio_format", "pcm, pcm16, pcm24"),
        ({"audio": {"input": {"format": {"type": "wav"}}}}, "session.audio.input.format.type", "pcm, pcm16, pcm24"),
        ({"sample_rate": 11025}, "session.sample_rate", "16000, 24000, 48000, 8000"),
        ({"voice_clone_options": {"frequency": "often"}}, "session.voice_clone_options.frequency", "always, never, once"),
    ],
)
@pytest.mark.parametrize("model", [OLD, NEW])
def test_a_setting_that_cannot_be_is_refused_by_its_name_with_what_can(model: str, session: dict, param: str, valid: str):
    with pytest.raises(Rejected) as refused:
        update(DashScope(model, "es"), **session)
    assert refused.value.param == param
    assert refused.value.message.endswith(f"; valid: {valid}")


def test_a_glossary_that_cannot_be_used_is_refused_by_its_name():
    dialect = DashScope(NEW, "es")
    with pytest.raises(Rejected) as refused:
        update(dialect, translation={"corpus": {"phrases": {"": "x"}}})
    assert json.loads(dialect.failed(refused.value))["error"]["param"] == "session.translation.corpus.phrases"


def test_events_without_meaning_and_images_are_told_from_mistakes():
    dialect = DashScope(NEW, "es")
    jpeg = base64.b64encode(JPEG).decode()
    assert dialect.decode(json.dumps({"type": "input_image_buffer.append", "image": jpeg})) == Image(JPEG)
    for image in ("%", base64.b64encode(b"GIF89a").decode(), base64.b64encode(JPEG + bytes(500_000)).decode()):
        with pytest.raises(Rejected) as refused:
            dialect.decode(json.dumps({"type": "input_image_buffer.append", "image": image}))
        assert refused.value.param == "image"
    for kind in ("input_audio_buffer.commit", "input_audio_buffer.clear", "response.cancel", "conversation.item.create"):
        assert isinstance(dialect.decode(json.dumps({"type": kind, "item": {}})), Ignored)
    with pytest.raises(Rejected):
        dialect.decode(json.dumps({"type": "response.create", "event_id": "mine"}))
    assert dialect.event_id == "mine"
    assert dialect.decode(json.dumps({"type": "session.finish"})) == Finish()


@pytest.mark.parametrize("sample_rate", [8000, 16_000, 24_000, 48_000])
def test_an_append_holds_ten_seconds_at_any_rate(sample_rate: int):
    dialect = DashScope(NEW, "es")
    dialect.asked = update(dialect, audio={"input": {"format": {"sample_rate": sample_rate}}}).asked
    whole = {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(20 * sample_rate)).decode()}
    assert dialect.decode(json.dumps(whole)) == Audio(bytes(20 * sample_rate))
    with pytest.raises(Rejected, match="at most 10 s"):
        dialect.decode(json.dumps({**whole, "audio": base64.b64encode(bytes(20 * sample_rate + 2)).decode()}))


@pytest.mark.parametrize("model", ["qwen3-livetranslate-flash-realtime", NEW, OLD])
def test_models_of_the_protocol_are_known(model: str):
    assert knows(model)
    assert not knows(model.replace("livetranslate", "omni"))
    assert not knows("gpt-realtime-translate")


# ------------------------------------------------------------- what is sent, for any course of a session


WORDS = st.integers(0, 4)


@st.composite
def courses(draw) -> tuple[list, int]:
    """Events as a session gives them: units in order, each spoken alone, merged, in part, skipped or not at all."""
    events: list = []
    at, number, waiting = 0.0, 0, []
    for _ in range(draw(st.integers(0, 12))):
        step = draw(st.sampled_from(["words", "tail", "unit", "empty", "draft", "speak", "cut", "skip", "end"]))
        if step in {"words", "tail", "end"}:
            word = Word(f" w{len(events)}", at, at + 0.3, 1.0)
            at += 0.4
            committed, tentative = ((word,), ()) if step != "tail" else ((), (word,))
            events.append(Transcript(committed, tentative, "en", at, 0.0, ended=step == "end"))
        elif step in {"unit", "empty"}:
            text = f" unit {number}" if step == "unit" else ""
            events.append(ReadingUnit(number, (), text, "es", at, at, at, "es", "en"))
            waiting += [number] if text else []
            number += 1
        elif step == "draft":
            events.append(Draft(draw(st.sampled_from(["", "perhaps"])), "es"))
        elif waiting and step == "skip":
            events.append(Skipped(waiting[0], waiting[-1], "too late"))
            waiting = []
        elif waiting:
            group = waiting[: draw(st.integers(1, 2))]
            waiting = waiting[len(group) :]
            events += [Lag(unit, at, 1.0, 0.0, 1.0, group[0]) for unit in group]
            sound = np.full(4000, 0.1, np.float32)
            events.append(SpeechChunk(group[0], sound, 16_000, last=step == "speak", start=at))
            if step == "cut":
                events.append(Skipped(group[0], group[-1], "skipped to live"))
    return events, draw(st.integers(0, 5))


@pytest.mark.parametrize("model", [NEW, OLD])
@given(course=courses(), spoken=st.booleans(), written=st.booleans(), transcribed=st.booleans())
def test_any_course_of_a_session_is_a_stream_in_order_and_no_text_is_lost(model, course, spoken, written, transcribed):
    events, first_unit = course
    dialect = DashScope(model, "es")
    modalities = ["text"] if written else ["text", "audio"]
    transcription = {"model": "m"} if transcribed else {"model": None}
    dialect.asked = update(dialect, modalities=modalities, input_audio_transcription=transcription).asked
    offset = Offset(5000, first_unit, "es", spoken=spoken and not written)
    sent = [dialect.created()]
    sent += [text for event in events for text, _ in dialect.encode(event, offset)]
    sent += dialect.closed()
    stream = [json.loads(text) for text in sent]
    texts, told, speech = check(stream, nested=model == NEW)
    units = [event.text.strip() for event in events if isinstance(event, ReadingUnit) and event.text]
    assert [text for text in texts if text] == units
    heard = "".join(word.text for event in events if isinstance(event, Transcript) for word in event.committed)
    assert " ".join(told).split() == (heard.split() if transcribed or model == NEW else [])
    assert not speech or offset.spoken
    if not offset.spoken:
        done = {one["response"]["id"] for one in stream if one["type"] == "response.done"}
        assert len(done) == len({one["response"]["id"] for one in stream if one["type"] == "response.created"})


def test_the_speaker_and_a_failure_are_told():
    dialect = DashScope(NEW, "es")
    heard = Transcript((Word(" hi", 0, 0.3, 1.0, "S1"),), (), "en", 1.0, 0.0, ended=False)
    at = Offset(target="es")
    assert [json.loads(text)["speaker"] for text, _ in dialect.encode(heard, at) if b"delta" in text] == ["S1"]
    failed, error = (json.loads(text) for text, _ in dialect.encode(Fault("recognize", "it broke", fatal=True), at))
    assert failed["type"] == "conversation.item.input_audio_transcription.failed"
    assert error["error"]["type"] == "server_error"


# ------------------------------------------------------------- whole conversations, in virtual time

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("talk"), st.floats(0.2, 3.0)),
        st.tuples(st.just("language"), st.sampled_from(["es", "ca", "xx"])),
        st.tuples(st.just("modalities"), st.sampled_from([["text"], ["text", "audio"], ["audio"]])),
        st.tuples(st.just("rate"), st.sampled_from([8000, 16_000, 48_000])),
        st.tuples(st.just("image"), st.none()),
        st.tuples(st.just("event"), st.sampled_from(TAGS[4:])),
        st.tuples(st.just("garbage"), st.text(max_size=20) | st.binary(max_size=20)),
        st.tuples(st.just("finish"), st.none()),
        st.tuples(st.just("vanish"), st.none()),
    ),
    max_size=10,
)


class Caller(Socket):
    """A client of this protocol."""

    rate = 16_000

    def say(self, seconds: float) -> None:
        self.send("input_audio_buffer.append", audio=base64.b64encode(tone(seconds, self.rate)).decode())


async def take(socket: Caller, step: str, value) -> None:
    match step:
        case "talk":
            await socket.talk(value)
        case "language":
            socket.send("session.update", session={"translation": {"language": value}})
        case "modalities":
            socket.send("session.update", session={"modalities": value})
        case "rate":
            socket.rate = value
            socket.send("session.update", session={"sample_rate": value})
        case "image":
            socket.send("input_image_buffer.append", image=base64.b64encode(JPEG).decode())
        case "event":
            socket.send(value, event_id="mine")
        case "garbage":
            socket.incoming.put_nowait(
                {"type": "websocket.receive", "bytes" if isinstance(value, bytes) else "text": value}
            )
        case "finish":
            socket.send("session.finish")
        case "vanish":
            socket.vanish()


async def converse(model: str, steps) -> tuple[Caller, object, object]:
    async with Engine.load(scripted_profile(SLIDES)) as engine:
        service = make_service(engine, limits=Limits(mistakes=100))
        async with connected(service, Caller(), DashScope(model, "es")) as socket:
            for step, value in steps:
                if socket.serving.done():
                    break
                await take(socket, step, value)
            socket.send("session.finish")
        return socket, service, [await engine.model(stage) for stage in ("recognizer", "synthesizer")]


@pytest.mark.parametrize("model", [NEW, OLD])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=STEPS)
def test_any_conversation_ends_once_and_leaves_nothing_behind(model, steps):
    socket, service, models = run_on("exact", converse(model, steps))
    assert [model.opened for model in models] == [model.closed for model in models]
    assert not service.connections
    asked = [step for step, _ in steps]
    if "vanish" not in asked:
        check(socket.sent, nested=model == NEW)
        assert socket.closed == (1000, "")
        assert not [note for note in socket.of("translate_live.note") if "no vision" in note["message"]]


@pytest.mark.looptime(noop_cycles=2)
@pytest.mark.parametrize(("may_clone", "consent", "error"), [(False, True, True), (True, False, True), (True, True, False)])
async def test_a_voice_is_cloned_by_a_key_that_may_with_consent_only(may_clone: bool, consent: bool, error: bool):
    async with Engine.load(scripted_profile()) as engine:
        key = Key("test", may_clone=may_clone, consented=consent)
        dialect = DashScope(NEW, "es", consent=key.consented)
        async with connected(make_service(engine), Caller(), dialect, key) as socket:
            socket.send("session.update", session={"enable_voice_clone": True}, event_id="mine")
            await socket.talk(4)
            socket.send("session.finish")
    assert [one["error"]["param"] for one in socket.of("error")] == ["session.enable_voice_clone"] * error
    assert all(one["error"]["event_id"] == "mine" for one in socket.of("error"))
    assert check(socket.sent, nested=True)[2]


@pytest.mark.looptime(noop_cycles=2)
@pytest.mark.parametrize("first", [True, False])
async def test_images_are_read_from_the_first_on_and_no_word_is_lost(first: bool):
    Slides.shown.clear()
    good, bad = JPEG + b"a slide", JPEG + bytes(9)
    async with Engine.load(scripted_profile(SLIDES)) as engine:
        service = make_service(engine)
        async with connected(service, Caller(), DashScope(NEW, "es")) as socket:
            for number in range(4):
                await socket.talk(0.0 if first and not number else 2.0)
                image = base64.b64encode(good if number < 3 else bad).decode()
                socket.send("input_image_buffer.append", image=image)
            await socket.talk(2)
            socket.send("session.finish")
    assert set(Slides.shown) == {good, bad}
    texts, told, _ = check(socket.sent, nested=True)
    spoken_s = 8.0 if first else 10.0
    assert len(" ".join(told).split()) == len(" ".join(texts).split()) == round(spoken_s / 0.4)
    notes = [(note["param"], note["message"]) for note in socket.of("translate_live.note")]
    assert notes == [("image", "that is no picture")]


@pytest.mark.looptime(noop_cycles=2)
async def test_without_a_reader_the_answer_says_so_once():
    async with (
        Engine.load(scripted_profile(SLIDES, "reader.lacks=files")) as engine,
        connected(make_service(engine), Caller(), DashScope(OLD, "es")) as socket,
    ):
        for _ in range(3):
            await socket.talk(0.4)
            socket.send("input_image_buffer.append", image=base64.b64encode(JPEG).decode())
        socket.send("session.finish")
    assert ["no vision" in note["message"] for note in socket.of("translate_live.note")] == [True]


@pytest.mark.looptime(noop_cycles=2)
async def test_a_client_that_does_not_read_is_let_go():
    async with Engine.load(scripted_profile()) as engine:
        service = make_service(engine)
        async with connected(service, Caller(reads=False), DashScope(OLD, "es")) as socket:
            for _ in range(300):
                await socket.talk(0.2)
                if socket.serving.done():
                    break
        assert socket.serving.done()
    assert socket.closed is None  # nobody would read it
    assert not service.connections


def test_the_documentation_names_every_event_and_setting():
    text = (Path(__file__).parents[2] / "docs" / "dashscope.md").read_text()
    for name in (*TAGS, *SessionFields.__struct_fields__, "session.created", "session.updated", "session.finished"):
        assert f"`{name}`" in text or f"`{name}:" in text or f"`{name}." in text, name
