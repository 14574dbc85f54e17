"""Trained weights (tiny.en) on recordings: faults that only real models show."""

import numpy as np

from benchmarks.asr_material import SPEECH, at_level, joined, read
from benchmarks.asr_weights import TERMS, errors, normalized
from models.asr.whisper import FasterWhisper
from models.model_files import models_folder
from pipeline.events import AudioChunk, Fault
from tests.weights import needs

RATE = 16_000
FOLDER = models_folder() / "whisper-tiny.en"
pytestmark = needs("whisper-tiny.en")
SAID = "he was not an ill disposed young man"


async def heard(recording, terms=()):
    """Committed words and notices."""
    words, notices = [], []
    backend = FasterWhisper(str(FOLDER), device="cpu", threads=1)
    async with backend.load() as recognizer, recognizer.open(["en"], terms) as listening:
        for start in range(0, len(recording.samples), 1600):
            piece = AudioChunk(recording.samples[start : start + 1600], RATE, start / RATE)
            transcript = await listening.hear(piece)
            words, notices = [*words, *transcript.committed], [*notices, *transcript.notices]
        rest = await listening.finish()
    return [*words, *rest.committed], [*notices, *rest.notices]


def wrong(words, said=SAID):
    return errors(said.split(), normalized("".join(word.text for word in words)))


async def test_a_glossary_of_twenty_terms_costs_no_word():
    recording = joined([read(SPEECH / "austen-0880.flac")], (0.5, 0.5))
    words, notices = await heard(recording, TERMS)
    assert wrong(words) <= 2
    assert not notices


async def test_sixty_long_terms_are_cut_told_and_cost_no_word():
    recording = joined([read(SPEECH / "austen-0880.flac")], (0.5, 0.5))
    words, notices = await heard(recording, [f"{term} of {place}" for term in TERMS for place in ("Bath", "York", "Kent")])
    assert wrong(words) <= 2
    assert [type(notice) for notice in notices] == [Fault]


async def test_speech_after_a_pause_is_not_lost_under_the_word_before_it():
    """The decoder ends at the pause and stretches its last word over what follows: "And Mr. John Dashwood had" was lost."""
    parts = [read(SPEECH / f"austen-{number}.flac") for number in ("0890", "0870")]
    words, notices = await heard(joined(parts, (0.5, 0.4, 0.5)))
    said = (
        "unless to be rather cold hearted and rather selfish is to be ill disposed "
        "and mister john dashwood had then leisure to consider how much "
        "there might be prudently in his power to do for them"
    )
    assert wrong(words, said) <= 4
    assert not notices


async def test_very_quiet_speech_is_heard_and_told():
    recording = joined([read(SPEECH / "austen-0880.flac"), read(SPEECH / "austen-0930.flac")], (0.5, 0.4, 0.5))
    noise = 1e-5 * np.random.default_rng(0).standard_normal(len(recording.samples))
    quiet = at_level(recording.samples, -66.0) + noise.astype(np.float32)
    words, notices = await heard(type(recording)("quiet", quiet.astype(np.float32)))
    assert len(words) >= 12
    assert any("very quiet" in notice.message for notice in notices)
    assert all(word.text.startswith(" ") for word in words)
