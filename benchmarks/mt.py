"""Translation: glossary obedience and load, cost of constrained search, speed at real geometry, reading-unit policy.

``terms`` and ``control`` and ``policy`` take a minute or two on a CPU; ``speed`` builds a model of the given geometry with
random weights. The GPU figures (``--device cuda``) need no other command. With ``--weights bergamot`` trained models are
measured instead: quality, terms, cost and reading units.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Mapping

from benchmarks import mt_policy
from benchmarks.mt_bergamot import bergamot_figures
from benchmarks.mt_control import control_figures, glossary_figures
from benchmarks.mt_speed import GEOMETRIES, speed_figures
from benchmarks.mt_terms import terms_figures
from models.cuda import choose_device

PARTS = ("terms", "control", "policy", "speed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare its options."""
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help=f"what to measure ({' '.join(PARTS)})")
    parser.add_argument("--weights", choices=("bergamot",), help="measure trained weights, in TRANSLATE_LIVE_MODELS")
    parser.add_argument("--sentences", type=int, default=120, help="sentences a kind of term (120)")
    parser.add_argument("--geometry", nargs="+", choices=tuple(GEOMETRIES), default=("0.6b",), help="for speed (0.6b)")
    parser.add_argument("--batches", type=int, nargs="+", default=(1, 8), help="texts at once, for speed (1 8)")
    parser.add_argument("--device", default="auto", help="for speed: cpu, cuda or auto")
    parser.add_argument("--repeats", type=int, default=3, help="for speed: most runs of each (3)")
    mt_policy.add_arguments(parser)


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Measure the parts that were asked for."""
    parts: dict[str, Callable[[], Iterable[Mapping[str, float]]]] = {
        "terms": lambda: [{**terms_figures(arguments.sentences), **glossary_figures()}],
        "control": lambda: [control_figures()],
        "policy": lambda: [mt_policy.policy_figures(arguments)],
        "speed": lambda: _speed(arguments),
    }
    figures: dict[str, float] = {}
    if arguments.weights:
        parts, arguments.parts = {arguments.weights: bergamot_figures}, [arguments.weights]
    for part in arguments.parts:
        print(part, flush=True)
        for more in parts[part]():
            figures |= more
            arguments.save(figures)
    return figures


def _speed(arguments: argparse.Namespace) -> Iterator[Mapping[str, float]]:
    device = str(choose_device(arguments.device))
    for geometry in arguments.geometry:
        yield from speed_figures(geometry, device, arguments.batches, arguments.repeats)
