"""Speech for the recognizer: recordings with transcripts as talks, and what makes speech hard."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
import soxr

from models.asr.whisper.log_mel import SAMPLE_RATE
from pipeline.events import Samples

SPEECH = Path(__file__).parent / "data" / "speech"
PAUSES_S = (0.4, 1.0, 0.6, 1.6, 0.25, 0.8, 2.5)
TELEPHONE_HZ = 8000
GERMAN = "Guten Morgen, meine Damen und Herren. Heute sprechen wir über die Geschichte der deutschen Sprache und Kultur."


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Speech [n] at 16 kHz and its transcript (empty: none is known)."""

    name: str
    samples: Samples
    transcript: str = ""


def read(file: Path, transcript: str = "") -> Recording:
    """A recording as mono float32 at 16 kHz."""
    samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    return Recording(file.stem, soxr.resample(samples.mean(axis=1), rate, SAMPLE_RATE), transcript)


def transcribed(folders: Sequence[Path]) -> list[Recording]:
    """The recordings that ``transcripts.tsv`` of each folder lists, each name once."""
    found: dict[str, Recording] = {}
    for folder in folders:
        with (folder / "transcripts.tsv").open(encoding="utf-8", newline="") as rows:
            for row in csv.DictReader(rows, delimiter="\t"):
                if row["language"] == "en" and row["file"] not in found:
                    found[row["file"]] = read(folder / row["file"], row["transcript"])
    return list(found.values())


def untranscribed(folder: Path, each: int) -> list[Recording]:
    """The first recordings of each speaker's folder below ``folder``; none where there is no such folder."""
    speakers = sorted(path for path in folder.glob("*") if path.is_dir()) if folder.is_dir() else []
    return [read(file) for speaker in speakers for file in sorted(speaker.glob("*.flac"))[:each]]


def joined(recordings: Sequence[Recording], pauses_s: Sequence[float] = PAUSES_S) -> Recording:
    """Recordings as one talk, with these pauses before, between and after them, in turn."""
    pauses = [np.zeros(round(pause * SAMPLE_RATE), np.float32) for pause in islice(cycle(pauses_s), len(recordings) + 1)]
    parts = [part for pause, one in zip(pauses, recordings, strict=False) for part in (pause, one.samples)]
    return Recording("talk", np.concatenate([*parts, pauses[-1]]), " ".join(one.transcript for one in recordings))


def talks(recordings: Sequence[Recording], words: int) -> list[Recording]:
    """Talks in changing order and with other pauses, until they have at least so many words together."""
    made: list[Recording] = []
    random = np.random.default_rng(0)
    while sum(len(talk.transcript.split()) for talk in made) < words:
        order = [recordings[index] for index in random.permutation(len(recordings))]
        made.append(joined(order, PAUSES_S[len(made) :] + PAUSES_S[: len(made)]))
    return made


def stressed(speech: Recording) -> Mapping[str, Recording]:
    """The same speech in ways that are hard to hear."""
    cases: Mapping[str, Callable[[Samples], Samples]] = {
        "noise_10_db": lambda samples: with_noise(samples, 10.0),
        "noise_0_db": lambda samples: with_noise(samples, 0.0),
        "telephone": telephone,
        "fast": lambda samples: soxr.resample(samples, 1.3 * SAMPLE_RATE, SAMPLE_RATE),
        "quiet_63_db": lambda samples: at_level(samples, -63.0),
        "loud": lambda samples: np.clip(8 * samples, -1, 1),
        "dropouts": dropouts,
        "noise_before": lambda samples: np.concatenate([0.03 * pink(10 * SAMPLE_RATE), samples]),
    }
    return {
        name: Recording(name, case(speech.samples).astype(np.float32), speech.transcript) for name, case in cases.items()
    }


def pink(count: int) -> Samples:
    """Noise [count] of equal power in each octave, RMS 1."""
    spectrum = np.fft.rfft(np.random.default_rng(1).standard_normal(count))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    noise = np.fft.irfft(spectrum, count)
    pinked: Samples = (noise / np.sqrt(np.mean(noise**2))).astype(np.float32)
    return pinked


def with_noise(samples: Samples, snr_db: float) -> Samples:
    """Pink noise below the speech by so many dB."""
    rms = np.sqrt(np.mean(samples[samples != 0] ** 2))
    noisy: Samples = samples + rms * 10 ** (-snr_db / 20) * pink(len(samples))
    return noisy


def telephone(samples: Samples) -> Samples:
    """300 to 3400 Hz at 8 kHz in 8-bit mu-law (ITU-T G.711)."""
    narrow = soxr.resample(samples, SAMPLE_RATE, TELEPHONE_HZ)
    spectrum = np.fft.rfft(narrow)
    hz = np.fft.rfftfreq(len(narrow), 1 / TELEPHONE_HZ)
    spectrum[(hz < 300) | (hz > 3400)] = 0
    narrow = np.clip(np.fft.irfft(spectrum, len(narrow)), -1, 1)
    coded = np.round(127 * np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256)) / 127
    decoded = np.sign(coded) * (256 ** np.abs(coded) - 1) / 255
    wide: Samples = soxr.resample(decoded.astype(np.float32), TELEPHONE_HZ, SAMPLE_RATE)
    return wide


def at_level(samples: Samples, level_db: float) -> Samples:
    """The speech at this RMS level in dB below full scale."""
    moved: Samples = samples * 10 ** (level_db / 20) / np.sqrt(np.mean(samples**2))
    return moved


def dropouts(samples: Samples) -> Samples:
    """40 ms of digital silence every 2 s, as lost packets give."""
    holes = samples.copy()
    for at in range(SAMPLE_RATE, len(samples), 2 * SAMPLE_RATE):
        holes[at : at + SAMPLE_RATE // 25] = 0
    return holes


def german() -> Samples | None:
    """A German sentence spoken by eSpeak NG; None where it is not installed."""
    if not which("espeak-ng"):
        return None
    with TemporaryDirectory() as folder:
        file = Path(folder, "german.wav")
        subprocess.run(["espeak-ng", "-v", "de", "-s", "140", "-w", str(file), GERMAN], check=True)
        return read(file).samples
