"""Ctrl-C and SIGTERM at any moment: files stay valid, and the process ends in time."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pysubs2
import pytest
import soundfile

from pipeline.commands.signals import SIGNALS, Interruption
from pipeline.commands.translate_run import _tell_written
from pipeline.sinks.event_log import read_events
from tests.unit.test_cli_translate import SCRIPTED

TALKING = SCRIPTED | {"recognizer": SCRIPTED["recognizer"] | {"word_s": 0.2}}
HANGING = TALKING | {"translator": SCRIPTED["translator"] | {"hangs_at": ["translate", 3]}}


def started(folder: Path, backends: dict, **other: str) -> subprocess.Popen:
    """A session at real-time pace in a process of its own, which has said its first unit; ``other`` outputs by option."""
    soundfile.write(folder / "talk.wav", np.zeros(60 * 16_000, np.float32), 16_000)
    (folder / "scripted.yaml").write_text(json.dumps(backends))
    files = {"--out": "out.wav", "--captions": "out.srt", "--events": "out.jsonl", "--config": "scripted.yaml"}
    files |= {f"--{option}": name for option, name in other.items()}
    words = [f"{option}={folder / name}" for option, name in files.items()]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "pipeline",
            str(folder / "talk.wav"),
            "--to",
            "es",
            "--profile",
            "cpu",
            "--realtime",
            *words,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("WORD0")
    return process


def assert_valid(folder: Path, *names: str) -> None:
    """The files, if not named all, can be read and hold what was said."""
    for name in names or ("out.wav", "out.srt", "out.jsonl"):
        match Path(name).suffix:
            case ".wav":
                speech, rate = soundfile.read(folder / name)
                assert len(speech) / rate > 1.0
            case ".srt":
                assert pysubs2.load(str(folder / name))[0].plaintext.startswith("WORD0")
            case ".jsonl":
                assert "ReadingUnit" in {event["event"] for event in read_events(folder / name)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_drains(tmp_path, number):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("these tests were started with nohup, whose children ignore this signal")
    process = started(tmp_path, TALKING)
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 128 + number
    assert "stopping" in errors
    assert "Traceback" not in errors
    assert re.search(
        r"^heard \d+\.\d s, \d+ units?, 0 skipped; ear-voice span p50 \d.* s; first audio \d.* s$", errors, re.M
    )
    assert_valid(tmp_path)


@pytest.mark.parametrize("times", [1, 2])
def test_a_broadcast_that_is_interrupted_has_an_end(tmp_path, times):
    process = started(tmp_path, TALKING, out="show/live.m3u8")
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert (tmp_path / "show/live.m3u8").read_text().rstrip().endswith("#EXT-X-ENDLIST")


def fill(descriptor: int) -> None:
    """Write until a pipe takes no more."""
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(descriptor, b"x")


def test_a_first_signal_drains_although_nobody_reads_what_is_told(tmp_path):
    process = started(tmp_path, TALKING)
    errors = os.open(f"/proc/{process.pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
    fill(errors)
    os.close(errors)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    process.communicate()
    assert_valid(tmp_path)


def test_the_second_signal_stops_a_session_that_cannot_drain(tmp_path):
    process = started(tmp_path, HANGING)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "stopping" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 128 + signal.SIGINT
    assert "\nheard " in f"\n{errors}"
    assert errors.splitlines()[-1].startswith("wrote ")
    assert_valid(tmp_path)


def test_a_kill_leaves_valid_files(tmp_path):
    process = started(tmp_path, TALKING)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("WORD")  # the second unit: the first one's cue is final
    process.kill()
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGKILL
    assert_valid(tmp_path)


class Unmutable:
    """A session that can no longer be told anything."""

    def stop(self) -> None:
        pass

    def mute(self, muted: bool = True) -> None:
        raise RuntimeError("closed")


async def test_a_session_that_cannot_be_muted_is_cancelled_all_the_same():
    async def run() -> None:
        told.append(Interruption(lambda line: None))
        told[0].session = Unmutable()
        await asyncio.sleep(60)

    told: list[Interruption] = []
    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    told[0].receive(signal.SIGINT, drains=True)
    with pytest.raises(RuntimeError, match="closed"):
        told[0].receive(signal.SIGINT, drains=False)
    with pytest.raises(asyncio.CancelledError):
        await task


BLOCKED = """
import asyncio, time
from pipeline.commands.signals import Interruption

async def main():
    with Interruption(print).watching():
        print("blocked", flush=True)
        time.sleep(60)  # as a write to a disk that is gone

asyncio.run(main())
"""


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]])
def test_signals_end_a_process_whose_event_loop_is_blocked(signals):
    process = subprocess.Popen([sys.executable, "-c", BLOCKED], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "blocked\n"
    for number in signals:
        process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode in {128 + number for number in signals}


async def test_signals_are_as_before_afterwards():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interruption(lambda line: None).watching():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


async def test_a_hangup_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with Interruption(lambda line: None).watching():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_file_that_was_never_begun_is_not_said_to_be_written(tmp_path):
    (tmp_path / "a.srt").touch()
    told: list[str] = []
    plan = SimpleNamespace(written=[tmp_path / "a.srt", tmp_path / "b.wav"], options=SimpleNamespace(record=None))
    _tell_written(plan, [], told.append)
    assert told == [f"wrote {tmp_path / 'a.srt'}"]
