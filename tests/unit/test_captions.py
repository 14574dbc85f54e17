"""Captions: readable cues that never overlap, in files that are valid at every moment."""

import resource
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pysubs2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import BadInput, DeviceError
from pipeline.events import Lag, ReadingUnit, Skipped, SpeechChunk, Transcript, Word
from pipeline.sinks.captions import Captions
from pipeline.sinks.cues import LINE_COLUMNS, LONGEST_S, SHORTEST_S, Cue, CueLayout, columns, uncapitalized

MILLISECOND = 0.001


def unit(number: int, text: str, source: str, start: float, end: float) -> ReadingUnit:
    words = source.split()
    step = (end - start) / max(1, len(words))
    covered = tuple(
        Word(f" {word}", start + step * index, start + step * (index + 1), 1.0) for index, word in enumerate(words)
    )
    return ReadingUnit(number, covered, text, "es", start, end, end + 0.5)


def heard(heard_s: float) -> Transcript:
    return Transcript((), (), "en", heard_s, 0.0, False)


texts = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=60), max_size=30).map(
    " ".join
)


@st.composite
def talks(draw) -> list[ReadingUnit]:
    units, now = [], 0.0
    for number in range(draw(st.integers(0, 12))):
        now += draw(st.floats(0, 4))
        end = now + draw(st.floats(0, 9))
        units.append(unit(number, draw(texts), draw(texts), now, end))
        now = end
    return units


def laid_out(units: list[ReadingUnit], *, hearing: bool) -> list[Cue]:
    layout, cues = CueLayout(), []
    for item in units:
        if hearing:
            cues += layout.heard(item.start)
        cues += layout.add(item)
    return cues + layout.finish()


@settings(max_examples=60, deadline=None)
@given(talks(), st.booleans())
def test_cues_are_readable_and_never_overlap(units, hearing):
    cues = laid_out(units, hearing=hearing)
    for cue in cues:
        assert SHORTEST_S - MILLISECOND <= cue.end - cue.start <= LONGEST_S + MILLISECOND
        for text in (cue.source, cue.target):
            assert len(text.split("\n")) <= 2
            assert all(columns(line) <= LINE_COLUMNS for line in text.split("\n"))
    for cue, following in pairwise(cues):
        assert cue.end <= following.start


@settings(max_examples=60, deadline=None)
@given(talks(), st.booleans())
def test_every_letter_is_shown_once_and_in_order(units, hearing):
    cues = laid_out(units, hearing=hearing)
    for language, said in (
        ("source", [word.text for item in units for word in item.source]),
        ("target", [u.text for u in units]),
    ):
        shown = "".join(getattr(cue, language) for cue in cues)
        assert "".join(shown.split()).casefold() == "".join("".join(said).split()).casefold()  # a cut makes a capital small


@given(st.lists(st.sampled_from("aé字の ́"), min_size=1, max_size=400).map("".join))
def test_no_line_is_wider_than_the_limit(text):
    for cue in laid_out([unit(0, text, "", 0, 4)], hearing=False):
        for line in cue.target.split("\n"):
            assert sum(2 if character in "字の" else character != "́" for character in line) <= LINE_COLUMNS


def test_a_word_as_wide_as_a_line_stays_whole():
    (cue,) = laid_out([unit(0, "w" * LINE_COLUMNS + " and", "", 0, 4)], hearing=False)
    assert cue.target == "w" * LINE_COLUMNS + "\nand"


def test_cue_never_begins_before_its_words_and_catches_up_after_a_burst():
    burst = [unit(number, "sí", "yes", number * 0.4, number * 0.4 + 0.3) for number in range(30)]
    late = unit(30, "después", "afterwards", 20.0, 22.0)
    cues = laid_out([*burst, late], hearing=False)
    assert all(cue.end - cue.start >= SHORTEST_S for cue in cues)
    assert cues[-1].start == pytest.approx(20.0)
    assert sum(cue.target.count("sí") for cue in cues) == 30


