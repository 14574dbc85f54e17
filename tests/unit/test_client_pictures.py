"""Pictures that a client sends beside its audio: JPEGs in bounds, of what has changed, two a second at most."""

import asyncio
import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from models.vision.worker import decoded
from pipeline.client.pictures import SentPictures, coded, jpeg_of
from pipeline.clock import LoopClock
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Fault
from pipeline.stages.see import Watching
from pipeline.vision import LARGEST_JPEG, Frame


def plain(level: int, width: int = 320, height: int = 180) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


def levels(*messages: str) -> list[int]:
    """The levels of plain pictures in messages."""
    found = []
    for message in map(json.loads, messages):
        assert message["type"] == "translate_live.image"
        found.append(round(float(decoded(base64.b64decode(message["image"])).mean()) / 10) * 10)
    return found


def pictures(told: list | None = None, **watching) -> SentPictures:
    return SentPictures(Watching(**watching), LoopClock(), (told if told is not None else []).append)


class Frames:
    def __init__(self, *frames: Frame, error: Exception | None = None, every_s: float = 0.0) -> None:
        self._frames, self._error, self._every_s = frames, error, every_s

    async def __aiter__(self):
        for frame in self._frames:
            await asyncio.sleep(self._every_s)
            yield frame
        if self._error is not None:
            raise self._error


class Talk:
    live = False

    async def __aiter__(self):
        for number in range(100):
            yield AudioChunk(np.zeros(1600, np.float32), 16_000, number / 10)


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (641, 361), (33, 19)])
def test_a_jpeg_shows_what_was_there(width: int, height: int):
    ramp = np.linspace(0, 255, width)[None, :, None] * np.ones((height, 1, 3))
    shown = decoded(jpeg_of(ramp.astype(np.uint8)))
    assert shown.shape == (height, width, 3)
    assert np.abs(shown - ramp).mean() < 4


def test_the_worst_picture_is_made_small_enough_and_can_still_be_read():
    noise = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    jpeg = jpeg_of(noise)
    assert len(jpeg) <= LARGEST_JPEG
    assert decoded(jpeg).shape[1] >= 480


def test_what_looks_as_before_is_not_coded_and_files_of_pictures_are():
    looked, jpeg = coded(plain(200), b"")
    assert jpeg
    assert coded(plain(201), looked) == (coded(plain(201), b"")[0], b"")
    file = io.BytesIO()
    Image.fromarray(plain(40)).save(file, "PNG")
    assert round(decoded(coded(file.getvalue(), looked)[1]).mean()) == pytest.approx(40, abs=3)
    with pytest.raises(BadInput, match="no whole picture"):
        coded(b"none", b"")


@pytest.mark.looptime
async def test_pictures_of_a_film_come_in_order_before_their_sound_two_a_second_at_most():
    frames = Frames(*(Frame(plain(20 * number), 2.0 * number) for number in range(1, 5)))
    sent = pictures(film=frames)
    seen_at: list[float] = []
    async for item in sent.beside(Talk()):
        while message := sent.take():
            seen_at.append(item.end)
            assert levels(message) == [20 * len(seen_at)]
            await asyncio.sleep(0.5)
    assert seen_at == pytest.approx([1.1, 3.1, 5.1, 7.1], abs=0.15)
    await sent.look(Frame(plain(120)))
    await sent.look(Frame(plain(150)))
    assert levels(sent.take()) == [120]
    assert sent.take() == ""
    await asyncio.sleep(0.5)
    assert levels(sent.take()) == [150]
    assert levels(sent.again()) == [150]  # after a lost connection


@pytest.mark.looptime
async def test_of_live_pictures_the_newest_is_sent_and_what_ends_them_is_told_once():
    told: list = []
    sent = pictures(told, live=Frames(*(Frame(plain(10 * number)) for number in range(1, 9)), error=OSError("gone")))
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(sent.work())
        messages = []
        for _ in range(300):
            await asyncio.sleep(0.01)
            messages += filter(None, [sent.take()])
        work.cancel()
    assert levels(*messages)[-1] == 80
    assert len(messages) <= 3
    assert told == [Fault("see", "gone", fatal=False)]


@pytest.mark.looptime
async def test_a_server_that_sees_nothing_is_sent_no_more():
    told: list = []
    sent = pictures(told)
    await sent.look(Frame(plain(100)))
    assert sent.take()
    await sent.look(Frame(plain(150)))
    sent.end("no vision here")
    await sent.look(Frame(plain(200)))
    await asyncio.sleep(1)
    assert (sent.take(), sent.again()) == ("", "")
    assert [fault.message for fault in told] == ["no vision here"]


@pytest.mark.parametrize("channels", [(), (1,), (2,), (4,)])
def test_gray_pictures_and_those_with_alpha_are_sent(channels: tuple[int, ...]):
    _, jpeg = coded(np.full((180, 320, *channels), 90, np.uint8), b"")
    assert decoded(jpeg).mean() == pytest.approx(90, abs=3)


def test_a_strip_is_sent_when_it_has_changed():
    looked, jpeg = coded(plain(40, 1920, 30), b"")
    assert jpeg
    assert not coded(plain(41, 1920, 30), looked)[1]
    assert coded(plain(200, 1920, 30), looked)[1]


@pytest.mark.looptime
@pytest.mark.parametrize("source", ["film", "live"])
async def test_pictures_that_cannot_be_coded_end_nothing_but_the_pictures(source: str):
    told: list = []
    frames = Frames(*(Frame(np.zeros((0, 5, 3), np.uint8), float(number)) for number in range(8)), every_s=1.0)
    sent = pictures(told, **{source: frames})
    work = asyncio.create_task(sent.work())
    assert len([item async for item in sent.beside(Talk())]) == 100
    await asyncio.sleep(10)
    assert not work.done()
    work.cancel()
    assert "could not be sent" in told[0].message
    assert told[1].message == "no more pictures are sent"
    assert not any(fault.fatal for fault in told)


@pytest.mark.looptime
async def test_a_picture_that_is_none_is_told_once_and_the_next_is_sent():
    told: list = []
    sent = pictures(told)
    for _ in range(3):
        await sent.look(Frame(b"none"))
    await sent.look(Frame(plain(100)))
    assert levels(sent.take()) == [100]
    assert len(told) == 1
