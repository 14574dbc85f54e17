"""The page with several languages: read side by side, one of them heard, each saved, none losing a word."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("playwright.async_api", reason="playwright is not installed")
from tests.system.test_page import (  # noqa: E402
    CONTRAST,
    browser,
    expect,
    numbers,
    open_page,
    pytestmark,  # noqa: F401 - skips where there is no browser
    read,
    recording,
    server,
    until,
)

SPEECH = {"session.output_audio.delta", "translate_live.speech"}


async def two_languages(page, path) -> None:
    """Choose a recording, Spanish, and German beside it."""
    await page.select_option("#to", "es")
    await page.get_by_label("Add a language").select_option("de")
    await page.check("[value=file]", force=True)
    await page.set_input_files("#file", path)


async def saved(page) -> dict[str, str]:
    """The files of both languages, of the source, and of all, once the session has ended."""
    await expect(page.locator("#state")).to_have_text("Done", timeout=30_000)
    await page.click("#open-save")
    files = {}
    for kind in ("es.vtt", "de.srt", "source.vtt", "both.txt"):
        async with page.expect_download() as download:
            await page.click(f"[data-file='{kind}']")
        files[kind] = read(await (await download.value).path())
    await page.keyboard.press("Escape")
    return files


def speech_of(page) -> list[str]:
    """Languages of the speech that comes to a page, one for each piece, from now on."""
    came: list[str] = []

    def note(frame: str | bytes) -> None:
        event = json.loads(frame)
        if event["type"] in SPEECH:
            came.append(event["target"])

    page.on("websocket", lambda socket: socket.on("framereceived", note))
    return came


async def test_two_languages_are_read_side_by_side_and_the_one_that_is_heard_changes_at_once(tmp_path):
    async with server() as running, browser(recording(tmp_path, 1)) as context:
        page = await open_page(context, running)
        came = speech_of(page)
        await two_languages(page, recording(tmp_path, 40))
        await page.click("#start")
        for language in ("es", "de"):
            await expect(page.locator(f".row .target[lang={language}] .said").first).to_contain_text(re.compile(r"\d"))
        left, right = [await page.locator(f".row .target[lang={one}]").first.bounding_box() for one in ("es", "de")]
        assert left["x"] + left["width"] <= right["x"]
        assert left["y"] == right["y"]
        await until(page, "stats().playedS > 0.5")
        assert set(came) == {"es"}, "what nobody hears is not spoken"
        await page.get_by_role("radio", name="Spanish").press("ArrowRight")
        await expect(page.get_by_role("radio", name="German")).to_be_checked()
        came.clear()
        played = await page.evaluate("stats().playedS")
        await until(page, f"stats().playedS > {played} + 0.5")
        assert came[-1] == "de"
        assert await page.evaluate("stats().reconnects") == 0
        files = await saved(page)
        for name, text in files.items():
            said = numbers(text)
            assert sorted(said) == sorted(list(range(40)) * (3 if name == "both.txt" else 1)), name
        await page.get_by_role("button", name="Remove German").click()
        await expect(page.locator(".hear")).to_have_count(0)
        await expect(page.locator(".head")).to_have_text("Spanish")


async def test_the_language_that_is_heard_goes_on_alone_when_it_becomes_the_only_one(tmp_path):
    async with server() as running, browser(recording(tmp_path, 1)) as context:
        page = await open_page(context, running)
        came = speech_of(page)
        await two_languages(page, recording(tmp_path, 60))
        await page.get_by_text("German", exact=True).last.click()
        await page.click("#start")
        await until(page, "stats().playedS > 0.5")
        await page.select_option("#to", "de")
        await expect(page.locator(".head")).to_have_text("German")
        played = await page.evaluate("stats().playedS")
        await until(page, f"stats().playedS > {played} + 2")
    assert set(came) == {"de"}


async def test_a_language_that_is_refused_is_taken_back_and_the_speech_goes_on(tmp_path):
    async with server() as running, browser(recording(tmp_path, 1)) as context:
        page = await open_page(context, running)
        await two_languages(page, recording(tmp_path, 60))
        await page.get_by_role("button", name="Remove German").click()
        await page.evaluate("document.querySelector('#to').append(new Option('Nowhere', 'xx'))")
        await page.click("#start")
        await until(page, "stats().playedS > 0.5")
        await page.select_option("#to", "xx")
        await expect(page.get_by_role("alert").first).to_contain_text("to 'xx'")
        await expect(page.locator("#to")).to_have_value("es")
        played = await page.evaluate("stats().playedS")
        await until(page, f"stats().playedS > {played} + 2")
        await page.get_by_label("Add a language").select_option("de")
        await expect(page.get_by_role("alert").first).to_be_empty()


async def test_terms_are_of_the_first_of_several_languages(tmp_path):
    glossary = "import('/choices.js').then(page => page.session().translate_live.glossary)"
    async with server() as running, browser(recording(tmp_path, 1)) as context:
        page = await open_page(context, running)
        await page.click("#open-settings")
        await page.get_by_label("Glossary").fill("stand-up = reunión diaria\nKubernetes")
        await page.keyboard.press("Escape")
        await page.select_option("#to", "es")
        assert [row.get("language", "") for row in await page.evaluate(glossary)] == ["", ""]
        await page.get_by_label("Add a language").select_option("de")
        assert [row.get("language", "") for row in await page.evaluate(glossary)] == ["es", ""]


HEARD_AGAIN = """(async () => {
  const [{ Transcript }, { Connection }] = await Promise.all([import('/transcript.js'), import('/connection.js')]);
  const near = ends => Object.assign(Object.create(Connection.prototype), { ends: new Map(ends) }).near;
  return [{ es: 20000, de: 4000 }, { es: 20000, de: 9000 }].map(ends => {
    const transcript = new Transcript(document.createElement('div'));
    const say = (text, unit) => {
      transcript.heard({ text, tail: '', language: 'en', ended: true });
      transcript.unit({ unit, target: 'es', text, source: text, start_ms: 0, end_ms: 0 });
    };
    transcript.languages('en', ['es']);
    say('one two', 0);
    transcript.heard({ text: 'um', tail: '', language: 'en', ended: true });
    transcript.note('a pause');
    say('three', 1);
    transcript.languages('en', ['es', 'de']);
    say('four', 2);
    transcript.heard({ text: 'five', tail: '', language: 'en', ended: false });
    transcript.rewind(near(Object.entries(ends)));
    return transcript.paragraphs.map(one => one.heard);
  });
})()"""
"""Words that stay after a loss, by paragraph, when a language that was added lacks them: one far behind, and one near.

