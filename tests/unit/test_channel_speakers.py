"""Two people on a channel each: who is louder speaks, without a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.audio.multichannel import SLOTS, ChannelLevels
from pipeline.cli import main
from pipeline.events import AudioChunk
from tests.unit.test_cli_speakers import CONFIG

HZ = 16_000


def noise(seconds: float, level: float, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * HZ))).astype(np.float32)


def call() -> np.ndarray:
    """The first channel speaks, then the second, then nobody, then the first; each is heard a little on the other."""
    parts = [(0.1, 0.01), (0.01, 0.1), (0.0001, 0.0001), (0.1, 0.01)]
    return np.stack([np.concatenate([noise(3, pair[which], which) for pair in parts]) for which in (0, 1)])


async def spans_of(planes: np.ndarray, step: int) -> list:
    levels, spans = ChannelLevels(), []
    async with levels.open(None, {}) as diarizing:
        for start in range(0, planes.shape[1], step):
            piece = planes[:, start : start + step]
            levels.add(piece, HZ, start / HZ)
            spans += (await diarizing.hear(AudioChunk(piece[0], HZ, start / HZ))).spans
        spans += (await diarizing.finish()).spans
    return spans


@pytest.mark.parametrize("step", [160, 1152, 4096, HZ])
async def test_the_louder_channel_speaks_and_silence_is_of_who_spoke_last(step):
    spans = await spans_of(call(), step)
    said = {
        moment: next(span.speaker for span in spans if span.start <= moment < span.end) for moment in (1.5, 4.5, 7.5, 10.5)
    }
    assert said == {1.5: "1", 4.5: "2", 7.5: "2", 10.5: "1"}
    changes = [span.start for before, span in zip(spans, spans[1:], strict=False) if before.speaker != span.speaker]
    assert np.allclose(changes, [3.0, 9.0], atol=0.21)


async def test_one_voice_on_both_channels_is_one_speaker():
    both = np.stack([noise(5, 0.1), noise(5, 0.09)])
    assert {span.speaker for span in await spans_of(both, 1600)} == {"1"}


def test_memory_is_bounded_also_over_a_leap():
    levels = ChannelLevels()
    levels.add(noise(1, 0.1)[None], HZ, 0.0)
    levels.add(noise(1, 0.1)[None], HZ, 1e6)
    levels.add(noise(1, 0.1)[None], HZ, 1e6 + 1)
    assert len(levels._slots) <= SLOTS
    assert levels.powers(10**7 + 3, 10**7 + 4)[0][0] == pytest.approx(0.01, rel=0.2)


def translate(talk: Path, *options: object) -> int:
    (talk.parent / "own.yaml").write_text(CONFIG)
    words = ["--to", "es", "--from", "en", "--config", str(talk.parent / "own.yaml"), "--channels", "speakers"]
    return main([str(talk), *words, *map(str, options)])


def test_a_call_has_two_speakers_by_name(tmp_path, capsys):
    soundfile.write(tmp_path / "call.wav", call().T, HZ)
    captions = tmp_path / "call.vtt"
    assert translate(tmp_path / "call.wav", "--names", "1=Agent,2=Caller", "--captions", captions) == 0
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()][0] == "Agent"
    written = captions.read_text()
    assert written.index("<v Agent>") < written.index("<v Caller>") < written.rindex("<v Agent>")


def test_a_file_with_one_channel_is_refused(tmp_path, capsys):
    soundfile.write(tmp_path / "talk.wav", noise(2, 0.1), HZ)
    assert translate(tmp_path / "talk.wav") == 2
    assert "one channel" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["call.wav", "--speakers", "2"], ["--mic"], ["call.wav", "call.wav"], ["-"]])
def test_what_has_no_channels_is_refused(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    soundfile.write(tmp_path / "call.wav", call().T, HZ)
    assert main([*words, "--to", "es", "--channels", "speakers"]) == 2
    assert "--channels speakers" in capsys.readouterr().err
