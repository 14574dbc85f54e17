"""Eyes of a session: names on slides are expected, and nothing that is seen harms what is heard."""

import asyncio
import io
import json
import sys
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from benchmarks.film_made import FRAMES_A_S, bars, make_film
from models.asr.whisper.prompt_terms import VOCABULARY_TOKENS, PromptTerms
from models.vision.rapid_ocr import OcrProcess, RapidOcr
from models.vision.worker import decoded, is_ordinary, names_in, serve
from pipeline.cli import main
from pipeline.clock import LoopClock
from pipeline.engine import Engine
from pipeline.errors import BadInput, DeviceError, ModelError
from pipeline.events import AudioChunk, Fault, Seen, Transcript
from pipeline.hints import Hints
from pipeline.policies.unit_policy import UnitSettings
from pipeline.request import SessionRequest
from pipeline.session import Models, Session, SessionOptions
from pipeline.sinks.delivery import SinkQueue
from pipeline.sources.frames import FilmFrames, check_screen, place_of, region_of
from pipeline.stages.see import FAILURES_ALLOWED, Eyes, Watching
from pipeline.vision import Frame, Page, alike, looks
from tests.scripted import Keep, Talk
from tests.scripted import Models as Scripted
from tests.scripted_backends import Slides
from tests.serving import scripted_profile

FONT = Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"
WORDS = {"the", "new", "is", "called", "speaker", "scheduler", "for", "our", "billing", "and", "of", "parser", "don", "t"}


class Reader:
    """A scripted reader: the name on a picture is its bytes; it may take its time, or fail."""

    def __init__(self, takes_s: float = 0.0, error: Exception | None = None) -> None:
        self.takes_s, self.error = takes_s, error
        self.read_: list[bytes] = []

    async def read(self, picture, looked, languages) -> Page:
        self.read_.append(picture)
        await asyncio.sleep(self.takes_s)
        if self.error is not None:
            raise self.error
        return Page(None, None, looked) if picture == looked else Page((), (picture.decode(),), picture)


class Film:
    """Frames beside a talk, which may end in an error."""

    def __init__(self, *frames: Frame, error: Exception | None = None) -> None:
        self._frames, self._error = frames, error

    async def __aiter__(self):
        for frame in self._frames:
            yield frame
        if self._error is not None:
            raise self._error


class Flood:
    """A live source that shows a picture whenever it gets a turn."""

    async def __aiter__(self):
        for number in range(1_000_000):
            await asyncio.sleep(0.001)
            yield Frame(b"slide %d" % number)


def slide(*lines: str, size: int = 44, quality: int = 80, dark: bool = False) -> bytes:
    font = ImageFont.truetype(str(FONT), size)
    image = Image.new("RGB", (1280, 720), (24, 28, 40) if dark else (250, 250, 248))
    for number, line in enumerate(lines):
        ImageDraw.Draw(image).text((80, 90 + 140 * number), line, font=font, fill=(235,) * 3 if dark else (20, 20, 30))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def eyes(reader, told: list | None = None, **options):
    hints = Hints()
    tell = (told if told is not None else []).append
    return Eyes(reader, Watching(**options), hints, ("en",), clock=LoopClock(), tell=tell), hints


async def session(reader, watching, seconds: float = 10.0, live: bool = True) -> Keep:
    scripted, keep = Scripted(), Keep()
    settings = SessionOptions(("en",), ("es",), units=UnitSettings("pauses"), watching=watching)
    await Session(Models(scripted, scripted, None, None, reader), settings).run(Talk(seconds, live), [SinkQueue(keep)])
    return keep


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["Zelkova: a scheduler for our billing"], ("Zelkova",)),
        (["Speaker: Brynhilde Okonkwo", "The new parser"], ("Brynhilde Okonkwo",)),
        (["Quandrix billing, Kestrelbrook and GPT-4o"], ("Quandrix", "Kestrelbrook", "GPT-4o")),
        (["our kubectl 35 480"], ("kubectl",)),
        (["THE NEW PARSER", "don't"], ()),
        (["主讲人：欧阳思远", "コンピュータ"], ("欧阳思远", "コンピュータ")),
        (["Zelkova", "Zelkova"], ("Zelkova",)),
    ],
)
def test_names_are_what_is_written_as_one_and_no_ordinary_word(lines, names):
    lines = [line for line in lines if line]
    assert names_in([*lines, "a for of"], lambda word: word in {*WORDS, "a"}) == names


