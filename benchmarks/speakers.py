"""Speaker labels of words: speakers told apart on a stream, in mixtures of turns with and without pauses.

Recognition is scripted: the words are slots of 0.3 s of each turn, committed 0.57 s after their end, as Whisper base does
on average. They go through the session's own stage for speakers. The error is the share of words that have another
speaker than they should, under the best one-to-one naming of those found; words of a speaker who was split or missed count.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

import numpy as np

from benchmarks.asr_material import SPEECH
from benchmarks.speaker_mixtures import Mixture, drawn, mixture, recorded, synthesized
from models.asr.vad import SAMPLE_RATE
from pipeline.diarizing import Diarizer
from pipeline.errors import BadInput
from pipeline.events import AudioChunk, Samples, Transcript, Word
from pipeline.policies.speaker_labels import SpeakerLabels
from pipeline.profiles.profile import load_profile

COMMIT_S = 0.57
STEP_S = 0.05  # as a microphone gives them
TURNS, TURN_S = 12, 5.5
PAUSES, TOUCHING = (0.2, 0.8), (0.0, 0.0)
SIZES = (2, 2, 3, 3, 4, 4)
LONG_S = 600.0


@dataclass
class HeardMixture:
    """One mixture after it went through the stage: who each word was given to, and how long that took."""

    mixture: Mixture
    speakers: list[str] = field(default_factory=list)
    known_s: list[float] = field(default_factory=list)  # after each word's end, when its speaker was decided
    delay_s: list[float] = field(default_factory=list)  # after each word's commit, when it went on
    busy_s: float = 0.0

    @property
    def found(self) -> int:
        """Speakers that have words."""
        return len(set(self.speakers))

    @property
    def errors(self) -> int:
        """Words of another speaker, under the best naming."""
        pairs = Counter(zip((word[2] for word in self.mixture.words), self.speakers, strict=True))
        truth = sorted({name for name, _ in pairs})
        found = sorted({name for _, name in pairs})
        found += [""] * (len(truth) - len(found))
        best = max(
            sum(pairs[pair] for pair in zip(truth, chosen, strict=True)) for chosen in permutations(found, len(truth))
        )
        return len(self.speakers) - best


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--profile", default="cpu", metavar="NAME", help="whose diarizer is measured (cpu)")
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="A.B=VALUE", help="one setting")
    parser.add_argument(
        "--speech", type=Path, default=SPEECH, metavar="FOLDER", help="with librispeech-other/SPEAKER/*.flac"
    )
    parser.add_argument("--synthetic", action="store_true", help="voices of Kokoro also where there are recordings")
    parser.add_argument("--minutes", type=float, default=LONG_S / 60, help="of one speaker alone (10)")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Measure all mixtures and print a line each."""
    backend = load_profile(arguments.profile, assignments=arguments.assignments).backends.diarizer
    if backend is None:
        raise BadInput(f"the profile {arguments.profile} has no diarizer", hint="diarizer.use=module:Class")

    async def measured() -> Mapping[str, float]:
        speech = {} if arguments.synthetic else recorded(arguments.speech)
        real = bool(speech)
        speech = speech or await synthesized()
        print(f"{len(speech)} speakers, {'recorded' if real else 'synthetic'}")
        async with backend.load() as diarizer:
            return await _figures(diarizer, speech, arguments.minutes * 60) | {"recorded": float(real)}

    return asyncio.run(measured())