def test_a_short_unit_stays_until_it_is_read_or_the_next_begins():
    long_text = "una traducción de unas pocas palabras"
    (alone,) = laid_out([unit(0, long_text, "few words", 1.0, 1.5)], hearing=False)
    assert alone.end - alone.start == pytest.approx(len(long_text) / 17)
    first, _ = laid_out([unit(0, long_text, "few words", 1.0, 1.5), unit(1, "más", "more", 2.5, 4)], hearing=False)
    assert first.end == 2.5


def test_a_cue_is_final_once_it_could_stay_no_longer():
    layout = CueLayout()
    assert layout.add(unit(0, "hola", "hello", 0.0, 1.0)) == []
    assert layout.heard(0.9) == []
    assert [cue.target for cue in layout.heard(1.0)] == ["hola"]
    assert layout.finish() == []


def cues_in(path: Path) -> list[tuple[int, int, str]]:
    return [(event.start, event.end, event.plaintext) for event in pysubs2.load(str(path))]


@pytest.mark.parametrize("name", ["talk.srt", "talk.VTT"])
async def test_the_file_is_valid_after_every_event(tmp_path, name):
    captions = Captions(tmp_path / name, "both")
    seen = 0
    for number in range(8):
        await captions.put(
            unit(number, f" frase {number} <b> & \\N {{x}}", f"phrase {number} --> done", number * 3, number * 3 + 2.5)
        )
        written = cues_in(tmp_path / name) if number else []
        assert len(written) >= seen
        seen = len(written)
    assert seen == 7
    await captions.close()
    text = (tmp_path / name).read_text()
    assert len(cues_in(tmp_path / name)) == 8
    assert text.count("-->") == 8
    assert text.endswith("\n\n")
    assert "{x}" in text
    assert text.startswith("WEBVTT\n\nNOTE AI-generated translation") == name.endswith("VTT")


@pytest.mark.parametrize(("shown", "lines"), [("source", ["hello"]), ("target", ["hola"]), ("both", ["hola", "hello"])])
async def test_languages_shown(tmp_path, shown, lines):
    captions = Captions(tmp_path / "talk.srt", shown)
    await captions.put(unit(0, " hola", "hello", 0.25, 2.0001))
    await captions.close()
    assert cues_in(tmp_path / "talk.srt") == [(250, 2000, "\n".join(lines))]


def test_a_suffix_that_is_no_subtitle_format(tmp_path):
    with pytest.raises(BadInput, match=r"\.txt.*valid: \.srt, \.vtt"):
        Captions(tmp_path / "talk.txt")


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(DeviceError, match=r"missing.talk\.srt: No such file or directory; try:"):
        Captions(tmp_path / "missing" / "talk.srt")


async def put_all(captions: Captions, units: list[ReadingUnit]) -> None:
    for item in units:
        await captions.put(item)


async def test_a_full_disk_leaves_whole_cues(tmp_path):
    """A limit on file size stands for the full disk: the write stops half-way through a cue."""
    path = tmp_path / "talk.vtt"
    limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    captions = Captions(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (230, most))
    try:
        with pytest.raises(DeviceError, match=r"talk\.vtt"):
            await put_all(
                captions,
                [unit(number, f"frase número {number}", "phrase", number * 3, number * 3 + 2) for number in range(20)],
            )
        with pytest.raises(DeviceError):
            await captions.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))
        signal.signal(signal.SIGXFSZ, ignored)
    assert [text for _, _, text in cues_in(path)] == ["frase número 0", "frase número 1", "frase número 2"]
    assert path.read_text().endswith("frase número 2\n\n")


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from pipeline.sinks.captions import Captions
from pipeline.events import ReadingUnit
captions = Captions(Path(sys.argv[1]))
for number in range(5):
    asyncio.run(captions.put(ReadingUnit(number, (), f"frase {number}", "es", number * 3.0, number * 3 + 2.0, 0.0)))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_leaves_its_cues(tmp_path):
    path = tmp_path / "talk.srt"
    ended = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert [text for _, _, text in cues_in(path)] == [f"frase {number}" for number in range(4)]


