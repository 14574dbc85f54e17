"""A mini set in FLEURS's layout for machines without data: eSpeak NG speech, word by word, so word ends are known.

It has what real sets have: ids that repeat, quotes that do not close, an odd line separator inside a sentence.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import soundfile
import soxr

from benchmarks.atomic import write_bytes, write_text
from benchmarks.corpora.audio import CORPUS_HZ, write_audio
from pipeline.errors import ModelError
from pipeline.events import Samples

SENTENCES = (
    ("Good morning, and welcome to this talk.", "Buenos días y bienvenidos a esta charla."),
    ("The “old” town lies on a river.", "La ciudad “vieja” está junto a un río."),
    ('He said "yes and left the house.', 'Dijo "sí y salió de la casa.'),
    ("We begin with the history of the port, which is long.", "Empezamos con la historia del puerto, que es larga."),
    ("Thank you\u2028for listening.", "Gracias\u2028por escuchar."),
)
LANGUAGES = {"en_us": ("en-us", 0), "es_419": ("es-419", 1)}
VOICES = (("+m3", "MALE"), ("+f3", "FEMALE"))
WORD_PAUSE_S = 0.06


def synthesize(root: Path, sentences: Sequence[tuple[str, str]] = SENTENCES, split: str = "test") -> Path:
    """Write the set under ``root`` and give it; raises `ModelError` when eSpeak NG is missing."""
    if not shutil.which("espeak-ng"):
        raise ModelError("espeak-ng is missing: apt-get install espeak-ng")
    for code, (voice, column) in LANGUAGES.items():
        folder = root / "data" / code
        rows, ends = [], {}
        for number, pair in enumerate(sentences, 1):
            readings = VOICES if number == 1 else VOICES[:1]
            for reader, (variant, gender) in enumerate(readings):
                name = f"{10**9 + number * 10 + reader}.wav"
                samples, ends[name] = speak(pair[column].split(), voice + variant)
                write_audio(folder / "audio" / split / name, samples, CORPUS_HZ)
                rows.append("\t".join(_row(number, name, pair[column], len(samples), gender)))
        write_text(folder / f"{split}.tsv", "".join(row + "\n" for row in rows))
        write_bytes(folder / f"{split}.word_ends.json", msgspec.json.encode(ends))
        _pack(folder / "audio", split)
    return root


def speak(words: Sequence[str], voice: str) -> tuple[Samples, list[float]]:
    """The words one after the other: mono samples [n] at 16 kHz, and when each ends in seconds."""
    pieces, ends, at = [np.zeros(round(0.2 * CORPUS_HZ), np.float32)], [], round(0.2 * CORPUS_HZ)
    for word in words:
        spoken = _speak_word(word, voice)
        pause = np.zeros(round(WORD_PAUSE_S * CORPUS_HZ), np.float32)
        at += len(spoken)
        ends.append(at / CORPUS_HZ)
        at += len(pause)
        pieces += [spoken, pause]
    return np.concatenate(pieces), ends


def _speak_word(word: str, voice: str) -> Samples:
    """One word, without the silence around it."""
    command = ["espeak-ng", "-v", voice, "-s", "170", "--stdout", "--stdin"]
    made = subprocess.run(command, input=word.encode(), capture_output=True, check=False, timeout=30)
    if made.returncode:
        raise ModelError(f"espeak-ng failed: {made.stderr.decode(errors='replace').strip() or made.returncode}")
    samples, rate = soundfile.read(io.BytesIO(made.stdout), dtype="float32")
    loud = np.flatnonzero(np.abs(samples) > 0.003)
    voiced = samples[loud[0] : loud[-1] + 1] if len(loud) else samples
    return np.asarray(soxr.resample(voiced, rate, CORPUS_HZ), np.float32)


def _row(number: int, name: str, text: str, count: int, gender: str) -> tuple[str, ...]:
    plain = "".join(character for character in text.lower() if character.isalnum() or character == " ")
    characters = " ".join("|" if character == " " else character for character in plain)
    return str(number), name, text, plain, characters, str(count), gender


def _pack(audio: Path, split: str) -> None:
    with tarfile.open(audio / f"{split}.tar.gz", "w:gz") as archive:
        archive.add(audio / split, arcname=split)
