"""A speaker who was told apart by trained weights is erased: not a name, word or sample of theirs is left in any file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from models.tts.kokoro import Kokoro
from pipeline.contracts import Voice
from pipeline.events import ReadingUnit
from pipeline.stages.speak import whole
from tests.system.test_command_line import ROOT, command
from tests.unit.test_privacy import all_bytes
from tests.weights import needs

pytestmark = [pytest.mark.slow, needs("ge2e", "kokoro", "whisper-base", "bergamot-enpt")]
HERS = "My grandmother kept bees behind the house, and she talked to them about the weather."
HIS = "The train to the coast leaves every morning at half past seven, and it is seldom late."
LEFT_S = 1.0  # of her speech, whose samples are looked for


async def talks(folder: Path) -> float:
    """Write a talk of both and one of him, ``both.wav`` and ``his.wav``; gives the middle of her turn in seconds."""
    said: list[np.ndarray] = []
    pause = np.zeros(24_000, np.float32)
    async with Kokoro().load() as kokoro:
        for voice, text in (("af_bella", HERS), ("am_fenrir", HIS)):
            async with kokoro.open(Voice(voice), "en") as speaking:
                unit = ReadingUnit(0, (), text, "en", 0.0, 0.0, 0.0)
                said.append(np.concatenate([chunk.samples async for chunk in speaking.say(unit, whole(text))]))
    for name, turns in (("both.wav", said), ("his.wav", said[1:])):
        samples = np.concatenate([part for turn in turns for part in (turn, pause)])
        soundfile.write(folder / name, samples, 24_000, subtype="PCM_16")
    return len(said[0]) / 24_000 / 2


def run(folder: Path, *words: object) -> str:
    environment = os.environ | {"TRANSLATE_LIVE_DATA": str(folder / "data"), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command(*words), capture_output=True, text=True, cwd=folder, env=environment, timeout=200, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def translated(folder: Path, talk: str, names: str) -> None:
    """Run the program on a talk, with every kind of file that it writes."""
    run(
        folder, talk, "--from", "en", "--to", "pt", "--profile", "cpu", "--set", "synthesizer.use=models.tts.espeak:Espeak",
        "--speakers", "auto", "--names", names, "--captions", f"{talk}.vtt", "--captions", f"{talk}.srt",
        "--captions-language", "both", "--transcript", f"{talk}.txt", "--events", f"{talk}.jsonl",
        "--out", f"{talk}.pt.wav", "--record", f"{talk}.kept",
    )  # fmt: skip


@pytest.mark.timeout(400)
async def test_of_an_erased_speaker_no_name_word_or_sample_is_left_and_another_session_stays(tmp_path):
    middle_s = await talks(tmp_path)
    translated(tmp_path, "both.wav", "1=Zebedea,2=Otto")
    translated(tmp_path, "his.wav", "1=Otto")
    said = (tmp_path / "both.wav.txt").read_text()
    assert "Zebedea: " in said
    assert "Otto: " in said, "two people were told apart"
    recorded, rate = soundfile.read(tmp_path / "both.wav.kept" / "original.wav", dtype="int16")
    first = round(middle_s * rate)
    samples = recorded[first : first + round(LEFT_S * rate)]
    assert np.abs(samples).max() > 1000, "she speaks there"
    wanted = {
        "name": b"zebedea",
        "word": b"grandmother",
        "other word": b"bees",
        "sound": samples.astype("<i2").tobytes()[:4000].lower(),
    }
    (tmp_path / "both.wav").unlink()  # what the program was given is not its own
    before = all_bytes(tmp_path).lower()
    assert all(mark in before for mark in wanted.values())
    listed = run(tmp_path, "erase", "--list")
    (session,) = [line.split()[0] for line in listed.splitlines() if "Zebedea" in line]
    told = run(tmp_path, "erase", "--speaker", "zebedea")
    assert told.count("gone") == 7
    after = all_bytes(tmp_path).lower()
    assert [name for name, mark in wanted.items() if mark in after] == []
    assert session.encode() not in after
    assert {path.name for path in tmp_path.iterdir() if "both" in path.name} == set()
    assert "Otto: " in (tmp_path / "his.wav.txt").read_text()
    assert b"train" in after
    assert "Otto" in run(tmp_path, "erase", "--list")
