"""The beginning of speech: heard from where the sound rises, and told when it is too quiet."""

import numpy as np
import pytest

from models.asr.vad import WINDOW_S, WINDOW_SAMPLES, EndpointOptions
from models.asr.whisper.audio_buffer import VoicedAudioBuffer

PADDING_S, REACH_S = 0.2, 0.6


class After:
    """A detector that notices speech so many windows after the stream began."""

    def __init__(self, windows):
        self.left = windows

    def probabilities(self, samples):
        self.left -= 1
        return np.array([0.0 if self.left >= 0 else 1.0], np.float32)


def sound(levels_db, seed=0):
    """Noise of one level for each window."""
    noise = np.random.default_rng(seed).standard_normal((len(levels_db), WINDOW_SAMPLES))
    return (noise * 10 ** (np.array(levels_db)[:, np.newaxis] / 20)).astype(np.float32).ravel()


def heard_before(levels_db, onset):
    """Seconds that are heard before the window in which the detector is first sure."""
    buffer = VoicedAudioBuffer(lambda: After(onset), EndpointOptions(), PADDING_S, REACH_S)
    buffer.feed(sound(levels_db))
    while (found := buffer.listen()) is not None:
        if any(endpoint.kind == "start" for endpoint in found[1]):
            return onset * WINDOW_S - buffer.onset()[0].start_sample / 16_000
    raise AssertionError("no onset")


def test_a_late_onset_reaches_back_to_where_the_sound_rises():
    quiet, soft = [-60.0] * 60, [-40.0] * 14
    assert heard_before([*quiet, *soft, *[-30.0] * 20], 74) == pytest.approx(14 * WINDOW_S, abs=0.04)


def test_a_closure_inside_the_sound_is_bridged_and_a_pause_is_not():
    closed = [*[-40.0] * 4, *[-60.0] * 3, *[-40.0] * 7]
    assert heard_before([*[-60.0] * 60, *closed, *[-30.0] * 20], 74) == pytest.approx(14 * WINDOW_S, abs=0.04)
    paused = [*[-40.0] * 4, *[-60.0] * 8, *[-40.0] * 8]
    assert heard_before([*[-60.0] * 60, *paused, *[-30.0] * 20], 80) == pytest.approx(8 * WINDOW_S, abs=0.04)


@pytest.mark.parametrize("level_db", [-120.0, -60.0, -35.0])
def test_nothing_but_the_padding_is_heard_of_steady_noise(level_db):
    assert heard_before([*[level_db] * 70, *[-20.0] * 20], 70) == pytest.approx(PADDING_S, abs=0.04)


@pytest.mark.parametrize(("level_db", "told"), [(-63.0, 1), (-45.0, 0)])
def test_very_quiet_speech_is_told_once(level_db, told):
    buffer = VoicedAudioBuffer(lambda: After(10), EndpointOptions(), PADDING_S, REACH_S)
    buffer.feed(sound([-90.0] * 10 + [level_db] * 400))
    while buffer.listen() is not None:
        pass
    buffer.restart(10**6)
    buffer.feed(sound([level_db] * 400))
    while buffer.listen() is not None:
        pass
    assert len(buffer.notices) == told
    assert all("very quiet (-63 dB" in notice.message for notice in buffer.notices)
