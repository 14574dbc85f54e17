"""The page with a shared screen: its picture is sent when that is asked for, in bounds, and never in the way of words."""

from __future__ import annotations

import json
import re
import signal
from importlib.util import find_spec

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from benchmarks.serve_client import ServerProcess  # noqa: E402
from tests.system.test_page import (  # noqa: E402
    browser,
    expect,
    finished,
    numbers,
    open_page,
    pytestmark,  # noqa: F401
    recording,
    server,
    site,
    until,
)

COLORS = ("--set", "reader={use: 'tests.scripted_backends:Colors'}")
SCREEN = """(() => {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1920, height: 1080 });
  const context = canvas.getContext('2d');
  window.paint = (...shown) => { clearInterval(window.painting); window.painting = setInterval(draw, 100, ...shown); };
  const draw = (color, ...lines) => {
    context.fillStyle = color;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = 'black';
    context.font = '64px sans-serif';
    lines.forEach((line, at) => context.fillText(line, 120, 200 + 180 * at));
  };
  paint('#ff0000'); // again and again, since a canvas is captured when it is drawn on
  window.codedIn = []; // the states of the page in which a picture was coded
  const toBlob = HTMLCanvasElement.prototype.toBlob;
  HTMLCanvasElement.prototype.toBlob = function (...wanted) {
    codedIn.push(document.querySelector('#state').textContent);
    if (window.refuses) throw new DOMException('There is no memory.');
    return toBlob.apply(this, wanted);
  };
  if (navigator.mediaDevices) navigator.mediaDevices.getDisplayMedia = async () => {
    const sound = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false } });
    window.shared = canvas.captureStream();
    shared.addTrack(sound.getAudioTracks()[0]);
    return shared;
  };
})()"""
"""A screen that a test paints, with the sound of the microphone."""


def sent(page) -> list[list[dict]]:
    """The messages that a page sends, by connection; they come as it sends them."""
    connections: list[list[dict]] = []

    def opened(socket) -> None:
        messages: list[dict] = []
        connections.append(messages)
        socket.on("framesent", lambda text: messages.append(json.loads(text)))

    page.on("websocket", opened)
    return connections


def pictures(messages: list[dict]) -> list[dict]:
    return [message for message in messages if message["type"] == "translate_live.image"]


async def share(page) -> None:
    await page.check("[value=tab]", force=True)  # the radio is drawn by its label
    await page.click("#start")
    await until(page, "stats().units > 0")


