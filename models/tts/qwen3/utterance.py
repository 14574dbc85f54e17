"""One utterance on its way through the engine, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from models.tts.qwen3.guards import Ending, Watch
from models.tts.qwen3.prompt import Codes, Prompt
from pipeline.events import Samples


@dataclass(eq=False, slots=True)
class Utterance:
    """One utterance being spoken: its row, its codec stream, and what the host must know of it."""

    prompt: Prompt
    speaker: Tensor | None
    stream: int
    seed: int
    text_ended: bool
    watch: Watch
    row: int = -1
    fed: int = 0  # trailing text tokens on the device
    cleared: int = 0  # positions of the row that are numbers
    drawing: int = 0  # frames that the device has been asked for
    codes: list[list[int]] = field(default_factory=list)
    decoded: int = 0
    chunks: int = 0
    taken: int = 0  # frames that the listener has taken; written by another thread
    ending: Ending | None = None
    arrived: list[int] = field(default_factory=list)  # text tokens that came before it had a row
    in_pieces: bool = field(init=False)  # speech is kept from ending before such text has been fed

    def __post_init__(self) -> None:
        self.in_pieces = not self.text_ended

    @property
    def frames(self) -> Codes:
        """What was drawn, int64 [frames, 16]."""
        return np.array(self.codes, dtype=np.int64)

    @property
    def has_text(self) -> bool:
        """Whether the next frame's text token is there."""
        return self.text_ended or self.drawing <= self.fed


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a turn brought for one utterance: samples float32 [n], the frames they are, and its ending if it is over."""

    utterance: Utterance
    samples: Samples
    frames: int
    ending: Ending | None