async def _figures(diarizer: Diarizer, speech: Mapping[str, Samples], long_s: float) -> dict[str, float]:
    kinds: dict[str, list[HeardMixture]] = {"pauses": [], "touching": []}
    for kind, pause_s in (("pauses", PAUSES), ("touching", TOUCHING)):
        for number, size in enumerate(SIZES):
            seed = number + 100 * (kind == "touching")
            names = drawn(speech, size, seed)
            kinds[kind].append(await _heard(diarizer, mixture(speech, names, TURNS, pause_s, seed)))
            _print(kind, kinds[kind][-1])
    alone = await _alone(diarizer, speech, long_s)
    every = [one for heard in kinds.values() for one in heard]
    known_s = np.concatenate([one.known_s for one in every])
    delay_s = np.concatenate([one.delay_s for one in every])
    audio_s = sum(one.mixture.duration_s for one in [*every, *alone])
    shares = {
        kind: sum(one.errors for one in heard) / sum(len(one.speakers) for one in heard) for kind, heard in kinds.items()
    }
    return {
        "word_speaker_error_pauses": shares["pauses"],
        "word_speaker_error_touching": shares["touching"],
        "words_pauses": float(sum(len(one.speakers) for one in kinds["pauses"])),
        "words_touching": float(sum(len(one.speakers) for one in kinds["touching"])),
        "speaker_count_right_ratio": sum(one.found == one.mixture.speakers for one in every) / len(every),
        "one_speaker_split": float(sum(one.found - 1 for one in alone)),
        "one_speaker_s": alone[0].mixture.duration_s,
        "label_wait_p50_s": float(np.percentile(known_s, 50)),
        "label_wait_p95_s": float(np.percentile(known_s, 95)),
        "commit_delay_added_p50_s": float(np.percentile(delay_s, 50)),
        "commit_delay_added_p95_s": float(np.percentile(delay_s, 95)),
        "cpu_share": sum(one.busy_s for one in [*every, *alone]) / audio_s,
    }


async def _alone(diarizer: Diarizer, speech: Mapping[str, Samples], seconds: float) -> list[HeardMixture]:
    """One speaker alone for so long, whose recordings begin again in other pieces, and the others for a tenth of that."""
    heard: list[HeardMixture] = []
    for name in sorted(speech):
        turns = round(seconds * (0.1 if heard else 1.0) / TURN_S)
        heard.append(await _heard(diarizer, mixture(speech, [name], max(1, turns), PAUSES, 7)))
        _print("alone", heard[-1])
    return heard


async def _heard(diarizer: Diarizer, talk: Mixture) -> HeardMixture:
    """Run a mixture through diarizer and labels in steps of 0.05 s, as a session does."""
    heard, labels = HeardMixture(talk), SpeakerLabels()
    began = time.process_time()
    words = [Word(f" {number}", start, end, 1.0) for number, (start, end, _) in enumerate(talk.words)]
    committed_s: list[float] = []
    decided_s = 0.0
    async with diarizer.open(None, {}) as diarizing:
        for chunk in _steps(talk.samples):
            turns = await diarizing.hear(chunk)
            labels.know(turns)
            last = chunk.end > talk.duration_s - 0.5 / SAMPLE_RATE
            if last:
                labels.know(turns := await diarizing.finish())
            heard.known_s += [
                max(0.0, chunk.end - word.end) for word in words if decided_s <= _middle(word) < turns.decided_s
            ]
            decided_s = turns.decided_s
            due = [word for word in words[len(committed_s) :] if last or word.end + COMMIT_S <= chunk.end]
            committed_s += [chunk.end] * len(due)
            for transcript in labels.label(Transcript(tuple(due), (), "en", chunk.end, 0.0, last), final=last):
                for word in transcript.committed:
                    heard.delay_s.append(chunk.end - committed_s[len(heard.speakers)])
                    heard.speakers.append(word.speaker)
    heard.busy_s = time.process_time() - began
    return heard


def _middle(word: Word) -> float:
    return (word.start + word.end) / 2


def _steps(samples: Samples) -> Iterator[AudioChunk]:
    step = round(STEP_S * SAMPLE_RATE)
    for start in range(0, len(samples), step):
        yield AudioChunk(samples[start : start + step], SAMPLE_RATE, start / SAMPLE_RATE)


def _print(kind: str, heard: HeardMixture) -> None:
    words, talk = len(heard.speakers), heard.mixture
    print(
        f"{kind:9} {talk.duration_s:6.0f} s  {talk.speakers} speakers, found {heard.found}  "
        f"{heard.errors:3} of {words:4} words wrong  label {np.median(heard.known_s):.2f} s after a word",
        flush=True,
    )
