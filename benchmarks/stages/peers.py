"""Figures beside those of a named peer from the same run, as ratios.

Each stage benchmark measures its peers in the run that measures us, on the same data and machine; which figure belongs to
which is told by their names, in the rules below.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

BALANCED = "balanced"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure beside a peer's: both numbers (NaN: not kept), and how many times better ours is (above 1)."""

    what: str
    peer: str
    ours: float
    theirs: float
    advantage: float


@dataclass(frozen=True, slots=True)
class Rule:
    """``ours`` is a pattern of figure names; its named groups fill in the peer's figure, its name and what is measured.

    With ``speedup`` the figure is itself the ratio to the peer's.
    """

    ours: str
    theirs: str
    what: str
    peer: str
    less_is_better: bool = True
    speedup: bool = False


_POLICIES = (
    Rule(
        f"(?P<way>[^/]+)/{BALANCED}/word_delay_s",
        "{way}/{other}/word_delay_s",
        "{way}: mean delay of a word",
        "{other}",
    ),
    Rule(
        f"(?P<way>[^/]+)/{BALANCED}/agreement",
        "{way}/{other}/agreement",
        "{way}: agreement with whole sentences",
        "{other}",
        less_is_better=False,
    ),
)

RULES: Mapping[str, Sequence[Rule]] = {
    "asr": (
        Rule("wer_streaming", "wer_offline", "word error rate", "the same model offline"),
        Rule("wer_streaming", "wer_redecoding", "word error rate", "whole-window re-decoding"),
        Rule("commit_latency_mean_s", "redecoding_latency_mean_s", "commit latency, mean", "whole-window re-decoding"),
        Rule("commit_latency_p95_s", "redecoding_latency_p95_s", "commit latency, p95", "whole-window re-decoding"),
        Rule("decoded_s_per_s", "redecoding_decoded_s_per_s", "audio decoded per second", "whole-window re-decoding"),
        *(
            Rule(figure, f"whisperlivekit_{figure}", what, "WhisperLiveKit")
            for figure, what in {
                "wer_streaming": "word error rate, trained weights",
                "commit_aware_p50_s": "commit after a word's end, CPU time counted, p50",
                "commit_aware_p95_s": "commit after a word's end, CPU time counted, p95",
                "cpu_s_per_audio_s": "CPU a second of audio",
            }.items()
        ),
        Rule(
            "scripted_(?P<kind>.+)_errors",
            "scripted_{kind}_errors_dedupe",
            "word errors, {kind} acoustics",
            "agreement with text de-duplication",
        ),
    ),
    "mt": (
        Rule(
            "unit_(?P<size>[^_]+)_batch(?P<batch>[0-9]+)_ms",
            "unit_{size}_batch{batch}_generate_ms",
            "ms a unit, {size}, batch {batch}",
            "transformers.generate",
        ),
        Rule(
            "steps_ratio",
            "",
            "steps of the second search, under terms",
            "the first search, without terms, which is not saved",
            speedup=True,
        ),
        *_POLICIES,
    ),
    "mt-policy": _POLICIES,
    "tts": (
        Rule(
            "speedup_first_audio_(?P<size>[^_]+)",
            "official_first_audio_ms_{size}",
            "ms to first audio, {size}",
            "the official package, which gives all at once",
            speedup=True,
        ),
        Rule(
            "speedup_per_frame_(?P<size>[^_]+)",
            "official_ms_per_frame_{size}",
            "ms a frame, {size}",
            "the official package",
            speedup=True,
        ),
        Rule(
            "own_first_audio_ms_(?P<size>.+)",
            "faster_qwen3_tts_first_audio_ms_{size}",
            "ms to first audio, {size}",
            "faster-qwen3-tts",
        ),
        Rule(
            "own_ms_per_frame_(?P<size>.+)",
            "faster_qwen3_tts_ms_per_frame_{size}",
            "ms a frame, {size}",
            "faster-qwen3-tts",
        ),
        Rule(
            "own_ms_per_frame_(?P<size>.+)",
            "roofline_ms_per_frame_{size}",
            "ms a frame, {size}",
            "reading its weights once (roofline)",
        ),
    ),
    "session": (Rule("(?P<talk>talk_|)wer", "{talk}wer_fed_whole", "{talk}word error rate", "the same decoder fed whole"),),
    "pace": (
        Rule(
            "lag_p95_s_x(?P<growth>[0-9.]+)_pause(?P<pause>[0-9.]+)",
            "lag_p95_s_x{growth}_pause{pause}_uncontrolled",
            "p95 lag, speech × {growth}, pauses {pause} s",  # noqa: RUF001
            "no pace control",
        ),
    ),
}


def comparisons(stage: str, figures: Mapping[str, float]) -> list[Comparison]:
    """The figures of a stage that have a named peer in the same result, in the order of the rules."""
    return [found for rule in RULES.get(stage, ()) for found in _apply(rule, figures)]


def _apply(rule: Rule, figures: Mapping[str, float]) -> Iterator[Comparison]:
    for name, value in figures.items():
        if not (match := re.fullmatch(rule.ours, name)):
            continue
        for other in _others(rule, match, figures):
            parts = {key: text.replace("talk_", "as one talk: ") for key, text in match.groupdict().items()}
            theirs = figures.get(rule.theirs.format(**match.groupdict(), other=other), math.nan)
            if rule.speedup:
                advantage = value if rule.theirs else 1 / value
                ours = theirs / value
            elif math.isnan(theirs):
                continue
            else:
                ours, advantage = value, _advantage(value, theirs, rule.less_is_better)
            what, peer = rule.what.format(**parts, other=other), rule.peer.format(**parts, other=other)
            yield Comparison(what, peer, ours, theirs, advantage)


def _others(rule: Rule, match: re.Match[str], figures: Mapping[str, float]) -> list[str]:
    """The names a rule for any peer stands for; one empty name for the other rules."""
    if "{other}" not in rule.theirs:
        return [""]
    wanted = re.escape(rule.theirs.format(**match.groupdict(), other="OTHER")).replace("OTHER", "(?P<other>[^/]+)")
    found = [again["other"] for name in figures if (again := re.fullmatch(wanted, name))]
    return [name for name in found if name not in {"low", BALANCED, "quality"}]


def _advantage(ours: float, theirs: float, less_is_better: bool) -> float:
    small, large = (ours, theirs) if less_is_better else (theirs, ours)
    if not small:
        return 1.0 if not large else math.inf
    return large / small
