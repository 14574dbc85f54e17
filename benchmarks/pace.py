"""Half an hour of speech that grows in translation, spoken by the real pace policy: lag, skips, merges.

A talk is simulated, not its models: clauses of lognormal(1.0, 0.5) s, cut at the longest reading unit, with exponential
pauses between them; each unit is ready a base latency after its words ended, and its speech is ``expansion`` times as long,
give or take lognormal(0, 0.15). Who decides is `pipeline.policies.pace.plan`, as in a session.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.metrics.statistics import mean, percentile
from benchmarks.pages import style
from pipeline.policies.pace import PaceOptions, Waiting, plan
from pipeline.policies.pause_units import PauseOptions

EXPANSIONS = (0.95, 1.0, 1.1, 1.2, 1.35)
PAUSES_S = (0.6, 0.2)

Line = tuple[Sequence[float], Sequence[float]]
"""Minutes into the talk, and the lag then in seconds."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A talk: ``minutes`` of it, translations ``expansion`` times as long, pauses of ``pause_s`` on average."""

    expansion: float
    pause_s: float
    seed: int
    minutes: float = 30.0
    base_latency_s: float = 2.0
    longest_unit_s: float = PauseOptions().max_span_s


@dataclass(frozen=True, slots=True)
class Played:
    """A unit as it was played: when it began (None: skipped), at which rate, and whether it shared the breath before it."""

    end: float
    start: float | None
    rate: float
    merged: bool

    @property
    def lag_s(self) -> float:
        """Start of playback minus end of the source words; NaN when skipped."""
        return float("nan") if self.start is None else self.start - self.end


