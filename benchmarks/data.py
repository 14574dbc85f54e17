"""Check a data set (`data check DIR`), make one (`data synth DIR`), or make one harder (`data stress DIR OUT`)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from benchmarks.corpora import manifest
from benchmarks.corpora.sets import add_set_arguments, load_set
from benchmarks.corpora.stress import SNRS_DB, SPEEDS, harder_copies
from benchmarks.corpora.synthesis import synthesize
from benchmarks.corpora.utterance import DataSet, Issues, write_manifest
from pipeline.errors import BadInput


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
        write_manifest(folder / manifest.NAME, harder)
        print(f"{folder}: {len(harder)} utterances, {sum(utterance.duration_s for utterance in harder):.1f} s")
        made[name] = float(len(harder))
    return made
