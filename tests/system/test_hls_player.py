"""A broadcast as HLS in a browser, by the unmodified hls.js of npm in headless Chromium.

It needs Playwright, Chromium and ``npm i hls.js@1.7.4`` in a folder that ``TRANSLATE_LIVE_NPM`` names.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from benchmarks.film_made import FRAMES_A_S, bars, make_film
from pipeline.sinks.live_writer import HlsFolder
from tests.unit.test_broadcast import broadcast
from tests.unit.test_film import RATE

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PLAYER = Path(os.environ.get("TRANSLATE_LIVE_NPM") or "/nonexistent") / "node_modules/hls.js/dist/hls.min.js"
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed"),
    pytest.mark.skipif(not PLAYER.is_file(), reason="TRANSLATE_LIVE_NPM names no folder with the package hls.js of npm"),
]
STARTS_S = (1.0, 3.0, 5.0, 7.0)  # of units, when the picture flashes; the last ends the cue before it
PAGE = b"""<!doctype html><video crossorigin></video><script src="/hls.min.js"></script><script>
const video = document.querySelector('video'), hls = new Hls(), errors = [], samples = [];
const context = new AudioContext(), analyser = new AnalyserNode(context, {fftSize: 1024});
context.createMediaElementSource(video).connect(analyser).connect(context.destination);
const canvas = new OffscreenCanvas(16, 9).getContext('2d', {willReadFrequently: true});
hls.on(Hls.Events.ERROR, (_, about) => { if (about.fatal) errors.push(about.details); });
function sample() {
  canvas.drawImage(video, 0, 0, 16, 9);
  const pixels = canvas.getImageData(0, 0, 16, 9).data, wave = new Float32Array(1024);
  analyser.getFloatTimeDomainData(wave);
  const tracks = [...video.textTracks].filter(track => track.mode !== 'disabled');
  samples.push({
    time: video.currentTime,
    light: pixels.reduce((sum, value) => sum + value, 0) / pixels.length,
    level: Math.hypot(...wave) / 32,
    cues: tracks.flatMap(track => [...track.activeCues ?? []].map(cue => cue.text)),
  });
}
const listed = tracks => tracks.map(({name, lang}) => [name, lang]);
async function loaded(captions) {
  const ready = Promise.all([
    new Promise(done => hls.once(Hls.Events.MANIFEST_PARSED, done)),
    new Promise(done => video.addEventListener('canplay', done, {once: true})),
  ]);
  hls.loadSource('/live.m3u8');
  hls.attachMedia(video);
  await ready;
  hls.subtitleTrack = captions;
  return {sounds: listed(hls.audioTracks), captions: listed(hls.subtitleTracks)};
}
async function played(toS) {
  const timer = setInterval(sample, 10);
  const ended = new Promise(done => video.addEventListener('timeupdate', () => video.currentTime >= toS && done()));
  await context.resume();
  await video.play();
  await ended;
  clearInterval(timer);
  return {samples, errors};
}
</script>"""


class Folder(SimpleHTTPRequestHandler):
    """Files of a broadcast, the player, and a page for both."""

    def do_GET(self):
        """Answer with a file."""
        data = {"/": PAGE, "/hls.min.js": PLAYER.read_bytes()}.get(self.path)
        if data is None:
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path == "/" else "text/javascript")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        """Say nothing."""

    def copyfile(self, source, outputfile):
        """Send a file to a player that may have left."""
        try:
            super().copyfile(source, outputfile)
        except OSError:
            self.close_connection = True


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Folder, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@asynccontextmanager
async def page_of(folder: Path) -> AsyncIterator:
    flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    with served(folder) as address:
        async with playwright.async_playwright() as engine:
            browser = await engine.chromium.launch(executable_path=CHROMIUM, args=flags)
            page = await browser.new_page()
            page.set_default_timeout(60_000)
            await page.goto(address)
            yield page
            await browser.close()


def flashing(number: int):
    """The picture ``number``: dark, but a quarter, too little for a key frame, is white for 0.4 s where a unit starts."""
    picture = bars(number) // 8
    if any(0 <= number / FRAMES_A_S - start < 0.4 for start in STARTS_S):
        picture[:, :80] = 250
    return picture


def begins(samples, what) -> list[float]:
    """The times at which something begins."""
    found = [bool(what(sample)) for sample in samples]
    return [
        after["time"] for before, after, was, now in zip(samples, samples[1:], found, found[1:], strict=False) if now > was
    ]


async def test_a_browser_shows_captions_and_pictures_at_the_time_of_the_speech(tmp_path):
    source, folder = tmp_path / "talk.mp4", tmp_path / "show"
    make_film(source, np.random.default_rng(5).normal(0, 0.05, 9 * RATE).astype(np.float32), RATE, image=flashing)
    await broadcast(source, HlsFolder(folder / "live.m3u8", None), starts=STARTS_S)
    async with page_of(folder) as page:
        listed = await page.evaluate("loaded(0)")
        result = await page.evaluate(f"played({STARTS_S[-1]})")
    assert listed["sounds"] == [["Spanish (AI-generated)", "es"], ["Original", "en"]]
    assert listed["captions"] == [["Spanish (AI-generated)", "es"], ["English, original (AI-generated)", "en"]]
    assert result["errors"] == []
    samples = result["samples"]
    flashes = begins(samples, lambda sample: sample["light"] > 105)
    assert flashes[:3] == pytest.approx(
        [start + 0.08 for start in STARTS_S[:3]], abs=0.25
    )  # a player's time 0 is the first
    for number, flash in enumerate(flashes[:3]):  # packet's, which B-frames need earlier than the first picture
        (said,) = [at_s for at_s in begins(samples, lambda sample: sample["level"] > 0.01) if abs(at_s - flash) < 0.9]
        assert said == pytest.approx(flash, abs=0.3)
        (shown,) = begins(samples, lambda sample, text=f"unidad {number}": text in sample["cues"])
        assert shown == pytest.approx(flash, abs=0.3)


async def test_who_goes_back_as_far_as_a_live_list_goes_hears(tmp_path):
    source, folder = tmp_path / "talk.mp4", tmp_path / "show"
    starts = tuple(float(at_s) for at_s in range(1, 48, 2))
    make_film(source, np.zeros(48 * RATE, np.float32), RATE, key_frames=140)
    await broadcast(source, HlsFolder(folder / "live.m3u8", 20.0), starts=starts)
    for playlist in folder.glob("*.m3u8"):  # as it was before its end
        playlist.write_text(playlist.read_text().replace("#EXT-X-ENDLIST\n", ""))
    async with page_of(folder) as page:
        await page.evaluate("loaded(1)")
        begin_s = await page.evaluate("video.currentTime = video.seekable.start(0)")
        result = await page.evaluate(f"played({begin_s + 5})")
    assert result["errors"] == []
    samples = [sample for sample in result["samples"] if sample["time"] > begin_s + 0.2]
    shown = begins(samples, lambda sample: sample["cues"])
    assert len(shown) >= 2
    for at_s in shown[:2]:
        assert any(said == pytest.approx(at_s, abs=0.3) for said in begins(samples, lambda sample: sample["level"] > 0.003))
