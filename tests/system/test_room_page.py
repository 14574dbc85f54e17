"""Two browsers in one room, one by an invitation without a key: each hears the other's numbers and none of its own."""

from __future__ import annotations

import hashlib
import re
import wave
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from benchmarks.serve_client import ServerProcess  # noqa: E402
from benchmarks.serve_rooms import SETTINGS  # noqa: E402
from benchmarks.spoken_numbers import SENT_HZ, spoken  # noqa: E402
from tests.system.test_page import CHROMIUM, browser, expect, site, until  # noqa: E402

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")


def recording(folder: Path, first: int) -> Path:
    """A WAV file that says numbers from ``first`` for a while."""
    path = folder / f"{first}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SENT_HZ)
        file.writeframes(bytes(SENT_HZ * 6) + spoken(first, 60))
    return path


async def join(page, name: str, language: str) -> None:
    await expect(page.locator("#language option").first).to_be_attached()
    await page.evaluate("import('/room.js').then(page => { window.stats = page.stats; })")
    await page.fill("#name", name)
    await page.select_option("#language", language)
    await page.uncheck("#echo")  # its high-pass filter would take the levels that are the numbers
    await page.click("#join")


async def numbers(page, who: str) -> set[int]:
    texts = await page.locator(f"#lines [data-who='{who}'] .said").all_inner_texts()
    return {int(number) for text in texts for number in re.findall(r"\d+", text)}


async def test_a_host_invites_a_guest_they_hear_each_other_and_know_that_they_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSLATE_LIVE_DATA", str(tmp_path / "data"))
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"- {{id: host, sha256: {hashlib.sha256(b'secret').hexdigest()}}}\n")
    running = await ServerProcess.start(4, "--keys", keys, "--record", tmp_path / "rec", *SETTINGS)
    try:
        await running.ready()
        async with browser(recording(tmp_path, 0)) as host, browser(recording(tmp_path, 102)) as guest:
            ana = await host.new_page()
            await ana.goto(site(running))
            await ana.fill("#key", "secret")
            await ana.click("#login-form button")
            await expect(ana.locator("#to option").first).to_be_attached()
            await ana.goto(f"{site(running)}/room.html?room=tea")
            await expect(ana.locator("#language option").first).to_be_attached()
            await ana.click("#invite")
            await expect(ana.locator("#address")).to_have_value(re.compile(r"room\.html\?room=tea&invite=rm_"))
            address = await ana.input_value("#address")
            await join(ana, "Ana", "en")
            await expect(ana.locator("#state")).to_have_text("In the room")
            await expect(ana.locator("#recorded")).to_be_visible()

            bo = await guest.new_page()
            await bo.goto(address)
            await expect(bo.locator("#recorded")).to_contain_text("This room is recorded")
            await join(bo, "Ana", "es")
            await expect(bo.locator("#alert")).to_contain_text("'Ana' is in the room already")
            assert await bo.locator("#voice option").all_inner_texts() == ["a standard voice", "your own", "high", "low"]
            await bo.select_option("#voice", "high")
            await join(bo, "Bo", "es")
            await expect(bo.locator("#state")).to_have_text("In the room")
            await expect(bo.locator("#people")).to_have_text("Ana, Bo")
            await expect(bo.locator("#lines [data-who=Ana] .said").first).to_contain_text(re.compile(r"\d"))
            await expect(ana.locator("#lines [data-who=Bo] .said").first).to_contain_text(re.compile(r"\d"))
            await until(ana, "stats().playedS > 1")
            await until(bo, "stats().playedS > 1")
            assert await numbers(bo, "Ana") <= set(range(60))
            assert await numbers(ana, "Bo") <= set(range(102, 162))
            await bo.click("#join")
            await expect(bo.locator("#state")).to_have_text("Left")
            await ana.click("#join")
            await expect(ana.locator("#state")).to_have_text("Left")
            async with bo.expect_download() as saved:
                await bo.click("#save")
            kept = sorted(path.suffix for path in (tmp_path / "rec").glob("*/*"))
            assert kept == [".vtt", ".vtt", ".wav", ".wav"]
            assert "Ana: " in (await (await saved.value).path()).read_text(encoding="utf-8")
    finally:
        await running.end()


async def test_an_invitation_to_one_room_opens_no_other(tmp_path):
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"- {{id: host, sha256: {hashlib.sha256(b'secret').hexdigest()}}}\n")
    running = await ServerProcess.start(4, "--keys", keys, *SETTINGS)
    try:
        await running.ready()
        async with browser(recording(tmp_path, 0)) as guest:
            bo = await guest.new_page()
            await bo.goto(f"{site(running)}/room.html?room=tea&invite=rm_forged")
            await expect(bo.locator("#recorded")).to_be_hidden()
            await join(bo, "Bo", "es")
            await expect(bo.locator("#alert")).to_contain_text("key, or an invitation")
    finally:
        await running.end()
