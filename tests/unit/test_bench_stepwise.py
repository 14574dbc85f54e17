"""The pipeline as evaluators drive it: step by step, the same words as in one go, and nothing left behind."""

import threading

import numpy as np

from benchmarks.evaluators.stepwise import Setup, Stepwise


def words_of(steps, cuts):
    """Feed 6 s of audio cut at ``cuts`` (seconds); the words of each step."""
    bounds = [0, *(round(cut * 16_000) for cut in cuts), 96_000]
    audio = np.zeros(96_000, np.float32)
    said = []
    for index, (begin, end) in enumerate(zip(bounds, bounds[1:], strict=False)):
        units = steps.feed(audio[begin:end], 16_000, final=index == len(bounds) - 2)
        said.append([word for unit in units for word in unit.text.split()])
    return said


def test_a_stream_gives_all_its_words_however_it_is_cut():
    steps = Stepwise(Setup("scripted"))
    try:
        whole = words_of(steps, [])
        cut = words_of(steps, [0.5, 1.0, 1.7, 2.6, 3.1, 4.5])
        assert [word for step in cut for word in step] == whole[0] == [f"w{index}" for index in range(15)]
        assert any(cut[:-1]), "words come before the end"
        steps.feed(np.zeros(16_000, np.float32), 16_000, final=False)
        steps.clear()
        assert words_of(steps, []) == whole
    finally:
        steps.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "stepwise"]
