"""The incremental spectrogram is the reference's, however the audio arrives."""

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor
from hypothesis import given, settings
from hypothesis import strategies as st

from models.asr.whisper.log_mel import HOP_SAMPLES, LogMel


@pytest.mark.parametrize("n_mels", [80, 128])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(1, 3000), max_size=8))
def test_any_cut_equals_the_reference_extractor(n_mels, seed, cuts):
    random = np.random.default_rng(seed)
    audio = (0.1 * random.standard_normal(random.integers(400, 12_000))).astype(np.float32)
    mel, at = LogMel(n_mels), 0
    for cut in cuts:
        mel.push(audio[at : at + cut])
        mel.matrix()
        at += cut
    mel.push(audio[at:])
    expected = FeatureExtractor(feature_size=n_mels)(audio)
    assert mel.matrix().shape == expected.shape
    assert np.abs(mel.matrix() - expected).max() <= 1e-6


def test_trimmed_frames_leave_the_others_as_they_were():
    audio = (0.1 * np.random.default_rng(0).standard_normal(16_000)).astype(np.float32)
    whole, trimmed = LogMel(80), LogMel(80)
    whole.push(audio)
    trimmed.push(audio[:9000])
    trimmed.trim(30)
    trimmed.push(audio[9000:])
    assert np.abs(trimmed.matrix() - whole.matrix()[:, 30:]).max() <= 1e-6
    assert trimmed.matrix().shape[1] == len(audio) // HOP_SAMPLES + 1 - 30


def test_too_little_audio_has_no_frames():
    mel = LogMel(80)
    mel.push(np.ones(150, np.float32))
    assert mel.matrix().shape == (80, 0)
