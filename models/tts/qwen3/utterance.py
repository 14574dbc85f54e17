"""One utterance on its way through the engine, what comes out of it, and which utterances go next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from models.tts.qwen3.prompt import Codes, Prompt
from models.tts.qwen3.stop_criteria import Ending, StopCriteria
from pipeline.events import Samples


@dataclass(eq=False, slots=True)
class Utterance:
    """One utterance being spoken: its row, its codec stream, and what the host must know of it."""

    prompt: Prompt
    speaker: Tensor | None
    stream: int
    seed: int
    text_ended: bool
    stop: StopCriteria
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
class DecodedChunk:
    """What a turn brought for one utterance: samples float32 [n], the frames they are, and its ending if it is over."""

    utterance: Utterance
    samples: Samples
    frames: int
    ending: Ending | None


CHUNKS = (1, 2, 4, 8)
"""Frames per codec call as an utterance goes on: the first sound at once, then fewer, larger calls while it plays."""


@dataclass(frozen=True, slots=True)
class UtteranceProgress:
    """How far one utterance is: ``ahead`` frames drawn that nobody has taken yet, and the text it may go on with."""

    row: int
    ahead: int
    heard: bool
    has_text: bool


def choose(utterances: Sequence[UtteranceProgress], lookahead: int, limit: int) -> list[int]:
    """Rows that draw the next frame, at most ``limit``, most urgent first.

    Those that nobody has heard yet come first, then those whose listeners will run dry first (earliest deadline first, Liu
    and Layland 1973). A row that is ``lookahead`` frames ahead rests, as does one that waits for text.
    """
    able = [one for one in utterances if one.has_text and one.ahead < lookahead]
    able.sort(key=lambda one: (one.heard, one.ahead, one.row))
    return [one.row for one in able[:limit]]


def chunk(waiting: int, decoded_chunks: int, ended: bool) -> int:
    """How many of ``waiting`` frames to decode now; 0: wait for more."""
    size = CHUNKS[min(decoded_chunks, len(CHUNKS) - 1)]
    if waiting >= size:
        return size
    return waiting if ended else 0
