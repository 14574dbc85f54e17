"""Settings of a Whisper stream: ``stream`` in a profile."""

from __future__ import annotations

from dataclasses import dataclass, field

from models.asr.vad import WINDOW_S, EndpointOptions
from models.asr.whisper.commit import CommitOptions, PolicyName
from models.asr.whisper.load_shedding import KEPT_S
from pipeline.errors import check_range

WHISPER_S = 30.0  # what its encoder hears at once


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Settings of a stream; seconds.

    An update each ``step_s`` on a window of at most ``window_s``, trimmed so that ``keep_s`` stay. Nothing committed for
    ``stall_s`` of speech: the window is decoded bare, then told as a gap. More than ``max_lag_s`` behind: skip to live.
    An onset is heard from ``padding_s`` before it and up to ``reach_s`` more where it is louder than the noise.
    Speech that goes on after a pause of ``resume_s`` at most is heard together with the last ``keep_s`` before it.
    ``carry_context``: committed words that left the window help to decode what follows. ``greedy_languages`` are decoded
    without the recognizer's beam: models are trained mostly on English, where it finds nothing better.
    """

    step_s: float = 0.4
    window_s: float = 20.0
    keep_s: float = 3.0
    stall_s: float = 6.0
    max_lag_s: float = 6.0
    padding_s: float = 0.2
    reach_s: float = 0.6
    policy: PolicyName = "hybrid"
    commit: CommitOptions = field(default_factory=CommitOptions)
    endpoints: EndpointOptions = field(default_factory=EndpointOptions)
    resume_s: float = 2.0
    carry_context: bool = False
    greedy_languages: tuple[str, ...] = ("en",)

    def __post_init__(self) -> None:
        check_range("step_s", self.step_s, WINDOW_S, 10)
        check_range("window_s", self.window_s, 2 * self.step_s, WHISPER_S)
        check_range("keep_s", self.keep_s, 0, self.window_s - self.step_s)
        check_range("stall_s", self.stall_s, self.step_s)
        check_range("max_lag_s", self.max_lag_s, KEPT_S)
        check_range("padding_s", self.padding_s, 0, 10)
        check_range("reach_s", self.reach_s, 0, 10)
        check_range("resume_s", self.resume_s, 0, 10)