def units(talk: Talk) -> Iterator[Waiting]:
    """The units of a talk, in order."""
    chance = random.Random(talk.seed)
    now = 0.0
    while now < talk.minutes * 60:
        clause_s = chance.lognormvariate(1.0, 0.5)
        pieces = max(1, -int(-clause_s // talk.longest_unit_s))
        for _ in range(pieces):
            now += clause_s / pieces
            spoken_s = clause_s / pieces * talk.expansion * chance.lognormvariate(0, 0.15)
            yield Waiting(end=now, ready=now + talk.base_latency_s, duration_s=spoken_s)
        now += chance.expovariate(1 / talk.pause_s)


def play(talk: Talk, options: PaceOptions | None) -> list[Played]:
    """Speak the talk; without options nothing gives: every unit waits for the one before it."""
    waiting = list(units(talk))
    if options is None:
        return list(_in_turn(waiting, 0.0, 1.0))
    played: list[Played] = []
    free = 0.0
    while waiting:
        decided = max(waiting[0].ready, free - options.lead_s)
        known = [unit for unit in waiting if unit.ready <= decided]
        start = max(free, decided)
        decision = plan(known, start, options)
        played += [Played(unit.end, None, 1.0, False) for unit in waiting[: decision.skip]]
        breath = waiting[decision.skip : decision.skip + decision.take]
        played += _in_turn(breath, start, decision.rate, one_breath=True)
        free = start + sum(unit.duration_s for unit in breath) / decision.rate
        del waiting[: decision.skip + decision.take]
    return played


def _in_turn(breath: Sequence[Waiting], free: float, rate: float, one_breath: bool = False) -> Iterator[Played]:
    for index, unit in enumerate(breath):
        start = max(free, unit.ready)
        yield Played(unit.end, start, rate, merged=one_breath and index > 0)
        free = start + unit.duration_s / rate


def summarize(played: Sequence[Played]) -> dict[str, float]:
    """Lag of what was spoken, and the shares of units that were skipped, merged or hurried."""
    lags = [unit.lag_s for unit in played if unit.start is not None]
    skips = [index for index, unit in enumerate(played) if unit.start is None]
    merges = [index for index, unit in enumerate(played) if unit.merged]
    return {
        "lag_p50_s": percentile(lags, 50),
        "lag_p95_s": percentile(lags, 95),
        "lag_end_s": lags[-1],
        "skipped": len(skips) / len(played),
        "merged": len(merges) / len(played),
        "hurried": mean([float(unit.rate > 1.02) for unit in played]),
        "skipped_before_merging": float(bool(skips) and (not merges or merges[0] > skips[0])),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the talks to simulate."""
    parser.add_argument("--expansions", type=float, nargs="+", default=EXPANSIONS, metavar="X", help="target/source length")
    parser.add_argument("--pauses", type=float, nargs="+", default=PAUSES_S, metavar="S", help="mean pauses, seconds")
    parser.add_argument("--minutes", type=float, default=30.0, help="length of each talk (30)")
    parser.add_argument("--seeds", type=int, nargs="+", default=(1, 2, 3, 4, 5), help="one talk per seed (1 2 3 4 5)")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw lag over time, with and without control, here")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Simulate every talk with and without control; figures are means over the seeds, `_worst` their worst."""
    figures: dict[str, float] = {}
    print(f"{'expansion':>9} {'pause':>6} {'control':>8} {'lag p50':>8} {'p95':>7} {'end':>7} {'skipped':>8} {'merged':>7}")
    for expansion in arguments.expansions:
        for pause_s in arguments.pauses:
            talks = [Talk(expansion, pause_s, seed, arguments.minutes) for seed in arguments.seeds]
            for control, options in (("off", None), ("on", PaceOptions())):
                results = [summarize(play(talk, options)) for talk in talks]
                average = {name: mean([result[name] for result in results]) for name in results[0]}
                _print_row(expansion, pause_s, control, average)
                suffix = f"_x{expansion:g}_pause{pause_s:g}" + ("" if options else "_uncontrolled")
                figures |= {name + suffix: value for name, value in average.items()}
                for name in ("lag_p95_s", "skipped"):
                    figures[f"{name}{suffix}_worst"] = max(result[name] for result in results)
    if arguments.plots:
        print(f"picture: {picture(arguments)}")
    return figures


def picture(arguments: argparse.Namespace) -> Path:
    """Draw the hardest talks, one panel per pause, of the first seed."""

    def line(talk: Talk, options: PaceOptions | None) -> Line:
        spoken = [unit for unit in play(talk, options) if unit.start is not None]
        return [unit.end / 60 for unit in spoken], [unit.lag_s for unit in spoken]

    hardest = max(arguments.expansions)
    talks = {}
    for pause_s in arguments.pauses:
        talk = Talk(hardest, pause_s, arguments.seeds[0], arguments.minutes)
        name = f"translation {hardest:g} times as long, pauses of {pause_s:g} s"
        talks[name] = line(talk, None), line(talk, PaceOptions())
    return _draw(arguments.plots / "pace.png", talks, PaceOptions().max_lag_s)


def _draw(file: Path, talks: Mapping[str, tuple[Line, Line]], limit_s: float) -> Path:
    """One panel per talk, (without, with) control each, on one logarithmic axis: minutes late against seconds late."""
    with style.panels(1, len(talks), width=3.6 * len(talks) + 0.6) as (figure, axes):
        for axis, (name, (without, controlled)) in zip(axes[0], talks.items(), strict=True):
            axis.plot(*without, color=style.BEFORE, linewidth=1)
            axis.plot(*controlled, color=style.OURS, linewidth=0.8)
            axis.axhline(limit_s, color=style.WARM, linewidth=0.8, linestyle=(0, (4, 3)))
            axis.set(yscale="log", title=name, xlabel="minutes into the talk", ylim=(1, 800))
            ticks = {1: "1 s", 2: "2 s", 4: "4 s", 8: "8 s", 30: "30 s", 60: "1 min", 240: "4 min", 480: "8 min"}
            axis.set_yticks(list(ticks), list(ticks.values()), minor=False)
            axis.minorticks_off()
            axis.text(without[0][-1], without[1][-1] * 1.15, "without", color=style.MUTED, ha="right")
            axis.text(without[0][-1], limit_s * 1.15, "with pace control", color=style.OURS, ha="right")
        axes[0][0].set_ylabel("lag behind the speaker")
        return style.save(figure, file)


def _print_row(expansion: float, pause_s: float, control: str, row: Mapping[str, float]) -> None:
    lags = f"{row['lag_p50_s']:7.1f}s {row['lag_p95_s']:6.1f}s {row['lag_end_s']:6.1f}s"
    print(f"{expansion:>8.2f}x {pause_s:>5.1f}s {control:>8} {lags} {row['skipped']:>8.1%} {row['merged']:>7.1%}")
