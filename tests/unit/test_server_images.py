"""Pictures beside the audio of a client: they are read from the first on, and no word waits for them or is lost."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from contextlib import nullcontext

import pytest
from PIL import Image as Picture

from benchmarks.serve_rooms import NUMBERS
from models.vision.worker import decoded
from pipeline.engine import Engine
from pipeline.profiles.profile import load_profile
from pipeline.server.asked import Asked, Image, Rejected
from pipeline.server.dialects.codec import JPEG
from pipeline.server.dialects.openai import OpenAI
from pipeline.stages.see import Watching
from pipeline.vision import LARGEST_JPEG
from tests.scripted_backends import Slides
from tests.serving import make_service, scripted_profile
from tests.unit.test_server_connection import EXTENDED, Socket, connected, words
from tests.unit.test_server_rooms import Hall, leave

SLIDES = "reader.use=tests.scripted_backends:Slides"
SLIDE = JPEG + b"a slide"


def show(socket: Socket, jpeg: bytes = SLIDE) -> None:
    socket.send("translate_live.image", image=base64.b64encode(jpeg).decode())


def read(image: str, *, extensions: bool = True):
    message = json.dumps({"type": "translate_live.image", "image": image})
    return OpenAI("local", Asked("es", extensions=extensions)).decode(message)


def jpeg_of(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Picture.new("L", (width, height)).save(file, "JPEG", quality=1, optimize=True)
    return file.getvalue()


def test_a_picture_is_a_jpeg_of_bounded_size_from_who_asked_for_the_extension():
    assert read(base64.b64encode(SLIDE).decode()) == Image(SLIDE)
    largest = JPEG + bytes(LARGEST_JPEG - len(JPEG))
    assert read(base64.b64encode(largest).decode()) == Image(largest)
    assert read("") == Image(b"")  # no more is shown
    for image, said in (
        ("%", "no base64"),
        (base64.b64encode(b"GIF89a").decode(), "a JPEG of at most 500 kB"),
        (base64.b64encode(largest + b"\0").decode(), "this has 500001 bytes"),
    ):
        with pytest.raises(Rejected, match=said) as refused:
            read(image)
        assert refused.value.param == "image"
    with pytest.raises(Rejected, match=r"session\.translate_live\.extensions"):
        read(base64.b64encode(SLIDE).decode(), extensions=False)


@pytest.mark.looptime(noop_cycles=2)
@pytest.mark.parametrize("first", [True, False])
async def test_names_are_told_and_no_other_session_has_to_follow(first: bool):
    Slides.shown.clear()
    async with Engine.load(scripted_profile(SLIDES)) as engine:
        recognizer = await engine.model("recognizer")
        async with connected(make_service(engine)) as socket:
            socket.send("session.update", session=EXTENDED)
            for number in range(4):
                await socket.talk(0.0 if first and not number else 2.0)
                show(socket, JPEG + b"%d" % number)
            await socket.talk(2)
            socket.send("session.close")
        assert recognizer.opened == 1
    assert len(socket.text().split()) == (20 if first else 25)
    assert set(Slides.shown) == {JPEG + b"%d" % number for number in range(4)}
    seen = socket.of("translate_live.seen")
    assert {name for event in seen for name in event["names"]} == {"Emma"}
    moments = [event["at_ms"] for event in seen]
    assert moments == sorted(moments)
    assert moments[-1] == pytest.approx(6000 if first else 8000, abs=600)
    assert not socket.errors()


@pytest.mark.looptime(noop_cycles=2)
async def test_of_many_pictures_the_newest_is_read_twice_a_second_at_most():
    Slides.shown.clear()
    async with Engine.load(scripted_profile(SLIDES)) as engine, connected(make_service(engine)) as socket:
        socket.send("session.update", session=EXTENDED)
        for number in range(45):  # 9 a second: below what ends a connection
            await socket.talk(0.2 if number % 2 else 0.0)
            show(socket, JPEG + b"%d" % number)
        await socket.talk(2)
        socket.send("session.close")
    assert 8 <= len(Slides.shown) <= 13
    assert Slides.shown[-1] == JPEG + b"44"
    assert len(socket.text().split()) == round((22 * 0.2 + 2) / 0.4)


@pytest.mark.looptime(noop_cycles=2)
@pytest.mark.parametrize("keep", [True, False])
async def test_names_are_kept_as_they_are_written_where_the_client_asks_for_it(keep: bool, monkeypatch):
    watched = []

    async def session(self, request, clock, make=Engine.session):
        watched.append(request.request.watching)
        return await make(self, request, clock)

    monkeypatch.setattr(Engine, "session", session)
    async with Engine.load(scripted_profile(SLIDES)) as engine, connected(make_service(engine)) as socket:
        socket.send("session.update", session={"translate_live": {"extensions": True, "keep_seen": keep}})
        await socket.talk(1)
        socket.send("session.close")
    assert watched == [Watching(keep=keep)]


def change(socket: Socket, target: str) -> None:
    """Change wishes such that another session has to follow."""
    socket.send("session.update", session={"audio": {"output": {"language": target}}})


@pytest.mark.looptime(noop_cycles=2)
async def test_a_picture_that_was_read_is_not_read_again_by_the_sessions_that_follow():
    Slides.shown.clear()
    async with Engine.load(scripted_profile(SLIDES)) as engine:
        recognizer = await engine.model("recognizer")
        async with connected(make_service(engine)) as socket:
            socket.send("session.update", session=EXTENDED)
            await socket.talk(1)
            show(socket)
            await socket.talk(4)
            for target in ("ca", "es"):
                change(socket, target)
                await socket.talk(3)
            socket.send("session.close")
        assert recognizer.opened == 3
    assert Slides.shown == [SLIDE]
    assert len(socket.of("translate_live.seen")) == 1
    assert not socket.errors()


@pytest.mark.looptime(noop_cycles=2)
async def test_a_picture_that_a_session_ends_before_it_is_read_is_read_by_the_next():
    Slides.shown.clear()
    async with Engine.load(scripted_profile(SLIDES)) as engine:
        await engine.model("reader")
        async with connected(make_service(engine)) as socket:
            socket.send("session.update", session=EXTENDED)
            await socket.talk(2)
            show(socket, JPEG + b"first")
            await asyncio.sleep(0.1)  # and half a second later the next may be read
            show(socket, JPEG + b"second")
            await asyncio.sleep(0.1)
            change(socket, "ca")
            await socket.talk(3)
            socket.send("session.close")
    assert Slides.shown == [JPEG + b"first", JPEG + b"second"]


@pytest.mark.looptime(noop_cycles=2)
@pytest.mark.parametrize("waits", ["audio", "reader", "turn"])
async def test_a_picture_that_is_shown_no_more_is_not_read(waits: str):
    Slides.shown.clear()
    loads_s = 5.0 if waits == "reader" else 0.0
    async with Engine.load(scripted_profile(SLIDES, f"reader.loads_s={loads_s}")) as engine:
        if waits != "reader":
            await engine.model("reader")
        async with connected(make_service(engine)) as socket:
            socket.send("session.update", session=EXTENDED)
            if waits != "audio":
                await socket.talk(1)
            if waits == "turn":
                show(socket, JPEG + b"another")
                await asyncio.sleep(0.1)
            show(socket)
            await asyncio.sleep(0.1)
            show(socket, b"")
            await socket.talk(8)
            assert Slides.shown == ([JPEG + b"another"] if waits == "turn" else [])
            show(socket)
            await socket.talk(2)
            socket.send("session.close")
    assert Slides.shown[-1] == SLIDE
    assert not socket.errors()


@pytest.mark.looptime(noop_cycles=2)
async def test_a_client_that_resumes_shows_its_picture_before_the_audio_that_it_sends_again():
    Slides.shown.clear()
    async with Engine.load(scripted_profile(SLIDES)) as engine:
        recognizer = await engine.model("recognizer")
        await engine.model("reader")
        async with connected(make_service(engine)) as socket:
            again = {"translate_live": {"extensions": True, "start_ms": 60_000, "first_unit": 7}}
            socket.send("session.update", session=again)
            show(socket)
            for _ in range(10):
                socket.say(0.8)
            await socket.talk(2)
            socket.send("session.close")
        assert recognizer.opened == 1
    assert socket.text().split() == words(25)
    assert [unit["unit"] for unit in socket.of("translate_live.unit")][0] == 7
    assert [event["at_ms"] >= 60_000 for event in socket.of("translate_live.seen")] == [True]


@pytest.mark.looptime(noop_cycles=2)
async def test_no_audio_waits_for_a_reader_that_is_being_loaded():
    Slides.shown.clear()
    async with (
        Engine.load(scripted_profile(SLIDES, "reader.loads_s=60.0")) as engine,
        connected(make_service(engine)) as socket,
    ):
        socket.send("session.update", session=EXTENDED)
        show(socket)
        await socket.talk(10)
        assert len(socket.text().split()) >= 20
        assert not Slides.shown
        await socket.talk(60)
        socket.send("session.close")
    assert Slides.shown
    assert len(socket.text().split()) == 175


@pytest.mark.looptime(noop_cycles=2)
@pytest.mark.parametrize(("lacking", "said"), [("lacks=files", "no vision here:"), ("broken=true", "cannot be started")])
async def test_where_nothing_reads_pictures_that_is_told_once_and_the_talk_goes_on(lacking: str, said: str):
    async with Engine.load(scripted_profile(SLIDES, f"reader.{lacking}")) as engine:
        service = make_service(engine)
        assert service.sees == (lacking == "broken=true")
        async with connected(service) as socket:
            socket.send("session.update", session=EXTENDED)
            for _ in range(5):  # more than the mistakes that are forgiven before any audio
                show(socket)
            await socket.talk(4)
            show(socket)
            socket.send("session.close")
    assert [said in note["message"] for note in socket.of("translate_live.note")] == [True]
    assert [note["param"] for note in socket.of("translate_live.note")] == ["image"]
    assert socket.text().split() == words(10)
    assert socket.closed == (1000, "")


@pytest.mark.looptime(noop_cycles=2)
async def test_a_reader_that_could_not_be_started_is_tried_again_for_who_shows_pictures_anew(monkeypatch):
    Slides.shown.clear()
    broken = scripted_profile(SLIDES, "reader.broken=true")
    async with Engine.load(broken) as engine, connected(make_service(engine)) as socket:
        socket.send("session.update", session=EXTENDED)
        for _ in range(2):
            for _ in range(3):
                show(socket)
                await socket.talk(1)
            show(socket, b"")
        assert [note["param"] for note in socket.of("translate_live.note")] == ["image", "image"]
        monkeypatch.setattr(Slides, "load", lambda _: nullcontext(Slides()))
        show(socket)
        await socket.talk(1)
        socket.send("session.close")
    assert Slides.shown == [SLIDE]
    assert len(socket.of("translate_live.note")) == 2


@pytest.mark.looptime(noop_cycles=2)
async def test_a_picture_that_is_broken_or_too_large_is_told_and_the_next_is_read(monkeypatch):
    async def look(self, picture, looked, languages, read=Slides.read):
        decoded(picture)
        return await read(self, picture, looked, languages)

    monkeypatch.setattr(Slides, "read", look)
    async with Engine.load(scripted_profile(SLIDES)) as engine, connected(make_service(engine)) as socket:
        socket.send("session.update", session=EXTENDED)
        for jpeg in (SLIDE, jpeg_of(8000, 6000), SLIDE, jpeg_of(640, 360)):
            show(socket, jpeg)
            await socket.talk(2)
        socket.send("session.close")
    faults = [(fault["stage"], fault["message"]) for fault in socket.of("translate_live.fault")]
    assert [stage for stage, _ in faults] == ["see", "see"]
    assert "no whole picture" in faults[0][1]
    assert "8000 x 6000 is too large; valid: up to 40 megapixels" in faults[1][1]
    assert [event["names"] for event in socket.of("translate_live.seen")] == [["Emma"]]
    assert len(socket.text().split()) == 20


@pytest.mark.looptime(noop_cycles=2)
async def test_in_a_room_names_are_told_to_who_shows_them_alone():
    async with Engine.load(load_profile("cpu", None, [*NUMBERS, SLIDES])) as engine, asyncio.TaskGroup() as tasks:
        here = Hall(make_service(engine), tasks)
        ana, bob = await here.join("r", "Ana", "en"), await here.join("r", "Bob", "es")
        await ana.count(0, 4)
        show(ana)
        await ana.count(4, 6)
        await leave(ana)
        await leave(bob)
    assert [event["participant"] for event in ana.of("translate_live.seen")] == ["Ana"]
    assert not bob.of("translate_live.seen")
    assert bob.heard("Ana") == list(range(10))
