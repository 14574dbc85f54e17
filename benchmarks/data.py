"""Check a data set (`data check DIR`), make one (`data synth DIR`), or make one harder (`data stress DIR OUT`)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.corpora.audio import read_audio, write_audio
from benchmarks.corpora.sets import MANIFEST, add_set_arguments, load_set
from benchmarks.corpora.synthesis import synthesize
from benchmarks.corpora.utterance import DataSet, Issues, Utterance, write_manifest
from pipeline.audio.stretch import stretched
from pipeline.errors import BadInput
from pipeline.events import Samples

SNRS_DB = (20.0, 10.0, 5.0)
SPEEDS = (1.0, 1.25, 1.5)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The three actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="validate a set: a table of what is wrong; exit code 2 if any was dropped")
    add_set_arguments(check)
    synth = actions.add_parser("synth", help="make a mini set in FLEURS's layout with eSpeak NG; word ends are known")
    synth.add_argument("root", type=Path, metavar="DIR", help="where to put it")
    stress = actions.add_parser("stress", help="copies with noise (--snr 20 10 5) and at speeds (--speeds 1 1.25 1.5)")
    add_set_arguments(stress)
    stress.add_argument("out", type=Path, metavar="OUT", help="where to put them, a folder with a manifest for each")
    stress.add_argument("--snr", type=float, nargs="*", default=SNRS_DB, metavar="DB", help="ratios (20 10 5)")
    stress.add_argument("--speeds", type=float, nargs="*", default=SPEEDS, metavar="X", help="speeds (1 1.25 1.5)")
    stress.add_argument("--seed", type=int, default=0, help="seed of the noise (0)")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Do the action; figures are counts."""
    if arguments.action == "synth":
        made = sum(1 for _ in synthesize(arguments.root).rglob("*.wav"))
        print(f"{made} recordings in {arguments.root}: --set fleurs --from en_us --to es_419, or the other way")
        return {"utterances": float(made)}
    dataset = load_set(arguments)
    print_issues(dataset)
    if arguments.action == "stress":
        return _stress(dataset, arguments)
    dropped = sum(issue.dropped for issue in dataset.issues)
    if dropped:
        raise BadInput(f"{dropped} rows of {dataset.name} had to be dropped, see above")
    return counts(dataset)


def counts(dataset: DataSet) -> dict[str, float]:
    """Count utterances, sentences, hours and what was dropped."""
    return {
        "utterances": float(len(dataset.utterances)),
        "sentences": float(sum(len(utterance.sentences) for utterance in dataset.utterances)),
        "hours": sum(utterance.duration_s for utterance in dataset.utterances) / 3600,
        "dropped": float(sum(issue.dropped for issue in dataset.issues)),
    }


def print_issues(dataset: DataSet) -> None:
    """A line per kind of issue, with its first places."""
    print(f"{dataset.name}: {len(dataset.utterances)} utterances, {dataset.license}, reference: {dataset.reference_field}")
    for file, digest in dataset.sha256.items():
        print(f"  {digest[:16]}  {file}")
    for kind, count in Issues(list(dataset.issues)).counts().items():
        found = [issue for issue in dataset.issues if issue.kind == kind]
        fate = "dropped" if found[0].dropped else "kept"
        print(f"  {count:>5} {fate:<8}{kind}: {', '.join(issue.where for issue in found[:3])}{' …' if count > 3 else ''}")


def _stress(dataset: DataSet, arguments: argparse.Namespace) -> dict[str, float]:
    kinds: list[tuple[str, float | None, float]] = [
        *((f"snr{snr_db:g}", snr_db, 1.0) for snr_db in arguments.snr),
        *((f"speed{speed:g}", None, speed) for speed in arguments.speeds),
    ]
    made: dict[str, float] = {}
    for name, snr_db, speed in kinds:
        folder = arguments.out / name
        harder = harder_copies(dataset.utterances, folder, snr_db=snr_db, speed=speed, seed=arguments.seed)
        write_manifest(folder / MANIFEST, harder)
        print(f"{folder}: {len(harder)} utterances, {sum(utterance.duration_s for utterance in harder):.1f} s")
        made[name] = float(len(harder))
    return made


def with_noise(samples: Samples, snr_db: float, seed: int) -> Samples:
    """Samples [n] under pink noise (power falling with frequency) at a signal-to-noise ratio over the whole recording."""
    generator = np.random.default_rng(seed)
    spectrum = np.fft.rfft(generator.standard_normal(len(samples)))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), len(samples))
    power, noise_power = float(np.mean(np.square(samples, dtype=np.float64))), float(np.mean(np.square(pink)))
    if not power or not noise_power:
        return samples
    gain = np.sqrt(power / noise_power / 10 ** (snr_db / 10))
    mixed = samples + (gain * pink).astype(np.float32)
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max())), np.float32)


def at_speed(samples: Samples, rate: int, speed: float) -> Samples:
    """Samples [n] as if spoken ``speed`` times as fast, at the same pitch."""
    return samples if speed == 1.0 else stretched(samples, speed, rate)


def harder_copies(
    utterances: Sequence[Utterance], folder: Path, *, snr_db: float | None = None, speed: float = 1.0, seed: int = 0
) -> list[Utterance]:
    """Copies of the utterances under ``folder``, harder as asked; their times follow the speed."""
    if speed <= 0:
        raise BadInput(f"speed {speed:g} is not above 0; usual ones are {', '.join(f'{value:g}' for value in SPEEDS)}")
    made = []
    for index, utterance in enumerate(utterances):
        samples, rate = read_audio(Path(utterance.audio))
        harder = at_speed(samples, rate, speed)
        if snr_db is not None:
            harder = with_noise(harder, snr_db, seed + index)
        file = folder / f"{utterance.name}.wav"
        write_audio(file, harder, rate)
        made.append(_retimed(utterance, file, len(harder) / rate))
    return made


def _retimed(utterance: Utterance, file: Path, duration_s: float) -> Utterance:
    scale = duration_s / utterance.duration_s
    sentences = [
        replace(sentence, offset_s=sentence.offset_s * scale, duration_s=sentence.duration_s * scale)
        for sentence in utterance.sentences
    ]
    ends = tuple(end * scale for end in utterance.word_ends_s)
    return replace(utterance, audio=str(file), duration_s=duration_s, sentences=tuple(sentences), word_ends_s=ends)
