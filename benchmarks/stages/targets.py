"""The figures a stage is meant to reach, as bounds on figures by name."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A bound: ``figure`` is a pattern of names; with ``gpu`` it holds on a GPU only. ``goal`` is what comes after it."""

    figure: str
    at_most: float = math.inf
    at_least: float = -math.inf
    gpu: bool = False
    goal: float = math.nan

    def text(self) -> str:
        """The bound for people, and the goal beyond it."""
        bound = f"≤ {self.at_most:g}" if math.isfinite(self.at_most) else f"≥ {self.at_least:g}"
        return bound if math.isnan(self.goal) else f"{bound}, goal {self.goal:g}"

    def met(self, value: float) -> bool:
        """Tell whether a figure is within; one without a number is not."""
        return self.at_least <= value <= self.at_most


_POLICY = (
    Target("unit_delay_p50_s", at_most=0.35),
    Target("unit_delay_p95_s", at_most=1.2),
    Target("caption_erasure", at_most=0.25),
    Target("words_(lost|doubled)", at_most=0.0),
)

TARGETS: Mapping[str, Sequence[Target]] = {
    "asr": (
        Target("wer_above_offline", at_most=0.03),
        Target("commit_latency_mean_s", at_most=0.70),
        Target("commit_latency_p95_s", at_most=1.0),
        Target("longest_window_s", at_most=5.0),
        Target("soak_growth_mb", at_most=20.0),
        Target("quiet_(silence|noise|tones)_words", at_most=0.0),
        Target("quiet_silence_calls", at_most=0.0),
        Target("cost_large-v3-turbo_total_ms", at_most=60.0, gpu=True),
        Target("cost_large-v3-turbo_duty", at_most=0.10, gpu=True),
    ),
    "mt": (
        Target("terms_exact_ratio", at_least=1.0),
        Target("terms_doubled_ratio", at_most=0.01),
        Target("steps_ratio", at_most=1.05),
        Target("control_ms_per_step", at_most=1.0),
        Target("terms_obeyed(_whole|_units)?_ratio", at_least=1.0),
        Target("terms_fluent_ratio", at_least=0.95),
        Target("greedy_equal_ratio", at_least=1.0),
        Target("chrf_units_vs_whole", at_least=96.0),
        Target("cpu_ms_per_unit", at_most=135.0),
        Target("unit_1.8b_batch1_ms", at_most=85.0, gpu=True, goal=50.0),
        Target("unit_1.8b_batch1_to_generate_ratio", at_most=1 / 5, gpu=True, goal=1 / 8),
        *_POLICY,
    ),
    "mt-policy": _POLICY,
    "tts": (
        Target("speedup_first_audio_0.6b", at_least=3.0),
        Target("speedup_per_frame_0.6b", at_least=1.25),
        Target("speedup_per_frame_tiny", at_least=3.0),
        Target("memory_growth_mb_.+", at_most=1.0),
        Target("wer_rerecognized_en", at_most=0.03),
        Target("wer_rerecognized_es", at_most=0.06),
        Target("wer_rerecognized_pt", at_most=0.08),
        Target("ms_per_frame_1.7b_s1", at_most=6.0, gpu=True, goal=3.5),
        Target("ttfa_p95_ms_1.7b_s1", at_most=35.0, gpu=True, goal=18.0),
        Target("ms_per_frame_0.6b_s1", at_most=5.0, gpu=True, goal=2.8),
        Target("ttfa_p95_ms_0.6b_s1", at_most=30.0, gpu=True, goal=15.0),
        Target("speedup_per_frame_(0.6b|1.7b)", at_least=6.0, gpu=True, goal=10.0),
        Target("speedup_per_frame_vs_faster_(0.6b|1.7b)", at_least=2.0, gpu=True, goal=4.0),
    ),
    "load": (Target("streams_1.7b", at_least=64.0, gpu=True, goal=192.0),),
    "session": (
        Target("rtf", at_most=0.5),
        Target("first_audio_s", at_most=5.0),
        Target("ear_voice_span_p50_s", at_most=2.5),
        Target("ear_voice_span_p90_s", at_most=5.0),
        Target("median_unit_words", at_least=4.0),
        Target("wer", at_most=0.32),
        Target("wer_above_whole", at_most=0.05),
        Target("words_(lost|doubled)", at_most=0.0),
        Target("peak_memory_mb", at_most=400.0),
        Target("hour_heap_growth_mb", at_most=1.0),
        Target("hour_cpu_s", at_most=60.0),
    ),
    "pace": (
        Target("lag_p95_s_x1.35_pause[0-9.]+", at_most=8.0),
        Target("skipped_x1.35_pause0.6", at_most=0.10),
        Target("skipped_x1.35_pause0.2", at_most=0.18),
        Target("skipped_x(0.95|1|1.1|1.2)_pause[0-9.]+", at_most=0.0),
    ),
    "table": (
        Target("talk_drift_s_per_minute", at_most=0.1),
        Target("talk_units_skipped_share", at_most=0.02),
    ),
}


def checked(stage: str, figures: Mapping[str, float], on_gpu: bool) -> list[tuple[str, float, Target]]:
    """The figures of a stage that have a target, with it, in the order of the targets."""
    return [
        (name, value, target)
        for target in TARGETS.get(stage, ())
        if on_gpu or not target.gpu
        for name, value in figures.items()
        if re.fullmatch(target.figure, name)
    ]
