"""OpenAI's protocol: bytes become an event or a typed error, and every message is one that the SDKs take."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.inspect import type_info

from pipeline.events import (
    AudioChunk,
    Busy,
    Draft,
    Fault,
    Gap,
    Lag,
    LanguageChanged,
    ReadingUnit,
    Seen,
    Skipped,
    SpeakerFound,
    SpeechChunk,
    Transcript,
    Word,
)
from pipeline.server.asked import Asked, Audio, Change, ClientEvent, ControlRequest, Finish, Note, Offset, Ping, Rejected
from pipeline.server.dialects import codec
from pipeline.server.dialects.codec import HZ, error_object
from pipeline.server.dialects.openai import OpenAI
from pipeline.server.dialects.openai_events import TAGS, Ours

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
TYPES = st.sampled_from(
    [
        "session.update",
        "session.input_audio_buffer.append",
        "session.close",
        "translate_live.control",
        "translate_live.image",
        "translate_live.ping",
    ]
)
NAMES = st.sampled_from(
    ["session", "audio", "event_id", "action", "translate_live", "input", "output", "language", "glossary", "targets"]
)
NEARLY = st.builds(lambda kind, rest: {**rest, "type": kind}, TYPES, st.dictionaries(NAMES, JSON, max_size=4))
EVENTS = [
    AudioChunk(np.zeros(10, np.float32), 16_000, 0.0),
    Transcript((Word(" Hello", 0.0, 0.5, 1.0),), (Word(" there", 0.5, 0.9, 0.5),), "en", 1.0, 0.0, ended=False),
    ReadingUnit(0, (Word(" Hello", 0.0, 0.5, 1.0),), "Hola", "es", 0.0, 0.5, 1.0, "es", "en"),
    ReadingUnit(0, (Word(" Hello", 0.0, 0.5, 1.0),), "Salut", "fr", 0.0, 0.5, 1.0, "fr", "en"),
    Draft("allí", "es"),
    SpeechChunk(0, np.full(4000, 0.1, np.float32), 16_000, last=True, start=1.23),
    SpeechChunk(0, np.full(4000, 0.1, np.float32), 16_000, last=True, start=1.23, target="fr"),
    Busy("translate", 0.1),
    Lag(0, 1.0, 0.5, 0.2, 1.1, 0),
    Gap(1.0, 2.0, "nothing came"),
    Skipped(0, 1, "too late"),
    LanguageChanged("de", 3.0),
    SpeakerFound("Ana", 3.0),
    Seen(("Emma",), 3.0),
    Fault("translate", "once", fatal=False),
    Fault("translate", "for good", fatal=True),
]
AT = Offset(0, 0, "es")
ASKED = Asked("es")


def make(**asked) -> OpenAI:
    return OpenAI("local", Asked("es", **asked))


def messages(dialect: OpenAI, events=EVENTS, offset: Offset = AT) -> list[dict]:
    return [json.loads(text) for event in events for text, _ in dialect.encode(event, offset)]


@given(st.one_of(JSON, NEARLY).map(json.dumps) | st.text())
def test_any_message_is_an_event_or_a_typed_error(text: str):
    dialect = make()
    try:
        event = dialect.decode(text)
    except Rejected as error:
        assert error.code in {"invalid_event", "invalid_audio", "invalid_language"}  # noqa: PT017 - either is right
        json.dumps(error_object(error))
        return
    assert isinstance(event, get_args(ClientEvent))


@given(st.binary(max_size=200))
def test_audio_is_whole_samples_or_an_error(pcm: bytes):
    text = json.dumps({"type": "session.input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})
    if pcm and len(pcm) % 2 == 0:
        assert make().decode(text) == Audio(pcm)
    else:
        with pytest.raises(Rejected, match="are no 16-bit samples"):
            make().decode(text)


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ({"type": "session.close"}, Finish()),
        ({"type": "translate_live.ping"}, Ping()),
        ({"type": "translate_live.control", "action": "pause"}, ControlRequest("pause")),
        ({"type": "session.update", "session": {}}, Change(ASKED)),
        (
            {"type": "session.update", "session": {"audio": {"output": {"language": "fr"}}}},
            Change(replace(ASKED, target="fr")),
        ),
    ],
)
def test_each_event_is_read(message: dict, event: ClientEvent):
    assert OpenAI("local", ASKED).decode(json.dumps(message)) == event


def test_what_an_update_omits_stays_and_null_turns_it_off():
    dialect = make()
    given_ = {"input": {"transcription": {"model": "w"}, "noise_reduction": {"type": "near_field", "strength": 0.5}}}
    for audio, transcription, noise in [
        (given_, "w", {"type": "near_field", "strength": 0.5}),
        ({"output": {"language": "fr"}}, "w", {"type": "near_field", "strength": 0.5}),
        ({"input": {"noise_reduction": {"type": "far_field"}}}, "w", {"type": "far_field", "strength": 0.5}),
        ({"input": {"transcription": None}}, None, {"type": "far_field", "strength": 0.5}),
        ({"input": {"noise_reduction": None}}, None, None),
    ]:
        event = dialect.decode(json.dumps({"type": "session.update", "session": {"audio": audio}}))
        dialect.asked = event.asked
        assert (event.asked.transcription, event.asked.noise_reduction) == (transcription, noise)
    assert dialect.asked.target == "fr"


@pytest.mark.parametrize(("field", "value"), [("model", "other"), ("type", "realtime")])
def test_model_and_type_cannot_be_changed(field: str, value: str):
    with pytest.raises(Rejected) as refused:
        make().decode(json.dumps({"type": "session.update", "session": {field: value}}))
    assert refused.value.param == f"session.{field}"


@pytest.mark.parametrize(
    ("message", "param", "told"),
    [
        (
            {"session": {"audio": {"input": {"noise_reduction": {"type": "near-field"}}}}},
            "session.audio.input.noise_reduction.type",
            "'near-field'; did you mean 'near_field'? valid: far_field, near_field",
        ),
        (
            {"session": {"audio": {"input": {"noise_reduction": {"type": "x" * 100_000}}}}},
            "session.audio.input.noise_reduction.type",
            "…; valid: far_field, near_field",
        ),
        (
            {"session": {"translate_live": {"same_language": "loud"}}},
            "session.translate_live.same_language",
            "'loud'; valid: captions, mute, speak",
        ),
        (
            {"session": {"translate_live": {"speakers": 0}}},
            "session.translate_live.speakers",
            "; valid: 1 to 100, auto, off",
        ),
        (
            {"type": "translate_live.control", "action": "rest"},
            "action",
            "'rest'; did you mean 'resume'? valid: mute, pause, resume, skip_to_live, unmute",
        ),
    ],
    ids=["openai", "openai long", "own", "own number", "own control"],
)
def test_a_value_that_is_none_of_an_enumeration_is_answered_with_those_that_are(message: dict, param: str, told: str):
    with pytest.raises(Rejected) as refused:
        make().decode(json.dumps({"type": "session.update", **message}))
    assert refused.value.param == param
    assert refused.value.message.endswith(told)
    assert len(refused.value.message) < 200


def test_wrong_messages_however_many_cost_one_look_at_what_is_valid(monkeypatch):
    looks = []
    monkeypatch.setattr(codec, "type_info", lambda kind: looks.append(kind) or type_info(kind))
    codec._schema.cache_clear()
    for _ in range(3):
        for message in ({"type": "nothing"}, {"type": "translate_live.control", "action": "rest"}):
            with pytest.raises(Rejected):
                make().decode(json.dumps(message))
    assert len(looks) == 1


def test_the_extension_says_more_and_is_read_whole():
    session = {"translate_live": {
        "extensions": True, "source": "en, es", "targets": ["es", "fr"], "speak": False, "voice": "same", "consent": True,
        "glossary": [{"source": "kernel", "targets": ["núcleo"], "mode": "hard"}], "same_language": "mute",
        "start_ms": 4200, "first_unit": 7, "resume": "rs_x", "speakers": 3, "speaker_names": {"1": "Ana"},
        "keep_seen": True,
    }}  # fmt: skip
    asked = make().decode(json.dumps({"type": "session.update", "session": session})).asked
    assert (asked.target, asked.further, asked.sources, asked.speak) == ("es", ("fr",), ("en", "es"), False)
    assert (asked.voice, asked.consent, asked.same_language) == ("same", True, "mute")
    assert (asked.start_ms, asked.first_unit) == (4200, 7)
    assert asked.keep_seen
    speakers = asked.request(()).speakers
    assert (speakers.most, speakers.names, speakers.enrolled) == (3, {"1": "Ana"}, False)
    assert make().asked.request(()).speakers is None
    assert asked.glossary.terms("en", "es")[0].targets == ("núcleo",)


def test_what_is_silent_for_now_needs_no_other_session():
    dialect, fields = make(), {"targets": ["es", "fr"], "spoken": ["es", "fr"]}
    sessions = [{"translate_live": {**fields, "silent": silent}} for silent in (["fr"], ["es"], [])]
    asked = [dialect.decode(json.dumps({"type": "session.update", "session": one})).asked for one in sessions]
    assert [one.silent for one in asked] == [("fr",), ("es",), ()]
    assert asked[0].session() == asked[1].session() == asked[2].session()


@pytest.mark.parametrize(
    "row",
    [{"source": "", "targets": ["x"]}, {"source": "a", "targets": []}, {"source": "a", "targets": ["b"], "mode": "x"}],
)
def test_a_glossary_that_cannot_be_used_is_told(row: dict):
    with pytest.raises(Rejected) as refused:
        make().decode(json.dumps({"type": "session.update", "session": {"translate_live": {"glossary": [row]}}}))
    assert refused.value.param == "session.translate_live.glossary"


def test_no_message_of_ours_reaches_a_client_that_did_not_ask():
    assert not [sent for sent in messages(make(transcription="w")) if sent["type"].startswith("translate_live")]
    assert not make().flushed()
    kinds = {sent["type"] for sent in messages(make(extensions=True))}
    ours = ["unit", "tail", "speech", "lag", "skipped", "gap", "language", "fault", "source", "seen"]
    assert {f"translate_live.{kind}" for kind in ours} < kinds


def test_every_message_is_one_that_the_sdk_validates():
    models = pytest.importorskip("openai.types.realtime")
    from pydantic import TypeAdapter

    adapter = TypeAdapter(models.RealtimeTranslationServerEvent)
    dialect = make(transcription="w", extensions=False)
    sent = [json.loads(text) for text in (dialect.created(), dialect.updated(), *dialect.closed())]
    sent += [json.loads(dialect.failed(Rejected("invalid_event", "no"))), *messages(dialect)]
    for message in sent:
        adapter.validate_python(message)
    # the npm package drops what these rules refuse
    assert all(isinstance(message["event_id"], str) for message in sent)
    assert len({message["event_id"] for message in sent}) == len(sent)
    for message in sent[:2]:
        session = message["session"]
        assert isinstance(session["audio"]["output"]["language"], str)
        assert {"id", "model", "type", "expires_at", "audio"} <= session.keys()


def test_speech_is_24_khz_whatever_its_own_rate_and_units_do_not_run_into_each_other():
    samples = np.sin(np.arange(22_050) / 10).astype(np.float32)
    cut = [SpeechChunk(0, part, 22_050, last=number == 2) for number, part in enumerate(np.split(samples, [5000, 5001]))]
    pcm = b"".join(base64.b64decode(message["delta"]) for message in messages(make(), [*cut, *cut]))
    assert len(pcm) == 2 * 2 * HZ
    halves = np.split(np.frombuffer(pcm, "<i2"), 2)
    np.testing.assert_array_equal(halves[0], halves[1])


def test_texts_grow_with_spaces_of_their_own_also_after_a_resume():
    def unit(number: int, text: str, language: str = "es") -> ReadingUnit:
        return ReadingUnit(number, (), text, language, 0.0, 0.5, 1.0, language)

    units = [unit(0, " Hola,"), unit(1, " mundo."), unit(2, "Adiós.")]
    assert "".join(sent["delta"] for sent in messages(make(), units)) == "Hola, mundo. Adiós."
    resumed = messages(make(extensions=True), units[2:], Offset(5000, 3, "es"))
    assert resumed[0]["delta"] == " Adiós."
    assert (resumed[1]["unit"], resumed[1]["start_ms"], resumed[1]["end_ms"]) == (5, 5000, 5500)
    chinese = [unit(0, "你好。", "zh"), unit(1, "再见。", "zh")]
    assert (
        "".join(sent["delta"] for sent in messages(OpenAI("m", Asked("zh")), chinese, Offset(target="zh")))
        == "你好。再见。"
    )


def test_the_documentation_names_every_event_code_and_field():
    text = (Path(__file__).parents[2] / "docs" / "server.md").read_text()
    dialect = make(transcription="w", extensions=True)
    sent = [*messages(dialect), *map(json.loads, dialect.noted(Note("no voice")))]
    for message in sent:
        assert f"`{message['type']}`" in text
        if message["type"].startswith("translate_live."):
            row = next(line for line in text.splitlines() if line.startswith(f"| `{message['type']}`"))
            assert all(f"`{name}`" in row for name in message.keys() - {"type", "event_id"}), row
    for name in (*TAGS, *Ours.__struct_fields__, "invalid_event", "invalid_audio", "invalid_language", "idle", "expired"):
        assert f"`{name}`" in text or f'"{name}"' in text or f"{name}=" in text, name


def test_who_speaks_is_said_with_units_and_words_if_it_is_known():
    words = (Word(" Hello", 0.0, 0.4, 1.0, "Ana"), Word(" there", 0.4, 0.8, 1.0, "Bob"))
    heard = Transcript(words, (), "en", 1.0, 0.0, ended=True)
    unit = ReadingUnit(0, words[:1], "Hola", "es", 0.0, 0.4, 1.0, target="es", speaker="Ana")
    sent = messages(make(extensions=True), [SpeakerFound("Ana", 0.5), heard, unit])
    ours = [one for one in sent if one["type"].startswith("translate_live.")]
    assert [one.get("speaker") for one in ours] == ["Ana", "Ana", "Bob", "Ana"]
    sources = [one for one in ours if one["type"] == "translate_live.source"]
    assert [(one["text"], one["ended"]) for one in sources] == [(" Hello", False), (" there", True)]
    nobody = messages(
        make(extensions=True), [replace(unit, speaker=""), Transcript((), (words[0],), "en", 1.0, 0.0, False)]
    )
    assert not any("speaker" in one for one in nobody)
