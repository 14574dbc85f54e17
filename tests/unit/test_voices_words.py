"""A voice that is learned from a clip and its words: the profile's recognizer hears them, or the enrolment is refused."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.contracts import Voice
from pipeline.errors import BadInput
from pipeline.events import AudioChunk
from pipeline.voices.enrolment import learned
from tests.scripted_voices import Learner, Reader

CLIP = AudioChunk(np.full(4 * 24_000, 0.25, np.float32), 24_000, 0.0)


class Attentive(Learner):
    """Learns from a clip and its words."""

    async def enrol_said(self, audio: AudioChunk, words: str) -> Voice:
        return Voice(words, {"seconds": np.array([audio.duration], np.float32)})


def profile(text="the words said"):
    return SimpleNamespace(name="toy", backends=SimpleNamespace(recognizer=Reader(text)))


async def test_the_recognizer_hears_the_words_of_the_clip():
    voice = await learned(Attentive(), CLIP, "en", profile())
    assert (voice.name.strip(), voice.arrays["seconds"].tolist()) == ("the words said", [4.0])


async def test_a_recognizer_that_is_loaded_hears_them_and_no_other_is_loaded():
    async def loaded(stage: str) -> object:
        return {"recognizer": Reader("the loaded one's")}[stage]

    voice = await learned(Attentive(), CLIP, "en", profile("another's"), loaded)
    assert voice.name.strip() == "the loaded one's"


async def test_a_language_that_is_not_heard_is_refused():
    with pytest.raises(BadInput, match="toy does not hear German"):
        await learned(Attentive(), CLIP, "de", profile())


async def test_others_learn_from_the_clip_alone():
    learner = Learner()
    await learned(learner, CLIP, "de", profile())
    assert learner.enrolled == [CLIP]
