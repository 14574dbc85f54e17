"""Text for a reader that is slow, gone, or cannot read accents."""

import asyncio
import io
import os

import pytest

from pipeline.errors import DeviceError
from pipeline.sinks import console
from pipeline.sinks.console import BackgroundText


@pytest.fixture
def pipe():
    """A pipe's reading descriptor and its writing end as text."""
    reading, writing = os.pipe()
    with open(writing, "w", encoding="latin-1") as out:
        yield reading, out
        os.close(reading)


async def test_text_comes_in_order_and_whole_before_the_end(pipe):
    reading, out = pipe
    async with BackgroundText(out) as text:
        for number in range(100):
            print("l\u00ednea", number, "\u65e5", file=text, flush=True)
    lines = os.read(reading, 10_000).decode("latin-1").splitlines()
    assert lines == [f"l\u00ednea {number} ?" for number in range(100)]


async def test_nobody_waits_for_a_reader_who_does_not_read_until_the_end(pipe):
    reading, out = pipe
    async with asyncio.timeout(10):
        async with BackgroundText(out) as text:
            for _ in range(100):
                print("x" * 10_000, file=text, flush=True)  # far more than a pipe holds
            reader = asyncio.create_task(asyncio.to_thread(_read_all, reading, 100 * 10_001))
        assert await reader == 100 * 10_001


def _read_all(descriptor: int, size: int) -> int:
    got = 0
    while got < size:
        got += len(os.read(descriptor, 100_000))
    return got


async def test_the_last_piece_that_cannot_be_written_is_told_at_the_end():
    """Nothing is written after it that could tell."""
    with os.fdopen(os.open("/dev/full", os.O_WRONLY), "w") as full, pytest.raises(DeviceError, match="No space left"):
        await write_one(full)


async def write_one(out) -> None:
    async with BackgroundText(out) as text:
        print("all of it", file=text, flush=True)


async def test_a_reader_that_has_seen_enough_is_no_error_at_the_end(pipe):
    reading, out = pipe
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, reading)
    await write_one(out)
    os.close(nowhere)


async def test_a_reader_that_goes_away_is_told_once(pipe):
    reading, out = pipe
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, reading)  # closes the pipe's end
    async with asyncio.timeout(10), BackgroundText(out) as text:
        with pytest.raises(BrokenPipeError):
            await write_on(text)
        os.dup2(nowhere, out.fileno())
        print("x", file=text, flush=True)
    os.close(nowhere)


async def write_on(text: BackgroundText) -> None:
    while True:
        print("x", file=text, flush=True)
        await asyncio.sleep(0)


@pytest.mark.parametrize("view", [False, True])
async def test_what_waits_is_bounded_and_a_failed_session_is_left(pipe, monkeypatch, view):
    monkeypatch.setattr(console, "END_S", 0.05)
    monkeypatch.setattr(console, "WAITING", 20)
    monkeypatch.setattr(console, "WAITING_OF_VIEW", 20)
    _, out = pipe

    async def write() -> None:
        async with BackgroundText(out, view=view) as text:
            for _ in range(50):
                print("x" * 100_000, file=text, flush=True)

    async with asyncio.timeout(10):
        if view:
            await write()
        else:
            with pytest.raises(OSError, match="nobody reads"):
                await write()


async def test_a_stream_that_is_no_file():
    out = io.StringIO()
    async with BackgroundText(out) as text:
        print("hola", file=text, flush=True)
    assert out.getvalue() == "hola\n"
