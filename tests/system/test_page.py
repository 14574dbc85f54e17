"""The page in headless Chromium: spoken to, read, heard, its server killed under it, by keyboard, by key, overlaid."""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")
playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from benchmarks.serve_client import ServerProcess  # noqa: E402
from benchmarks.spoken_numbers import SENT_HZ, spoken  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
expect = playwright.expect
expect.set_options(timeout=20_000)


def recording(folder: Path, numbers: int) -> Path:
    """A WAV file that says the numbers from 0."""
    path = folder / "numbers.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SENT_HZ)
        file.writeframes(spoken(0, numbers))
    return path


@asynccontextmanager
async def server(*options: object) -> AsyncIterator[ServerProcess]:
    running = await ServerProcess.start(4, *options)
    try:
        yield await running.ready()
    finally:
        await running.end()


@asynccontextmanager
async def browser(microphone: Path) -> AsyncIterator:
    """A browser whose microphone plays a file once, and the pages of it, whose errors fail the test."""
    flags = [
        "--no-sandbox",
        "--use-fake-device-for-media-stream=display-media-type=browser",
        "--use-fake-ui-for-media-stream",
    ]
    flags += [f"--use-file-for-fake-audio-capture={microphone}%noloop", "--autoplay-policy=no-user-gesture-required"]
    errors: list[str] = []
    async with playwright.async_playwright() as engine:
        started = await engine.chromium.launch(executable_path=CHROMIUM, args=flags)
        context = await started.new_context(viewport={"width": 1240, "height": 760})
        context.on("weberror", lambda error: errors.append(str(error.error)))
        context.on("console", lambda line: errors.append(line.text) if "Content Security" in line.text else None)
        yield context
        await started.close()
    assert errors == []


class Relay:
    """An address at which one server after the other answers, with no time between in which the next one starts."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.url = ""

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass a connection on until one end closes it."""
        with suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.server.port)
            await asyncio.gather(passed(reader, far_writer), passed(far_reader, writer))
        writer.close()


async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on, and their end."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def relay(server: ServerProcess) -> AsyncIterator[Relay]:
    between = Relay(server)
    async with await asyncio.start_server(between.take, "127.0.0.1", 0) as listening:
        between.url = f"ws://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        yield between


def site(running: ServerProcess | Relay) -> str:
    return running.url.replace("ws:", "http:").partition("/v1")[0]


async def open_page(context, running: ServerProcess | Relay):
    page = await context.new_page()
    await page.goto(site(running))
    await expect(page.locator("#to option").first).to_be_attached()
    await page.evaluate("import('/app.js').then(page => { window.stats = page.stats; })")
    return page


async def until(page, condition: str) -> None:
    """Wait for it in the page itself, whose policy forbids what `wait_for_function` does."""
    tried = f"const timer = setInterval(() => {{ if ({condition}) {{ clearInterval(timer); done(); }} }}, 50)"
    await page.evaluate(f"new Promise(done => {{ {tried} }})")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


async def finished(page) -> dict[str, str]:
    """The files that can be saved, by kind, once the session has ended."""
    await expect(page.locator("#state")).to_have_text("Done", timeout=30_000)
    await page.click("#open-save")
    files = {}
    for kind in ("es.vtt", "source.srt", "both.txt"):
        async with page.expect_download() as saved:
            await page.click(f"[data-file='{kind}']")
        files[kind] = read(await (await saved.value).path())
    return files


def numbers(text: str) -> list[int]:
    """The numbers that stand on lines of their own words, without those of the times."""
    words = [line for line in text.splitlines() if "-->" not in line and not re.fullmatch(r"\d+", line)]
    return [int(word) for line in words for word in re.findall(r"\d+", line)]