async def written(path: Path, *units: ReadingUnit, **options: str) -> str:
    captions = Captions(path, **options)
    await put_all(captions, list(units))
    await captions.close()
    return path.read_text(encoding="utf-8")  # noqa: ASYNC240


@pytest.mark.parametrize(("name", "comma"), [("a.srt", ","), ("a.vtt", ".")])
async def test_hours_beyond_ninety_nine(tmp_path, name, comma):
    text = await written(tmp_path / name, unit(0, "hola", "hello", 360_001.5, 360_003.5))
    assert f"\n100:00:01{comma}500 --> 100:00:03{comma}500\nhola\n\n" in f"\n{text}"


@pytest.mark.parametrize(
    ("name", "said", "text"),
    [
        ("a.srt", "C:\\new \\N", "C:\\new \\N"),
        ("a.vtt", "C:\\new \\N", "C:\\new \\N"),
        ("a.srt", "<b>1 < 2</b> {\\an8}x", "<\u2060b>1 < 2<\u2060/b> {\u2060\\an8}x"),
        ("a.vtt", "<b> & 1 --> 2", "&lt;b&gt; &amp; 1 --&gt; 2"),
        ("a.srt", "1 --> 2", "1 → 2"),
        ("a.srt", "שלום, Google!", "\u202bשלום, Google!\u202c"),
        ("a.vtt", "مرحبا.", "\u202bمرحبا.\u202c"),
        ("a.vtt", "hola.", "hola."),
    ],
)
async def test_what_was_said_is_text_in_its_own_direction(tmp_path, name, said, text):
    assert (await written(tmp_path / name, unit(0, said, "", 0, 2))).endswith(f"\n{text}\n\n")


async def test_each_line_of_a_right_to_left_cue_keeps_its_direction(tmp_path):
    long = "שלום לכולם וברוכים הבאים אל המפגש השנתי של כולנו."
    text = await written(tmp_path / "a.srt", unit(0, long, "welcome all", 0, 4), shown="both")
    *lines, last = text.strip().split("\n")[2:]
    assert last == "welcome all"
    assert len(lines) == 2
    assert all(line[0] + line[-1] == "\u202b\u202c" for line in lines)


@pytest.mark.parametrize(
    ("before", "text", "source", "language", "expected"),
    [
        ("creo", " That it works", "que funciona", "en", " that it works"),
        ("creo", "That it works", "que funciona", "en", "that it works"),
        ("Sí.", "That it works", "que funciona", "en", "That it works"),
        ("«Sí.»", "That it works", "que funciona", "en", "That it works"),
        ("y", "London is far", "y Londres", "en", "London is far"),
        ("y", "I believe it", "lo creo", "en", "I believe it"),
        ("y", "Monday is fine", "el lunes", "en", "Monday is fine"),
        ("y", "Spanish is easy", "el español", "en", "Spanish is easy"),
        ("y", "NATO said so", "la otan", "en", "NATO said so"),
        ("und", "Haus und Hof", "house and yard", "de", "Haus und Hof"),
        ("y", "Écoute-moi", "escúchame", "fr", "écoute-moi"),
        ("y", "That it works", "QUE FUNCIONA", "en", "That it works"),
    ],
)
def test_no_capital_in_the_middle_of_a_sentence(before, text, source, language, expected):
    assert uncapitalized(replace(unit(1, text, source, 3, 5), language=language), before) == expected


async def test_captions_follow_on_from_the_unit_before(tmp_path):
    units = [unit(0, "creo", "so", 0, 2), unit(1, "", "er", 2, 3), unit(2, " Que es así", "it is so", 3, 5)]
    assert (await written(tmp_path / "a.vtt", *units)).endswith("\nque es así\n\n")


def speech(number: int, start: float, seconds: float, *, last: bool = True) -> SpeechChunk:
    return SpeechChunk(number, np.zeros(int(seconds * 100), np.float32), 100, last, start)


