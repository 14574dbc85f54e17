"""Reading units on scripted streams: how soon, how stable and how good, against wait-k, local agreement and sentences.

Talks in a toy language (`benchmarks.toy_language`) are heard by a scripted recognizer and translated by a scripted
translator, so that delays are the policy's alone: translating takes no time. Each target word is known to translate one
source word. A unit's delay counts from the commit of the last source word its text translates; a word's from its own
commit. Agreement is one minus the word error rate of what was said against the translation of whole sentences.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.metrics.erasure import Erasure
from benchmarks.metrics.quality import word_error_rate
from benchmarks.metrics.statistics import mean, percentile
from benchmarks.policy_baselines import RuleUnits, local_agreement, sentence_wise, wait_k
from benchmarks.toy_language import MARKS, Speech, ToyTranslator, bare, talk
from pipeline.contracts import TranslationRequest
from pipeline.events import Word, text_of
from pipeline.policies.agreement_units import AgreementUnits
from pipeline.policies.options import BUDGETS_S, AgreementOptions
from pipeline.policies.pause_units import PauseUnits, UnitPolicy

TALKS, SENTENCES = 6, 25
LAG_S, PERIOD_S = 0.9, 0.3  # of the recognizer: from a word's end to its commit, and between transcripts

PairPolicy = Callable[[str, str], UnitPolicy]


def policies() -> dict[str, PairPolicy]:
    """The policies to compare, by the name to print."""
    agreement = {name: partial(_agreement, name) for name in BUDGETS_S}
    waits = {f"wait-{k}": partial(_rule, k) for k in (2, 4, 6, 9)}
    return {
        **agreement,
        **waits,
        "local agreement": lambda source, target: RuleUnits(source, target, local_agreement),
        "pauses": PauseUnits,
        "sentence-wise": lambda source, target: RuleUnits(source, target, sentence_wise),
    }


def _agreement(latency: str, source: str, target: str) -> UnitPolicy:
    return AgreementUnits(source, target, AgreementOptions(latency=latency))


def _rule(k: int, source: str, target: str) -> UnitPolicy:
    return RuleUnits(source, target, wait_k(k))


DIRECTIONS = {
    "same order": ("en", "es", ToyTranslator(verb_final=False, unsure=True)),
    "verb last": ("en", "ja", ToyTranslator(verb_final=True, unsure=True)),
}


@dataclass
class Outcome:
    """The units a policy made of talks."""

    unit_delays_s: list[float] = field(default_factory=list)
    word_delays_s: list[float] = field(default_factory=list)
    unit_words: list[float] = field(default_factory=list)
    agreements: list[float] = field(default_factory=list)
    erasures: list[float] = field(default_factory=list)
    calls_per_s: list[float] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0

    def figures(self) -> dict[str, float]:
        """The numbers of a row."""
        return {
            "unit_delay_p50_s": percentile(self.unit_delays_s, 50),
            "unit_delay_p95_s": percentile(self.unit_delays_s, 95),
            "word_delay_s": mean(self.word_delays_s),
            "word_delay_p50_s": percentile(self.word_delays_s, 50),
            "word_delay_p95_s": percentile(self.word_delays_s, 95),
            "unit_words": mean(self.unit_words),
            "agreement": mean(self.agreements),
            "caption_erasure": mean(self.erasures),
            "calls_per_s": mean(self.calls_per_s),
            "words_lost": float(self.lost),
            "words_doubled": float(self.doubled),
        }


def listen(words: Sequence[Word], translator: ToyTranslator, policy: UnitPolicy, outcome: Outcome) -> None:
    """Run one talk through a policy, and add what came of it."""
    committed_s: dict[str, float] = {}
    said: list[str] = []
    erasure = Erasure()
    calls = 0
    pieces = Speech(tuple(words), LAG_S, PERIOD_S).transcripts()
    for number, piece in enumerate(pieces):
        committed_s |= {bare(word.text.strip()).upper(): piece.heard_s for word in piece.committed}
        policy.hear(piece, final=number == len(pieces) - 1)
        while requests := policy.ask():
            calls += 1
            reading = policy.read([translator.translate(request) for request in requests])
            for unit in reading.units:
                spoken = [word.strip(MARKS) for word in unit.text.split()]
                delays_s = [piece.heard_s - committed_s[bare(word)] for word in spoken if bare(word) != "AND"]
                outcome.unit_delays_s.append(min(delays_s, default=0.0))
                outcome.word_delays_s += delays_s
                outcome.unit_words.append(len(spoken))
                erasure.commit(" ".join(spoken))
                said += spoken
            if reading.draft:
                erasure.draft(" ".join(word.strip(MARKS) for word in reading.draft.text.split()))
    _compare(words, translator, said, outcome)
    outcome.erasures.append(erasure.normalized)
    outcome.calls_per_s.append(calls / pieces[-1].heard_s)


def _compare(words: Sequence[Word], translator: ToyTranslator, said: Sequence[str], outcome: Outcome) -> None:
    heard = Counter(bare(word.text.strip()).upper() for word in words)
    spoken = Counter(map(bare, said))
    outcome.lost += (heard - spoken).total()
    outcome.doubled += (spoken - heard).total()
    whole = [word.strip(MARKS) for sentence in _sentences(words) for word in _translate(translator, sentence)]
    outcome.agreements.append(max(0.0, 1.0 - word_error_rate([" ".join(whole)], [" ".join(said)])))


def _translate(translator: ToyTranslator, sentence: Sequence[Word]) -> list[str]:
    return translator.translate(TranslationRequest(text_of(sentence), "en", "xx")).text.split()


def _sentences(words: Sequence[Word]) -> Iterator[list[Word]]:
    sentence: list[Word] = []
    for word in words:
        sentence.append(word)
        if word.text.endswith("."):
            yield sentence
            sentence = []


def measure(name: str, directions: Sequence[str], talks: int) -> dict[str, float]:
    """The figures of one policy over talks in the given directions."""
    outcome = Outcome()
    for direction in directions:
        source, target, translator = DIRECTIONS[direction]
        for seed in range(talks):
            listen(talk(seed, SENTENCES), translator, policies()[name](source, target), outcome)
    return outcome.figures()


def policy_figures(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Print the table and draw the plot.

    The figures are those of the balanced class over both directions, then every policy's in each direction.
    """
    talks: int = getattr(arguments, "talks", TALKS)
    rows = {(direction, name): measure(name, [direction], talks) for direction in DIRECTIONS for name in policies()}
    _print_table(rows)
    plots: Path | None = getattr(arguments, "plots", None)
    if plots:
        from benchmarks.pages.policy_picture import draw  # noqa: PLC0415  (matplotlib loads slowly)

        print(f"picture: {draw(plots / 'mt_policy.png', rows)}")
    named = {
        f"{direction}/{name}/{figure}": value for (direction, name), row in rows.items() for figure, value in row.items()
    }
    return measure("balanced", list(DIRECTIONS), talks) | named


def _print_table(rows: Mapping[tuple[str, str], Mapping[str, float]]) -> None:
    columns = {
        "unit p50": "unit_delay_p50_s",
        "p95": "unit_delay_p95_s",
        "word": "word_delay_s",
        "p95 ": "word_delay_p95_s",
        "words": "unit_words",
        "agreement": "agreement",
        "erasure": "caption_erasure",
        "calls/s": "calls_per_s",
        "lost": "words_lost",
        "doubled": "words_doubled",
    }
    print(f"{'direction':12} {'policy':16}" + "".join(f"{title:>10}" for title in columns))
    for (direction, name), figures in rows.items():
        print(f"{direction:12} {name:16}" + "".join(f"{figures[key]:10.2f}" for key in columns.values()))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how much to measure, and where to draw."""
    parser.add_argument("--talks", type=int, default=TALKS, metavar="N", help=f"talks a direction ({TALKS})")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw delay against agreement here")


def run(arguments: argparse.Namespace) -> Mapping[str, float]:
    """Compare the policies."""
    return policy_figures(arguments)
