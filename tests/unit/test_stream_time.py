"""Stream time: the source's second 0 on the clock, however late the machine hands out its audio."""

import numpy as np

from pipeline.events import AudioChunk
from pipeline.stream_time import LiveTime


class Hands:
    """A clock that is set by hand."""

    def __init__(self):
        self.at = 0.0

    def now(self):
        return self.at


def chunk(start):
    return AudioChunk(np.zeros(320, np.float32), 16_000, start)


def test_no_audio_was_there_before_it_was_heard_even_if_the_first_came_late():
    clock = Hands()
    time = LiveTime(clock)
    for start, late in ((0.0, 0.013), (0.02, 0.001), (0.04, 0.008)):
        clock.at = 10.0 + start + 0.02 + late
        time.hear(chunk(start))
        assert time.now() >= start + 0.02 - 1e-9
    assert abs(time.clock_time(0.0) - 10.001) < 1e-9