Before it was added, a word was heard that no unit has: it is not heard again.
"""


async def test_after_a_loss_the_words_that_are_not_sent_again_stay(tmp_path):
    async with server() as running, browser(recording(tmp_path, 1)) as context:
        page = await open_page(context, running)
        assert await page.evaluate(HEARD_AGAIN) == [["one two um", "three", "four"], ["one two um", "three", ""]]


ADDED_IN_MID_SENTENCE = """(async given => {
  const [{ Transcript }, { Connection }] = await Promise.all([import('/transcript.js'), import('/connection.js')]);
  const sockets = [];
  window.WebSocket = class {
    static OPEN = 1;
    readyState = 1;
    sent = [];
    constructor() { sockets.push(this); }
    send(text) { this.sent.push(JSON.parse(text)); }
    close() {}
  };
  const transcript = new Transcript(document.createElement('div'));
  const heard = event => {
    if (event.type === 'translate_live.source') transcript.heard(event);
    if (event.type === 'translate_live.unit') transcript.unit(event);
  };
  const wanted = targets => ({ audio: { output: { language: targets[0] } }, translate_live: { targets } });
  transcript.languages('en', ['es']);
  const became = state => state === 'waiting' && transcript.rewind(connection.near);
  const connection = new Connection(wanted(['es']), heard, became);
  const take = (type, event) => connection.take({ type: `translate_live.${type}`, ...event });
  const source = (text, heard_ms) => take('source', { text, tail: '', language: 'en', ended: false, heard_ms });
  const unit = (number, target, text, end_ms) => {
    take('unit', { unit: number, target, text, source: text, start_ms: end_ms - 1000, end_ms });
  };
  const opened = () => { sockets.at(-1).onopen(); connection.take({ type: 'session.updated' }); };
  const say = () => connection.append(new Int16Array(24000));
  opened();
  say(); say(); say();
  source('one two three', 3000);
  unit(0, 'es', 'one two', 2000);
  transcript.languages('en', ['es', 'de']);
  connection.configure(wanted(['es', 'de']));
  connection.take({ type: 'session.updated' });
  say();
  source(' four', 4000);
  if (given) unit(1, 'es', 'three', 3000);
  sockets.at(-1).onclose({ code: 1006 });
  connection.open();
  opened();
  const { start_ms } = sockets.at(-1).sent[0].session.translate_live;
  const again = ['one', 'two', 'three', 'four'].slice(start_ms / 1000).join(' ');
  source(again, 4000);
  for (const target of ['es', 'de']) unit(2, target, again, 4000);
  connection.end('done');
  return [again, ...transcript.paragraphs.flatMap(({ heard, said }) => [heard, said.es.text, said.de?.text ?? '-'])];
})"""
"""What is heard again after a loss, and the rows; German is added while "three" waits for its unit, which comes or not."""


async def test_words_that_wait_when_a_language_is_added_are_shown_once_after_a_loss(tmp_path):
    async with server() as running, browser(recording(tmp_path, 1)) as context:
        page = await open_page(context, running)
        given, waiting = [await page.evaluate(f"{ADDED_IN_MID_SENTENCE}({one})") for one in ("true", "false")]
        assert given == ["four", "one two three", "one two three", "-", "four", "four", "four"]
        assert waiting == ["three four", "one two", "one two", "-", "three four", "three four", "three four"]


async def test_no_number_is_lost_and_no_unit_comes_twice_when_the_connection_breaks_while_one_language_is_behind(tmp_path):
    held: list[str] = []

    def opened(socket) -> None:
        """Keep two units of German back on the first connection, then break it."""
        far, first = socket.connect_to_server(), not sockets
        sockets.append(socket)

        def pass_on(text: str) -> None:
            event = json.loads(text)
            if first and event["type"] == "translate_live.unit" and event["target"] == "de" and event["unit"] > 0:
                held.append(text)
            if first and len(held) == 2:
                closing.extend(asyncio.ensure_future(end.close()) for end in (far, socket) if not closing[1:])
            elif not (first and held and event.get("target") == "de"):
                socket.send(text)

        far.on_message(pass_on)

    sockets: list = []
    closing: list[asyncio.Future] = []
    async with server() as running, browser(recording(tmp_path, 1)) as context:
        await context.route_web_socket(re.compile("/v1/realtime/"), opened)
        page = await open_page(context, running)
        await two_languages(page, recording(tmp_path, 36))
        await page.click("#start")
        files = await saved(page)
        assert len(held) == 2
    assert len(sockets) == 2
    assert numbers(files["de.srt"]) == list(range(36))
    for name in ("es.vtt", "source.vtt"):  # Spanish was ahead: a unit that only begins in what was given is given whole
        assert set(numbers(files[name])) == set(range(36)), name
        assert len(numbers(files[name])) < 36 + 6, "no unit comes twice"


async def test_several_languages_fit_a_telephone_and_are_kept_for_the_next_time(tmp_path):
    async with server() as running, browser(recording(tmp_path, 1)) as context:
        page = await open_page(context, running)
        await page.set_viewport_size({"width": 360, "height": 700})
        await two_languages(page, recording(tmp_path, 24))
        await page.click("#start")
        await expect(page.locator(".row .target[lang=de] .said").first).to_contain_text(re.compile(r"\d"))
        above, below = [await page.locator(f".row .target[lang={one}]").first.bounding_box() for one in ("es", "de")]
        assert above["y"] + above["height"] <= below["y"]
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        await page.get_by_text("German", exact=True).last.click()
        await expect(page.get_by_role("radio", name="German")).to_be_checked()
        await expect(page.locator("#announce")).to_have_attribute("lang", "de")
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            await until(page, "document.querySelector('.hear')")
            assert (
                await page.evaluate(CONTRAST.replace("'h1'", "'.hear:has(:checked)', '.hear:not(:has(:checked))', 'h1'"))
                == []
            )
        await page.click("#start")
        await expect(page.locator("#state")).to_have_text("Done", timeout=30_000)
        await page.reload()
        await expect(page.get_by_role("radio", name="German")).to_be_visible()