async def test_names_are_read_when_that_is_asked_for_and_only_what_has_changed_is_sent(tmp_path):
    async with server(*COLORS) as running, browser(recording(tmp_path, 60)) as context:
        await context.add_init_script(SCREEN)
        page = await open_page(context, running)
        connections = sent(page)
        await expect(page.locator("#watch-choice")).to_be_hidden()
        await share(page)
        await expect(page.get_by_label("Read names on the screen")).not_to_be_checked()
        await expect(page.locator("#watch-choice")).to_contain_text("go to this server")
        assert not pictures(connections[0])
        await page.get_by_label("Read names on the screen").check()
        seen = page.locator("#seen")
        await expect(seen).to_have_text("On the screen: 1280x720 red")
        for color, names in (("#00ff00", "green, 1280x720 red"), ("#0000ff", "blue, 1280x720 green, 1280x720 red")):
            await page.evaluate(f"paint('{color}')")
            await expect(seen).to_have_text(f"On the screen: 1280x720 {names}")
        assert len(pictures(connections[0])) == 3
        await page.evaluate("shared.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
        await expect(seen).to_contain_text("The picture of the screen has ended")
        await expect(page.get_by_label("Read names on the screen")).not_to_be_checked()
        units = await page.evaluate("stats().units")
        await until(page, f"stats().units > {units + 1}")
        await page.click("#start")
        heard = numbers((await finished(page))["source.srt"])
    assert heard == sorted(heard)
    assert set(heard) == set(range(heard[0], heard[-1] + 1))  # a busy machine's device may break a sound in two
    assert len(connections) == 1


async def test_when_sharing_is_stopped_the_session_ends_and_names_are_still_wanted_of_the_next(tmp_path):
    async with server(*COLORS) as running, browser(recording(tmp_path, 60)) as context:
        await context.add_init_script(SCREEN)
        page = await open_page(context, running)
        await page.check("[value=tab]", force=True)
        await page.get_by_label("Read names on the screen").check()
        await share(page)
        await expect(page.locator("#seen")).to_have_text("On the screen: 1280x720 red")
        ended = "track.stop(); done(track.dispatchEvent(new Event('ended')));"
        each = f"track => new Promise(done => setTimeout(() => {{ {ended} }}))"  # a task of its own
        await page.evaluate(f"Promise.all([...shared.getVideoTracks(), ...shared.getAudioTracks()].map({each}))")
        await finished(page)
        await expect(page.locator("#seen")).to_have_text("On the screen: 1280x720 red")
        await expect(page.get_by_label("Read names on the screen")).to_be_checked()


async def test_a_picture_that_is_shared_no_more_is_forgotten_and_one_that_cannot_be_coded_is_tried_again(tmp_path):
    async with server(*COLORS) as running, browser(recording(tmp_path, 60)) as context:
        await context.add_init_script(SCREEN)
        page = await open_page(context, running)
        connections = sent(page)
        await page.evaluate("addEventListener('unhandledrejection', event => event.preventDefault())")
        await page.evaluate("refuses = true")
        await page.check("[value=tab]", force=True)
        await page.get_by_label("Read names on the screen").check()
        await share(page)
        await until(page, "codedIn.length > 1")
        await page.evaluate("refuses = false")
        await expect(page.locator("#seen")).to_have_text("On the screen: 1280x720 red")
        await page.get_by_label("Read names on the screen").uncheck()
        units = await page.evaluate("stats().units")
        await until(page, f"stats().units > {units}")
        assert pictures(connections[0])[-1]["image"] == ""
        await page.click("#start")
        await finished(page)


@pytest.mark.timeout(300)
async def test_after_a_loss_the_picture_is_shown_again(tmp_path):
    async with browser(recording(tmp_path, 60)) as context:
        await context.add_init_script(SCREEN)
        running = await (await ServerProcess.start(4, *COLORS)).ready()
        again = running
        try:
            page = await open_page(context, running)
            connections = sent(page)
            await page.check("[value=tab]", force=True)
            await page.get_by_label("Read names on the screen").check()
            await share(page)
            await expect(page.locator("#seen")).to_have_text("On the screen: 1280x720 red")
            running.send(signal.SIGKILL)
            await running.process.wait()
            await expect(page.locator("#state")).to_have_text("Reconnecting")
            await page.evaluate("paint('#00ff00')")
            port = site(running).rpartition(":")[2]
            again = await (await ServerProcess.start(4, *COLORS, "--port", port)).ready()
            await expect(page.locator("#state")).to_have_text("Listening")
            units = await page.evaluate("stats().units")
            await until(page, f"stats().units > {units + 2}")
            assert "Reconnecting" not in await page.evaluate("codedIn")
            await page.click("#start")
            heard = numbers((await finished(page))["source.srt"])
        finally:
            await again.end()
            await running.end()
    assert heard == sorted(set(heard))  # what a slow machine takes more than 15 s to start for is lost, nothing is doubled
    kinds = [message["type"] for message in connections[-1]]
    assert kinds[:3] == ["session.update", "translate_live.image", "session.input_audio_buffer.append"]


async def test_a_server_that_reads_no_pictures_is_sent_none(tmp_path):
    async with server("--set", "reader=null") as running, browser(recording(tmp_path, 24)) as context:
        await context.add_init_script(SCREEN)
        page = await open_page(context, running)
        await share(page)
        await expect(page.locator("#watch-choice")).to_be_hidden()
        await expect(page.locator(".row .target .said").first).to_contain_text(re.compile(r"\w"))


@pytest.mark.skipif(find_spec("rapidocr") is None or find_spec("wordfreq") is None, reason="pip install '.[vision]'")
@pytest.mark.timeout(300)  # another process loads what reads, at low priority
async def test_names_on_a_slide_that_is_shared_are_read_in_earnest(tmp_path):
    async with server() as running, browser(recording(tmp_path, 120)) as context:
        await context.add_init_script(SCREEN)
        page = await open_page(context, running)
        await page.evaluate("paint('#fafaf8', 'Speaker: Brynhilde Okonkwo', 'The new parser')")
        await page.check("[value=tab]", force=True)
        await page.get_by_label("Read names on the screen").check()
        await share(page)
        await expect(page.locator("#seen")).to_have_text("On the screen: Brynhilde Okonkwo", timeout=150_000)
