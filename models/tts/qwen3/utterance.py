"""Utterance in the engine, its decoded chunks, and the schedule of utterances."""

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
    """Utterance being spoken, as the host keeps it."""

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
        """Drawn codes, int64 [frames, 16]."""
        return np.array(self.codes, dtype=np.int64)

    @property
    def has_text(self) -> bool:
        """True if the next frame's text token has arrived."""
        return self.text_ended or self.drawing <= self.fed


@dataclass(frozen=True, slots=True)
class DecodedChunk:
    """Decoded speech of one utterance: samples float32 [n], their number of frames, and its ending if it is over."""

    utterance: Utterance
    samples: Samples
    frames: int
    ending: Ending | None


CHUNKS = (1, 2, 4, 8)
"""Frames of an utterance's codec calls, in order: the first sound at once, then fewer, larger calls while it plays."""


@dataclass(frozen=True, slots=True)
class UtteranceProgress:
    """Progress of one utterance."""

    row: int
    ahead: int  # frames drawn that the listener has not taken
    heard: bool  # some of it was decoded
    has_text: bool  # the next frame's text token has arrived


def next_rows(utterances: Sequence[UtteranceProgress], lookahead: int, limit: int) -> list[int]:
    """Choose the rows that draw the next frame, at most ``limit``, most urgent first.

    Utterances not heard yet come first, then those whose listeners will run dry first (earliest deadline first, Liu and
    Layland 1973). A row that is ``lookahead`` frames ahead rests, as does one that waits for text.
    """
    able = [one for one in utterances if one.has_text and one.ahead < lookahead]
    able.sort(key=lambda one: (one.heard, one.ahead, one.row))
    return [one.row for one in able[:limit]]


def chunk_size(waiting: int, decoded_chunks: int, ended: bool) -> int:
    """Choose the number of ``waiting`` frames to decode now; 0: wait for more."""
    size = CHUNKS[min(decoded_chunks, len(CHUNKS) - 1)]
    if waiting >= size:
        return size
    return waiting if ended else 0