async def test_a_microphone_is_shown_and_heard_and_an_overlay_shows_the_same(tmp_path):
    async with server() as running, browser(recording(tmp_path, 24)) as context:
        page = await open_page(context, running)
        overlay = await context.new_page()
        async with overlay.expect_request("**/captions/feed**"):
            await overlay.goto(f"{site(running)}/captions.html?languages=source,es&size=64&lines=3")
        await page.select_option("#to", "es")
        await page.click("#open-settings")
        await page.uncheck("#echo")  # its high-pass filter would take the levels that are the numbers
        await page.keyboard.press("Escape")
        await page.click("#start")
        await expect(page.locator(".row .target .said").first).not_to_be_empty()
        await expect(page.locator("#lag-text")).to_have_text(re.compile(r"text \d+\.\d s"))
        await expect(overlay.locator(".language")).to_have_count(2)
        await expect(overlay.locator("[lang=es]")).to_contain_text(re.compile(r"\w"))
        style = "getComputedStyle(document.querySelector('#captions'))"
        assert await overlay.evaluate(f"[{style}.fontSize, getComputedStyle(document.body).backgroundColor]") == [
            "64px", "rgba(0, 0, 0, 0)",
        ]  # fmt: skip
        await until(page, "stats().playedS > 1 && stats().peak > 0")
        await page.click("#start")
        files = await finished(page)
        assert files["es.vtt"].startswith("WEBVTT\n\n00:00:0")
        assert "00:00:0" in files["source.srt"].splitlines()[1]
        heard = numbers(files["source.srt"])
        assert len(heard) > 5
        assert heard == sorted(heard)
        assert set(heard) == set(range(heard[0], heard[-1] + 1))  # a busy machine's device may break a sound in two


async def test_no_number_of_a_recording_is_lost_or_shown_twice_when_its_server_is_killed(tmp_path):
    async with server() as first, server() as second, relay(first) as between, browser(recording(tmp_path, 1)) as context:
        page = await open_page(context, between)
        await page.check("[value=file]", force=True)
        await page.set_input_files("#file", recording(tmp_path, 36))
        await page.click("#start")
        await until(page, "stats().units > 1 && stats().playedS > 0.2")
        await first.end()
        await expect(page.locator("#state")).to_have_text("Reconnecting")
        between.server = second
        await expect(page.locator("#state")).to_have_text("Listening")
        played = await page.evaluate("stats().playedS")
        await until(page, f"stats().playedS > {played} + 0.5")
        files = await finished(page)
    assert numbers(files["source.srt"]) == list(range(36))


async def test_it_is_used_by_keyboard_named_for_readers_and_fits_a_telephone(tmp_path):
    async with server() as running, browser(recording(tmp_path, 24)) as context:
        page = await open_page(context, running)
        nameless = """[...document.querySelectorAll('button, input, select, textarea, dialog, [role=region]')].filter(one =>
            !one.labels?.length && !one.ariaLabel && !one.getAttribute('aria-labelledby') && !one.textContent.trim())
            .map(one => one.outerHTML)"""
        assert await page.evaluate(nameless) == []
        await page.set_viewport_size({"width": 360, "height": 700})
        boxes = [await page.locator(one).bounding_box() for one in ("#further", "#captions")]
        assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"] + boxes[1]["width"]
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("To the captions")).to_be_focused()
        await page.get_by_role("button", name="Settings").press("Enter")
        await expect(page.get_by_role("dialog")).to_be_visible()
        await page.get_by_label("Glossary").fill("one = uno | un\nKubernetes\n# no term\ntwo\tdos")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Settings")).to_be_focused()
        rows = await page.evaluate("import('/choices.js').then(page => page.session().translate_live.glossary)")
        assert [(row["source"], row["targets"], row["mode"]) for row in rows] == [
            ("one", ["uno", "un"], "hard"), ("Kubernetes", [], "keep"), ("two", ["dos"], "hard"),
        ]  # fmt: skip
        await page.get_by_role("button", name="Start").press("Enter")
        await expect(page.get_by_role("status").first).to_have_text("Listening")
        await page.get_by_role("button", name="Settings").press("Enter")
        await page.get_by_label("echo cancellation").press(
            "Space"
        )  # opens the microphone again, without a high-pass filter
        await page.keyboard.press("Escape")
        await expect(page.locator("#announce[aria-live=polite] p").first).to_contain_text(re.compile(r"\w"))
        pause = page.get_by_role("button", name="Pause")
        await pause.press("Space")
        await expect(page.get_by_role("button", name="Resume")).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("#state")).to_have_text("Paused")
        await page.get_by_role("button", name="Resume").press("Space")
        await expect(page.locator("#state")).to_have_text("Listening")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        await page.get_by_role("combobox", name="To", exact=True).select_option("de")
        await expect(page.locator(".row .target[lang=de] .said").first).to_contain_text(re.compile(r"\w"))
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            assert await page.evaluate(CONTRAST) == []


