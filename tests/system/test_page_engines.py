"""The page in the engines of other browsers, Firefox and WebKit (Safari's), each by its own remote control.

Firefox speaks WebDriver BiDi (https://w3c.github.io/webdriver-bidi), WebKitGTK's driver the classic WebDriver. Both need a
sound output, without which an AudioContext's clock stands still.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import urllib.request
import wave
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pytest

pytest.importorskip("uvicorn")
from websockets.asyncio.client import ClientConnection, connect  # noqa: E402

from benchmarks.serve_client import ServerProcess, free_port  # noqa: E402
from benchmarks.spoken_numbers import SENT_HZ, spoken  # noqa: E402

FIREFOX = shutil.which("firefox") or shutil.which("firefox-esr")
WEBKIT = [shutil.which("WebKitWebDriver"), shutil.which("xvfb-run")]
MINI_BROWSER = next(iter(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser")), None)
PREFERENCES = {
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.autoplay.default": 0,
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "remote.active-protocols": 1,
}
TRIES, TRY_S = 240, 0.25
STATE, ALERT, SOURCE = (
    f"document.querySelector('{name}').textContent" for name in ("#state", "#alert", "#transcript .source")
)
needs_sound = pytest.mark.skipif(
    "PULSE_SERVER" not in os.environ and not Path("/dev/snd").exists(), reason="this machine has no sound output"
)
needs_firefox = pytest.mark.skipif(FIREFOX is None, reason="Firefox is not installed")
needs_webkit = pytest.mark.skipif(
    None in (*WEBKIT, MINI_BROWSER), reason="WebKitWebDriver, MiniBrowser or xvfb-run is not installed"
)


class Page(Protocol):
    """A page under remote control."""

    async def value(self, script: str) -> Any:
        """The value of an expression in the page."""

    async def click(self, name: str) -> None:
        """Click as a user does, whose gesture lets sound begin."""

    async def choose(self, file: Path) -> None:
        """Give the page a recording."""


class BidiPage:
    """A page of Firefox."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.numbers, self.context = socket, count(), ""

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.numbers)
        await self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (answer := json.loads(await self.socket.recv())).get("id") != number:
            pass
        assert answer["type"] == "success", answer
        return answer["result"]

    async def open(self, url: str) -> BidiPage:
        await self.call("session.new", capabilities={})
        self.context = (await self.call("browsingContext.create", type="tab"))["context"]
        await self.call("browsingContext.navigate", context=self.context, url=url, wait="complete")
        return self

    async def value(self, script: str) -> Any:
        how = {"target": {"context": self.context}, "awaitPromise": True, "userActivation": True}
        return (await self.call("script.evaluate", expression=script, **how))["result"].get("value")

    async def click(self, name: str) -> None:
        await self.value(f"document.querySelector('{name}').click()")

    async def choose(self, file: Path) -> None:
        found = {"type": "css", "value": "#file"}
        (node,) = (await self.call("browsingContext.locateNodes", context=self.context, locator=found))["nodes"]
        shared = {"sharedId": node["sharedId"]}
        await self.call("input.setFiles", context=self.context, element=shared, files=[str(file)])


