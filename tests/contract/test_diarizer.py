"""GE2E with its trained weights: its vectors are the official ones, and speakers are told apart by them."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from benchmarks.speaker_mixtures import spoken
from models.diarize.backend import CamPlusDiarizer, Ge2eDiarizer
from models.diarize.campplus import CamPlus, filterbank
from models.diarize.ge2e import Ge2e, mel_powers
from models.model_files import models_folder
from pipeline.errors import BadInput, ModelError
from pipeline.events import AudioChunk
from pipeline.stages.speak import whole
from tests.weights import needs

HZ = 16_000


def tones(pitch_hz: float, seconds: float) -> np.ndarray:
    at = np.arange(round(seconds * HZ)) / HZ
    return (0.1 * sum(np.sin(2 * np.pi * pitch_hz * part * at) / part for part in range(1, 12))).astype(np.float32)


def test_the_mel_spectrogram_is_that_of_librosas_filters_and_torch():
    librosa, torch = pytest.importorskip("librosa"), pytest.importorskip("torch")
    samples = tones(170, 1.0) + np.random.default_rng(0).normal(0, 0.01, HZ).astype(np.float32)
    # librosa's own transform is the same, and compiles for 17 s in a new environment
    spectrum = torch.stft(
        torch.from_numpy(samples), 400, 160, window=torch.hann_window(400), pad_mode="constant", return_complex=True
    )
    theirs = librosa.filters.mel(sr=HZ, n_fft=400, n_mels=40) @ spectrum.abs().square().numpy()
    np.testing.assert_allclose(mel_powers(samples), theirs.T, rtol=1e-3, atol=1e-5)


@needs("ge2e")
def test_the_network_is_that_of_torch():
    torch = pytest.importorskip("torch")
    path = models_folder() / "ge2e" / "pretrained.pt"
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    lstm.load_state_dict({name[5:]: value for name, value in state.items() if name.startswith("lstm.")})
    linear.load_state_dict({name[7:]: value for name, value in state.items() if name.startswith("linear.")})
    samples = tones(140, 1.5)
    with torch.no_grad():
        hidden = lstm(torch.from_numpy(mel_powers(samples))[None])[1][0][-1]
        theirs = torch.nn.functional.normalize(torch.relu(linear(hidden)))[0].numpy()
    np.testing.assert_allclose(Ge2e.load(path)(samples), theirs, atol=2e-5)


BACKENDS = [
    pytest.param(Ge2eDiarizer(), marks=needs("ge2e", "kokoro"), id="GE2E"),
    pytest.param(CamPlusDiarizer(), marks=needs("campplus", "kokoro"), id="CAM++"),
]


@pytest.fixture(scope="module")
def speech():
    """Speech of two voices, made once for all encoders."""
    return asyncio.run(_two_voices("We looked at the numbers again, and they are better than anybody here had expected."))


async def _two_voices(text):
    import soxr

    from models.tts.kokoro import Kokoro
    from pipeline.contracts import Voice
    from pipeline.events import ReadingUnit

    speech = {}
    async with Kokoro().load() as kokoro:
        for name in ("af_bella", "am_fenrir"):
            async with kokoro.open(Voice(name), "en") as speaking:
                unit = ReadingUnit(0, (), text, "en", 0.0, 0.0, 0.0)
                samples = np.concatenate([chunk.samples async for chunk in speaking.say(unit, whole(text))])
            speech[name] = spoken(soxr.resample(samples, 24_000, HZ))
    return speech


@pytest.mark.parametrize("backend", BACKENDS)
async def test_two_voices_are_two_speakers_and_a_known_one_is_called_by_name(backend, speech):
    pause = np.zeros(HZ // 2, np.float32)
    parts = [part for name in ("af_bella", "am_fenrir", "af_bella") for part in (speech[name], pause)]
    middles_s = (np.cumsum([len(part) for part in parts]) - np.array([len(part) for part in parts]) / 2)[::2] / HZ
    async with backend.load() as diarizer:
        for known, named in (
            ({}, ["1", "2", "1"]),
            ({"Ana": AudioChunk(speech["af_bella"], HZ, 0.0)}, ["Ana", "1", "Ana"]),
        ):
            async with diarizer.open(None, known) as diarizing:
                spans = [*(await diarizing.hear(AudioChunk(np.concatenate(parts), HZ, 0.0))).spans]
                spans += (await diarizing.finish()).spans
                assert (await diarizing.finish()).spans == ()
            assert [next(span.speaker for span in spans if span.start <= at <= span.end) for at in middles_s] == named
            assert {span.speaker for span in spans} == set(named)
        half = {name: len(samples) // 2 for name, samples in speech.items()}
        bella, other = AudioChunk(speech["af_bella"][: half["af_bella"]], HZ, 0.0), speech["am_fenrir"]
        same = await diarizer.likeness(bella, AudioChunk(speech["af_bella"][half["af_bella"] :], HZ, 0.0))
        assert same >= diarizer.one_voice_from > await diarizer.likeness(bella, AudioChunk(other, HZ, 0.0))


@needs("ge2e")
async def test_what_cannot_be_heard_is_refused():
    async with Ge2eDiarizer().load() as diarizer:
        with pytest.raises(BadInput, match=r"0\.5 s long"):
            async with diarizer.open(None, {"Ana": AudioChunk(tones(150, 0.5), HZ, 0.0)}):
                pass
        async with diarizer.open(2, {}) as diarizing:
            with pytest.raises(BadInput, match="16000 Hz"):
                await diarizing.hear(AudioChunk(tones(150, 0.5), 8000, 0.0))


@pytest.mark.parametrize(("backend", "name"), [(Ge2eDiarizer(), "ge2e"), (CamPlusDiarizer(), "campplus")])
async def test_missing_weights_are_told(tmp_path, monkeypatch, backend, name):
    pytest.importorskip("torch")
    monkeypatch.setenv("TRANSLATE_LIVE_MODELS", str(tmp_path))
    (lack,) = backend.missing()
    assert lack.fetchable
    with pytest.raises(ModelError, match=name):
        async with backend.load():
            pass


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    torch = pytest.importorskip("torch")
    torch.save({"head.conv1.weight": torch.ones(3)}, tmp_path / "a.pt")
    for load, name in ((CamPlus.load, "CAM"), (Ge2e.load, "no tensors")):
        with pytest.raises(ModelError, match=name):
            load(tmp_path / "a.pt")


def test_the_filterbank_is_kaldis_to_its_ends():
    """A pure tone lies in the band of its frequency, and bands are spread by Kaldi's mel scale."""
    mels = np.linspace(*(1127 * np.log(1 + np.array([20.0, 8000.0]) / 700)), 82)[1:-1]
    for hz in (440.0, 1000.0, 3000.0):
        energies = filterbank(np.sin(2 * np.pi * hz * np.arange(HZ) / HZ).astype(np.float32))
        assert energies.shape == (98, 80)
        assert abs(int(energies.mean(0).argmax()) - int(np.abs(mels - 1127 * np.log(1 + hz / 700)).argmin())) <= 1