CONTRAST = """(() => {
  const linear = part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const light = color => {
    const [r, g, b] = color.match(/[\\d.]+/g).map(part => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = one => {
    const { backgroundColor } = getComputedStyle(one);
    return /, 0\\)$/.test(backgroundColor) ? behind(one.parentElement) : backgroundColor;
  };
  const names = ['h1', '#state', '#lag-text', '#to', '.row .source', '.row .target', '#pause', '#start', '.levels label'];
  return names.filter(name => {
    const one = document.querySelector(name);
    const [more, less] = [getComputedStyle(one).color, behind(one)].map(light).sort((a, b) => b - a);
    return (more + 0.05) / (less + 0.05) < 4.5;
  });
})()"""
"""Parts whose text has less contrast than 4.5 to 1 (WCAG 2.2, 1.4.3)."""


async def test_a_server_with_keys_lets_a_browser_in_by_one_and_an_overlay_by_its_address(tmp_path):
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"- {{id: studio, sha256: {hashlib.sha256(b'sesame').hexdigest()}}}\n")
    async with server("--keys", keys) as running, browser(recording(tmp_path, 24)) as context:
        await context.add_init_script(OTHER_RATE)
        page = await open_page(context, running)
        await page.get_by_label("Key", exact=True).fill("guess")
        await page.keyboard.press("Enter")
        await expect(page.locator("#login-error")).to_have_text("The server does not know this key.")
        await page.get_by_label("Key", exact=True).fill("sesame")
        await page.keyboard.press("Enter")
        await expect(page.locator("#login")).to_be_hidden()
        await page.wait_for_url(f"{site(running)}/")
        await page.click("#open-settings")
        await expect(page.locator("#overlay")).to_have_value(re.compile("ticket=cf_"))
        address = await page.input_value("#overlay")
        await page.keyboard.press("Escape")
        stranger = await (await context.browser.new_context()).new_page()
        refused = await stranger.request.get(re.sub("ticket=[^&]*", "ticket=cf_guess.0", address.replace(".html", "/feed")))
        assert refused.status == 401
        async with stranger.expect_request("**/captions/feed**"):
            await stranger.goto(address)
        await page.check("[value=tab]", force=True)  # the radio is drawn by its label
        await page.click("#start")
        await expect(stranger.locator(".language")).to_contain_text(re.compile(r"\w"))
        await page.click("#start")
        heard = numbers((await finished(page))["source.srt"])
        assert len(heard) > 2
        assert heard == sorted(heard)
        assert set(heard) == set(range(heard[0], heard[-1] + 1))  # a busy machine's device may break a sound in two


OTHER_RATE = """const { createMediaStreamSource } = AudioContext.prototype;
AudioContext.prototype.createMediaStreamSource = function (stream) {
  if (this.sampleRate === 24000) throw new DOMException('of another rate', 'NotSupportedError');
  return createMediaStreamSource.call(this, stream); };"""
"""A browser that, like Firefox, does not resample a microphone."""