def test_a_page_gives_only_as_many_names_as_can_be_expected():
    assert (
        len(names_in((f"Xylo{chr(97 + n)}{chr(97 + m)}q" for n in range(20) for m in range(20)), WORDS.__contains__)) == 24
    )


def test_pictures_are_alike_but_for_noise():
    first = decoded(slide("Zelkova", "Okonkwo"))
    noise = np.random.default_rng(0).normal(0, 4, first.shape)
    noisy = np.clip(first + noise, 0, 255).astype(np.uint8)
    assert alike(looks(first), looks(noisy))
    assert alike(looks(first), looks(decoded(slide("Zelkova", "Okonkwo", quality=50))))
    assert not alike(looks(first), looks(decoded(slide("Zelkova", "Okonkwo", "Tessaly"))))
    assert not alike(b"", looks(first))
    assert len(looks(first[:9, :9])) == len(looks(first))


@pytest.mark.parametrize("size", [(30, 1920), (1080, 20), (17, 31), (1, 1)])
def test_a_small_picture_is_compared_too(size):
    picture = np.random.default_rng(0).integers(0, 200, (*size, 3), np.uint8)
    assert alike(looks(picture), looks(picture + np.uint8(3)))
    assert not alike(looks(picture), looks(picture + np.uint8(50)))


def test_large_pictures_are_made_smaller_and_what_is_none_is_refused():
    file = io.BytesIO()
    Image.new("RGB", (3872, 2592)).save(file, "JPEG")
    assert max(decoded(file.getvalue()).shape) <= 1920
    huge = io.BytesIO()
    Image.new("1", (9000, 9000)).save(huge, "PNG")
    for data, said in (
        (huge.getvalue(), "too large"),
        (b"", "no whole"),
        (b"GIF89a", "no whole"),
        (slide("x")[:2000], "no whole"),
    ):
        with pytest.raises(BadInput, match=said):
            decoded(data)


def test_the_process_answers_every_request_also_one_that_cannot_be_read():
    pytest.importorskip("wordfreq")

    def read(picture):
        if picture[0, 0, 0] == 7:
            raise RuntimeError("broke")
        return ["Brynhilde"]

    def request(data, shape=None):
        about = {"number": 5, "shape": shape, "size": len(data), "looked": "", "languages": ["xx"]}
        return json.dumps(about).encode() + b"\n" + data

    pixels = np.full((40, 40, 3), 7, np.uint8)
    pages = io.BytesIO()
    asked = [request(b"none"), request(pixels.tobytes(), pixels.shape), request(slide("x"))]
    serve(io.BytesIO(b"".join(asked)), pages, read)
    ready, refused, failed, page = map(json.loads, pages.getvalue().splitlines())
    assert [answer["number"] for answer in (ready, refused, failed, page)] == [0, 5, 5, 5]
    assert "no whole picture" in refused["refused"]
    assert "broke" in failed["failed"]
    assert (page["lines"], page["names"]) == (["Brynhilde"], ["Brynhilde"])


FAKE = """
import json, sys
print('{"number": 0}', flush=True)
while line := sys.stdin.buffer.readline():
    request = json.loads(line)
    data = sys.stdin.buffer.read(request["size"])
    if data == b"die": sys.exit(1)
    if data == b"hang": sys.stdin.buffer.read()
    page = {"number": request["number"], "looks": "", "lines": [data.decode()], "names": []}
    print(json.dumps(page), flush=True)
"""


def test_the_words_that_were_read_do_not_stay_for_ever(monkeypatch):
    monkeypatch.setitem(sys.modules, "wordfreq", SimpleNamespace(zipf_frequency=lambda word, language: 3.0))
    for number in range(20_000):
        assert is_ordinary(f"word{number}", ("en",))
    assert is_ordinary.cache_info().currsize < 20_000
    is_ordinary.cache_clear()