class DriverPage:
    """A page of WebKitGTK's MiniBrowser."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def call(self, path: str, **body: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(self.address + path, json.dumps(body).encode(), headers)
        return json.load(await asyncio.to_thread(urllib.request.urlopen, asked, timeout=60))["value"]

    async def open(self, url: str) -> DriverPage:
        options = {"binary": str(MINI_BROWSER), "args": ["--automation"]}
        asked = {"alwaysMatch": {"webkitgtk:browserOptions": options}}
        self.address += f"/{(await self.call('', capabilities=asked))['sessionId']}"
        await self.call("/url", url=url)
        return self

    async def value(self, script: str) -> Any:
        return await self.call("/execute/sync", script=f"return {script}", args=[])

    async def element(self, name: str) -> str:
        return "/element/" + next(iter((await self.call("/element", using="css selector", value=name)).values()))

    async def click(self, name: str) -> None:
        await self.call(f"{await self.element(name)}/click")

    async def choose(self, file: Path) -> None:
        await self.call(f"{await self.element('#file')}/value", text=str(file))


@asynccontextmanager
async def process(*words: str, **environment: str) -> AsyncIterator[None]:
    quiet = asyncio.subprocess.DEVNULL
    settings = {**os.environ, **environment}
    running = await asyncio.create_subprocess_exec(*words, env=settings, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        await running.wait()


@asynccontextmanager
async def firefox(folder: Path, url: str, **environment: str) -> AsyncIterator[Page]:
    lines = [f'user_pref("{name}", {json.dumps(value)});' for name, value in PREFERENCES.items()]
    (folder / "user.js").write_text("\n".join(lines))
    port = str(free_port())
    words = [FIREFOX, "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port", port]
    async with process(*words, HOME=str(folder), **environment):
        socket = await answering(lambda: connect(f"ws://127.0.0.1:{port}/session", max_size=None))
        yield await BidiPage(socket).open(url)
        await socket.close()


@asynccontextmanager
async def webkit(url: str) -> AsyncIterator[Page]:
    port = str(free_port())
    # Its sandbox needs namespaces, which containers forbid; the page is our own.
    settings = {"WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "WEBKIT_DISABLE_COMPOSITING_MODE": "1"}
    async with process(WEBKIT[1], "-a", WEBKIT[0], f"--port={port}", **settings):
        page = DriverPage(f"http://127.0.0.1:{port}/session")
        await answering(lambda: asyncio.open_connection("127.0.0.1", int(port)))
        yield await page.open(url)


async def answering(opened: Callable[[], Awaitable[Any]]) -> Any:
    for _ in range(TRIES):
        try:
            return await opened()
        except OSError:
            await asyncio.sleep(TRY_S)  # of another process
    raise AssertionError("the browser does not answer")


async def until(page: Page, condition: str) -> None:
    for _ in range(TRIES):
        if await page.value(condition):
            return
        await asyncio.sleep(TRY_S)  # of another process
    raise AssertionError(f"{condition}: {await page.value(STATE)}, {await page.value(ALERT)}")


@asynccontextmanager
async def serving() -> AsyncIterator[str]:
    running = await ServerProcess.start(4)
    try:
        await running.ready()
        yield running.url.replace("ws:", "http:").partition("/v1")[0]
    finally:
        await running.end()


async def hear_numbers(page: Page, folder: Path) -> None:
    """Translate a recording of the numbers below 24: each is shown once, and speech is played."""
    path = folder / "numbers.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SENT_HZ)
        file.writeframes(spoken(0, 24))
    await until(page, "document.querySelectorAll('#to option').length > 0")
    await page.value("import('/app.js').then(page => { window.stats = page.stats; }) && 1")
    await page.value("document.querySelector('[value=file]').click()")
    await page.choose(path)
    await page.click("#start")
    await until(page, f"{STATE} === 'Done'")
    assert re.findall(r"\d+", await page.value(SOURCE)) == [str(number) for number in range(24)]
    assert await page.value("stats().playedS > 1 && stats().peak > 0.1")


@needs_sound
@needs_firefox
async def test_firefox_hears_and_plays_a_recording(tmp_path):
    async with serving() as url, firefox(tmp_path, url) as page:
        await hear_numbers(page, tmp_path)


@needs_sound
@needs_firefox
async def test_firefox_sends_a_microphone_of_its_own_rate(tmp_path):
    async with serving() as url, firefox(tmp_path, url) as page:
        await until(page, "document.querySelectorAll('#to option').length > 0")
        await page.value("import('/app.js').then(page => { window.stats = page.stats; }) && 1")
        await page.click("#start")
        await until(page, f"{STATE} === 'Listening' && stats().blocks > 5")


@needs_firefox
@pytest.mark.skipif(Path("/dev/snd").exists(), reason="this machine has a sound card")
async def test_a_browser_without_sound_output_says_so(tmp_path):
    async with serving() as url, firefox(tmp_path, url, PULSE_SERVER="unix:/nowhere") as page:
        await until(page, "document.querySelectorAll('#to option').length > 0")
        await page.click("#start")
        await until(page, f"{STATE} === 'Ready' && {ALERT}.includes('no sound output')")


@needs_sound
@needs_webkit
async def test_webkit_hears_and_plays_a_recording(tmp_path):
    async with serving() as url, webkit(url) as page:
        await hear_numbers(page, tmp_path)