async def test_captions_are_timed_to_the_speech(tmp_path):
    """A unit that is spoken late, two in one breath, one without speech between them, one skipped, and one at the end."""
    path = tmp_path / "talk.srt"
    captions = Captions(path, "target", "es", "speech")
    units = [replace(unit(n, f"frase {n}", "phrase", n * 2.0, n * 2.0 + 1.9), target="es") for n in range(7)]
    for event in (
        *units[:2], replace(units[0], target="fr"), speech(0, 4.0, 1.0, last=False), Lag(0, 4.0, 2.1, 0, 1, 0),
        speech(0, 5.0, 1.5, last=False), speech(0, 6.5, 0.0), *units[2:5],
        Lag(1, 7.0, 2.1, 0, 1, 1), Lag(2, 9.0, 2.1, 0, 1, 1), speech(1, 7.0, 4.0), Lag(4, 20.0, 2.1, 0, 1, 4),
        speech(4, 20.0, 2.0), units[5], Skipped(5, 5, "late"), units[6],
    ):  # fmt: skip
        await captions.put(event)
    await captions.close()
    starts = {text: start / 1000 for start, _, text in cues_in(path)}
    assert list(starts) == [f"frase {number}" for number in range(7)]
    assert [starts[f"frase {number}"] for number in (0, 1, 2, 4)] == [4.0, 7.0, 9.0, 20.0]
    assert {text: end for _, end, text in cues_in(path)}["frase 0"] == 6500


async def test_captions_of_the_speech_come_while_it_is_spoken(tmp_path):
    path = tmp_path / "talk.srt"
    captions = Captions(path, "target", "", "speech")
    for number in range(3):
        await captions.put(unit(number, f"frase {number}", "phrase", number * 2.0, number * 2.0 + 1.9))
        await captions.put(Lag(number, number * 3.0 + 2, 1.0, 0, 1, number))
        await captions.put(speech(number, number * 3.0 + 2, 2.0))
    assert [text for _, _, text in cues_in(path)] == ["frase 0", "frase 1"]
    await captions.close()


async def captioned(path: Path, units: list[ReadingUnit]) -> str:
    sink = Captions(path, "both")
    for one in units:
        await sink.put(one)
    await sink.close()
    return path.read_text()  # noqa: ASYNC240


def of_speakers() -> list[ReadingUnit]:
    spoken = [("Ana", "Hola.", "Hello."), ("Ana", "¿Qué tal?", "How are you?"), ("Bob & Co <3", "Bien.", "Fine.")]
    return [
        replace(unit(number, target, source, 0.4 * number, 0.4 * number + 0.3), speaker=speaker)
        for number, (speaker, target, source) in enumerate(spoken)
    ]


async def test_webvtt_names_who_speaks_in_every_cue(tmp_path):
    written = await captioned(tmp_path / "a.vtt", of_speakers())
    assert "<v Ana>Hola. ¿Qué tal?\nHello. How are you?" in written
    assert "<v Bob &amp; Co &lt;3>Bien.\nFine." in written
    names = [cue.name for cue in pysubs2.load(str(tmp_path / "a.vtt"), format_="vtt")]
    assert len(names) == 2


async def test_srt_names_who_speaks_where_that_changes(tmp_path):
    written = await captioned(tmp_path / "a.srt", [*of_speakers(), replace(unit(3, "Sí.", "Yes.", 9, 10), speaker="Ana")])
    assert [line for line in written.splitlines() if ":" in line and "-->" not in line] == [
        "Ana: Hola. ¿Qué tal?", "Ana: Hello. How are you?", "Bob & Co <3: Bien.", "Bob & Co <3: Fine.",
        "Ana: Sí.", "Ana: Yes.",
    ]  # fmt: skip


@given(st.lists(st.sampled_from(["", "ana", "bob"]), min_size=1, max_size=12), st.floats(0.1, 3))
def test_a_cue_is_of_one_speaker(speakers, length_s):
    layout, cues = CueLayout(), []
    for number, speaker in enumerate(speakers):
        one = unit(number, f"{speaker}{number} dice", "word", number * length_s, (number + 1) * length_s)
        cues += layout.add(replace(one, speaker=speaker))
    cues += layout.finish()
    for cue in cues:
        assert {word.rstrip("0123456789") for word in cue.target.split() if word != "dice"} == {cue.speaker}