async def test_the_process_of_the_backend_reads_a_picture(tmp_path, monkeypatch):
    (tmp_path / "rapidocr.py").write_text(
        "from types import SimpleNamespace\n"
        "def RapidOCR(params):\n    return lambda *_, **__: SimpleNamespace(txts=['Zelkova'], scores=[0.9])\n"
    )
    (tmp_path / "wordfreq.py").write_text("def zipf_frequency(word, language):\n    return 0.0\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    async with RapidOcr().load() as reader:
        page = await reader.read(np.zeros((90, 160, 3), np.uint8), b"", ["en"])
    assert (page.lines, page.names) == (("Zelkova",), ("Zelkova",))


@pytest.mark.parametrize("fault", [b"die", b"hang"])
async def test_a_process_that_dies_or_hangs_is_started_anew(fault):
    reader = OcrProcess([sys.executable, "-c", FAKE], limit_s=1.0)
    await reader.start()
    assert (await reader.read(b"one", b"", [])).lines == ("one",)
    with pytest.raises(ModelError):
        await reader.read(fault, b"", [])
    assert (await reader.read(b"two", b"", [])).lines == ("two",)
    await reader.stop()


async def test_a_caller_that_leaves_does_not_give_its_page_to_the_next():
    reader = OcrProcess([sys.executable, "-c", FAKE])
    await reader.start()
    async with asyncio.TaskGroup() as tasks:
        leaving = tasks.create_task(reader.read(b"one", b"", []))
        await asyncio.sleep(0)
        leaving.cancel()
    assert (await reader.read(b"two", b"", [])).lines == ("two",)
    await reader.stop()


@pytest.mark.looptime
async def test_names_are_expected_at_once_and_kept_only_on_request():
    told: list = []
    for keep in (False, True):
        seeing, hints = eyes(Reader(), told, keep=keep)
        await seeing.look(Frame(b"Zelkova", 3.0))
        await seeing.look(Frame(b"Zelkova", 4.0))
        assert hints.words == ("Zelkova",)
        assert hints.kept == (("Zelkova",) if keep else ())
    assert told == [Seen(("Zelkova",), 3.0)] * 2


@pytest.mark.looptime
async def test_of_a_flood_the_newest_is_seen_twice_a_second_at_most():
    reader = Reader()
    keep = await session(reader, Watching(live=Flood()), seconds=10.0)
    assert 15 <= len(reader.read_) <= 21
    assert len(keep.of(Seen)) == len(reader.read_)
    assert int(reader.read_[-1].split()[1]) > 9_000


@pytest.mark.looptime
@pytest.mark.parametrize("reader", [Reader(takes_s=5.0), Reader(takes_s=1e6), Reader(error=ModelError("it broke"))])
async def test_a_reader_that_is_slow_hangs_or_fails_changes_nothing_that_is_heard(reader):
    heard = (await session(None, None)).of(Transcript)
    keep = await session(reader, Watching(live=Flood()))
    assert keep.of(Transcript) == heard
    assert len(reader.read_) <= 4


@pytest.mark.looptime
async def test_what_goes_wrong_is_told_once_and_eyes_that_fail_are_closed():
    told: list = []
    reader = Reader(error=ModelError("it broke"))
    seeing, _ = eyes(reader, told)
    for number in range(10):
        await seeing.look(Frame(b"slide %d" % number))
    assert len(reader.read_) == FAILURES_ALLOWED + 1
    assert [fault.message for fault in told] == ["it broke", "no more pictures are looked at"]
    broken = Reader(error=BadInput("this is no whole picture"))
    seeing, _ = eyes(broken, told)
    for number in range(10):
        await seeing.look(Frame(b"slide %d" % number))
    assert len(broken.read_) == 10
    assert len(told) == 3


@pytest.mark.looptime
async def test_a_reader_that_is_loaded_for_the_first_picture_rests_for_what_reading_took_alone():
    class Late(Reader):
        async def ready(self):
            if not self.read_:
                await asyncio.sleep(20.0)

    reader = Late(takes_s=0.1)
    seeing, _ = eyes(reader, live=Flood())
    work = asyncio.create_task(seeing.work())
    await asyncio.sleep(22.3)
    seeing.close()
    await work
    assert len(reader.read_) == 5


@pytest.mark.looptime
async def test_pictures_are_read_as_soon_as_an_engine_has_loaded_its_reader():
    Slides.shown.clear()
    slides = ("reader.use=tests.scripted_backends:Slides", "reader.loads_s=20.0")
    async with Engine.load(scripted_profile(*slides)) as engine:
        talking = await engine.session(SessionRequest(("es",), ("en",), watching=Watching(live=Flood())))
        await talking.run(Talk(25.0, live=True), [SinkQueue(Keep())])
    assert 8 <= len(Slides.shown) <= 12


@pytest.mark.looptime
async def test_a_reader_that_cannot_be_loaded_is_tried_no_more_than_one_that_fails():
    class Broken(Reader):
        tries = 0

        async def ready(self):
            self.tries += 1
            raise ModelError("it cannot be loaded")

    told: list = []
    reader = Broken()
    seeing, _ = eyes(reader, told)
    for _ in range(10):
        await seeing.look(Frame(b"slide"))
    assert reader.tries == FAILURES_ALLOWED + 1
    assert [fault.message for fault in told] == ["it cannot be loaded", "no more pictures are looked at"]


@pytest.mark.looptime
async def test_readers_are_given_three_channels():
    class Shapes(Reader):
        async def read(self, picture, looked, languages):
            self.read_.append(picture.shape)
            return Page(None, None, b"")

    reader = Shapes()
    seeing, _ = eyes(reader)
    for shape in ((9, 16), (9, 16, 1), (9, 16, 3), (9, 16, 4)):
        await seeing.look(Frame(np.zeros(shape, np.uint8)))
    assert reader.read_ == [(9, 16, 3)] * 4


@pytest.mark.looptime
@pytest.mark.parametrize("live", [True, False])
async def test_a_film_is_seen_before_its_sound_is_heard(live):
    film = Film(*(Frame(b"slide %d" % number, 2.0 * number) for number in range(5)), Frame(b"late", 60.0))
    keep = await session(Reader(takes_s=0.1), Watching(film=film), live=live)
    assert [seen.names for seen in keep.of(Seen)] == [(f"slide {number}",) for number in range(5)]
    for seen in keep.of(Seen):
        at = keep.events.index(seen)
        heard = [event.heard_s for event in keep.events[:at] if isinstance(event, Transcript)]
        assert max(heard, default=0.0) <= seen.at + 0.2


@pytest.mark.looptime
@pytest.mark.parametrize("source", [{"film": Film(error=OSError("gone"))}, {"live": Film(error=OSError("gone"))}])
async def test_a_source_of_pictures_that_dies_is_told_and_ends_nothing(source):
    keep = await session(Reader(), Watching(**source))
    assert [(fault.stage, fault.message) for fault in keep.of(Fault)] == [("see", "gone")]
    assert keep.of(Transcript) == (await session(None, None)).of(Transcript)


@pytest.mark.looptime
async def test_a_program_shows_pictures_to_a_session():
    scripted, keep = Scripted(), Keep()
    settings = SessionOptions(("en",), ("es",), units=UnitSettings("pauses"), watching=Watching())
    talking = Session(Models(scripted, scripted, None, None, Reader()), settings)
    assert talking.eyes is not None
    talking.eyes.show(b"dropped", 0.5)
    talking.eyes.show(b"Zelkova", 1.0)
    await talking.run(Talk(3.0), [SinkQueue(keep)])
    assert keep.of(Seen) == [Seen(("Zelkova",), 1.0)]


@pytest.mark.looptime
@pytest.mark.parametrize("live", [True, False])
async def test_a_recognizer_that_sees_is_given_each_picture_before_the_sound_that_follows_it(live):
    heard: list = []

    class Lips(Scripted):
        """A scripted recognizer whose stream keeps what it is given, as an audio-visual one would."""

        @asynccontextmanager
        async def open(self, *asked):
            async with Scripted.open(self, *asked) as stream:
                yield LipReading(stream)

    class LipReading:
        def __init__(self, stream):
            self.finish = stream.finish
            self._hear = stream.hear

        async def hear(self, audio):
            heard.append(audio)
            return await self._hear(audio)

        def see(self, frame):
            heard.append(frame)

    film = Film(*(Frame(b"lips %d" % number, 0.5 * number) for number in range(10)))
    settings = SessionOptions(("en",), ("es",), units=UnitSettings("pauses"), watching=Watching(film=film))
    keep = Keep()
    await Session(Models(Lips(), Lips(), None, None, Reader()), settings).run(Talk(6.0, live), [SinkQueue(keep)])
    frames = [one for one in heard if isinstance(one, Frame)]
    assert [frame.at for frame in frames] == [0.5 * number for number in range(10)]
    for frame in frames:
        before = [one.end for one in heard[: heard.index(frame)] if isinstance(one, AudioChunk)]
        assert max(before, default=0.0) <= frame.at
    assert keep.of(Transcript) == (await session(None, None, seconds=6.0, live=live)).of(Transcript)


def test_the_newest_names_come_first_then_the_glossary_then_older_names():
    def encode(text):
        return tuple(range(len(text.split())))

    expected = PromptTerms(["glossary one", "glossary two"], encode)
    names = [f"Name{number}" for number in range(200)]
    expected.expect(["glossary one", "glossary two", *names])
    terms = expected.text.split(", ")
    assert terms[:3] == ["Name199", "Name198", "Name197"]
    assert terms[8:10] == ["glossary one", "glossary two"]
    assert terms[10] == "Name191"
    assert len(expected.tokens) <= VOCABULARY_TOKENS


async def test_pictures_of_a_film_are_those_that_are_coded_whole(tmp_path):
    path = tmp_path / "talk.mp4"
    make_film(path, np.zeros(7 * 16_000, np.float32), 16_000)
    frames = [frame async for frame in FilmFrames(path)]
    assert [round(frame.at) for frame in frames] == [0, 2, 4, 6]
    assert frames[0].picture.shape == (180, 320, 3)


async def test_of_a_film_whose_key_frames_are_far_apart_other_pictures_are_seen_before_the_next(tmp_path):
    path = tmp_path / "talk.mp4"
    make_film(path, np.zeros(14 * 16_000, np.float32), 16_000, key_frames=300, image=lambda number: bars(3 * number))
    frames = [frame async for frame in FilmFrames(path)]
    assert [round(frame.at) for frame in frames] == [0, 2, 4, 6, 8, 10, 12, 13]
    for frame in frames:
        shown = bars(3 * round(frame.at * FRAMES_A_S)).astype(int)
        assert np.abs(frame.picture.astype(int) - shown).mean() < 20


def test_what_cannot_be_watched_says_why():
    assert region_of("100,50,1280x720") == (100, 50, 1280, 720)
    for name in ("scren", "1,2,3", "-1,0,10x10", "0,0,0x9"):
        with pytest.raises(BadInput, match="valid: film, screen"):
            region_of(name)
    with pytest.raises(DeviceError, match="Wayland"):
        check_screen({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"})
    with pytest.raises(DeviceError, match="there is none"):
        check_screen({})
    check_screen({"DISPLAY": ":0"})


@pytest.mark.parametrize("region", ["2000,50,1280x720", "1000,500,640x360", "0,0,1280x721"])
def test_a_region_that_is_not_within_the_screen_is_refused_and_what_is_is_named(region):
    screens = [{"left": 0, "top": 0, "width": 1280, "height": 720}]
    with pytest.raises(DeviceError, match=f"{region} is not within the screen, which is 0,0,1280x720"):
        place_of(region_of(region), screens)
    assert place_of((640, 0, 640, 720), screens) == {"left": 640, "top": 0, "width": 640, "height": 720}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("a.mp4", "b.mp4", "--watch", "film"), "watches one film"),
        (("a.mp4", "--watch", "film"), "cannot be read"),
        (("a.mp4", "--watch", "film", "--server", "ws://h"), "cannot be read"),
        (("a.mp4", "--keep-seen"), "does nothing without --watch"),
        (("a.mp4", "--watch", "slides"), "nothing can be watched"),
    ],
)
def test_the_command_refuses_what_cannot_be_watched(capsys, options, said):
    assert main([*options, "--to", "es"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.skipif(find_spec("rapidocr") is None or find_spec("wordfreq") is None, reason="pip install '.[vision]'")
async def test_real_slides_are_read_and_their_names_found():
    lines = "Speaker: Brynhilde Okonkwo", "Ponente: Íñigo Muñagorri"
    async with RapidOcr().load() as reader:
        page = await reader.read(slide(*lines), b"", ["en", "es"])
        again = await reader.read(slide(*lines, quality=60), page.looks, ["en"])
    assert page.lines == lines
    assert page.names == ("Brynhilde Okonkwo", "Muñagorri")  # Íñigo is ordinary in Spanish
    assert again.lines is None
