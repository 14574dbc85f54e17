"""Continuous batching: utterances join and leave at any patch and advance together, one patch of all a turn.

A session has a row, in which it speaks one utterance at a time. Everything here but `EngineLoop` runs on the one thread
that owns the model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from models.cuda import leave_stream, sent
from models.tts.blocks.causal_layers import StreamState
from models.tts.streaming_loop import CannotBegin, StreamingLoop
from models.tts.voxcpm.audio_vae import AudioDecoder
from models.tts.voxcpm.model import Rows, SpeechModel
from models.tts.voxcpm.prompt import SpeechPrompt
from pipeline.errors import ModelError
from pipeline.events import Samples
from pipeline.lane import Lane

LOOKAHEAD_PATCHES = 12
"""Patches made ahead of their listener, 2 s: then the GPU is free for others, and a cancel wastes little."""

# As upstream:
LEAST_PATCHES = 4  # before speech may end
PATCHES_PER_TOKEN, SPARE_PATCHES = 6, 10  # after which it is taken to have no end
_CONTEXT_PATCHES = 3  # of continued speech that the audio decoder hears before the first patch

_LENGTH_STEP = 64  # positions by which the attended cache grows, so that few shapes occur


@dataclass(eq=False, slots=True)
class Utterance:
    """Utterance being spoken, as the host keeps it."""

    prompt: SpeechPrompt
    row: int
    seed: int
    limit: int  # most patches
    least: int = LEAST_PATCHES  # before it may end
    patches: list[Tensor] = field(default_factory=list)  # float32 [patch, latent] each
    taken: int = 0  # patches that the listener has taken; written by another thread
    noise: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.noise = torch.Generator().manual_seed(self.seed)  # of the CPU: the same wherever the model runs

    @property
    def position(self) -> int:
        """Position of the next patch."""
        return len(self.prompt) + len(self.patches)


def budget(tokens: int, most: int) -> int:
    """Choose the most patches that a text of so many tokens may take, as upstream does against speech without end."""
    return min(tokens * PATCHES_PER_TOKEN + SPARE_PATCHES, most)


@dataclass(frozen=True, slots=True)
class DecodedPatch:
    """Decoded patch of one utterance: samples float32 [n]; if it is the last, and if the model itself ended there."""

    utterance: Utterance
    samples: Samples
    last: bool
    ended: bool


class Engine:
    """Loaded model with its static memory, and the utterances it speaks."""

    def __init__(self, model: SpeechModel, decoder: AudioDecoder, rows: Rows, streams: StreamState) -> None:
        """Offer as many rows as there is memory for."""
        self.model, self.decoder = model, decoder
        self._rows, self._streams = rows, streams
        self._free_rows = list(range(len(rows.position)))
        self._waiting: deque[Utterance] = deque()
        self._active: list[Utterance] = []

    @property
    def device(self) -> torch.device:
        """Device of the weights and buffers."""
        return self._rows.position.device

    def open_row(self) -> int | None:
        """Take a row for a session; None when all are taken."""
        return self._free_rows.pop(0) if self._free_rows else None

    def close_row(self, row: int) -> None:
        """Release a session's row and stop what is spoken in it."""
        for one in [*self._waiting, *self._active]:
            if one.row == row:
                self.remove(one)
        self._free_rows.append(row)
        self._free_rows.sort()

    def add(self, utterance: Utterance) -> None:
        """Queue an utterance; raises `ModelError` if it does not fit."""
        positions = self._rows.language.positions
        if len(utterance.prompt) + utterance.limit > positions:
            raise ModelError(
                f"an utterance of {len(utterance.prompt)} positions of text and voice and {utterance.limit} patches "
                f"does not fit {positions}",
                hint="a shorter style, a shorter reference clip, or shorter units",
            )
        self._waiting.append(utterance)

    def remove(self, utterance: Utterance) -> None:
        """Stop an utterance, waiting or active; idempotent."""
        if utterance in self._waiting:
            self._waiting.remove(utterance)
        if utterance in self._active:
            self._active.remove(utterance)

    def close(self) -> None:
        """Wait for work under way: it writes to memory that others may get once this is unloaded."""
        leave_stream(self.device)

    @property
    def busy(self) -> bool:
        """True if a turn would do something."""
        return bool(self._waiting or self._able())

    def turn(self) -> list[DecodedPatch]:
        """Begin a waiting utterance, and draw and decode a patch of all whose listeners are not far behind.

        Raises `CannotBegin`; then only that utterance has left.
        """
        with torch.inference_mode():
            if self._waiting:
                self._begin(self._waiting.popleft())
            able = self._able()
            return self._step(able) if able else []

    def _able(self) -> list[Utterance]:
        return [one for one in self._active if len(one.patches) - one.taken < LOOKAHEAD_PATCHES]

    def _begin(self, utterance: Utterance) -> None:
        row, prompt = utterance.row, utterance.prompt
        try:
            self._rows.clear(row)
            self._streams.clear(row)
            self.model.begin(self._rows, row, prompt)
            if prompt.continued:
                context = torch.from_numpy(prompt.patches[-min(prompt.continued, _CONTEXT_PATCHES) :])
                self._decode([row], context.to(self.device).flatten(0, 1).unsqueeze(0))
        except Exception as error:  # a border: the others go on
            raise CannotBegin(utterance) from error
        self._active.append(utterance)

    def _step(self, able: Sequence[Utterance]) -> list[DecodedPatch]:
        rows, count = [one.row for one in able], max(one.row for one in able) + 1
        self._rows.stepping.zero_()
        self._rows.stepping.index_fill_(0, self._integers(rows), True)
        noise = torch.zeros(self._rows.noise[:count].shape)
        for one in able:
            noise[one.row] = torch.randn(noise.shape[:0:-1], generator=one.noise).T  # its order upstream
        self._rows.noise[:count].copy_(sent(noise, self.device))
        longest = max(one.position for one in self._active) + 1  # a resting row's, too: a step writes to it
        length = min(-(-longest // _LENGTH_STEP) * _LENGTH_STEP, self._rows.language.positions)
        self.model.step(self._rows, count, length)
        chosen = self._rows.patch[self._integers(rows)]
        samples, patches = self._decode(rows, chosen), chosen.cpu()
        ends = self._rows.ends[:count].tolist()
        return [self._drawn(one, patches[at], samples[at].numpy(), ends[one.row]) for at, one in enumerate(able)]

    def _decode(self, rows: Sequence[int], latents: Tensor) -> Tensor:
        """Decode latents [rows, frames, latent] behind what these rows have said; samples on the host."""
        return self.decoder.decode(self._streams, self._integers(rows), latents).cpu()

    def _drawn(self, utterance: Utterance, patch: Tensor, samples: Samples, ends: bool) -> DecodedPatch:
        utterance.patches.append(patch)
        ended = ends and len(utterance.patches) >= utterance.least
        last = ended or len(utterance.patches) >= utterance.limit
        if last:
            self.remove(utterance)
        return DecodedPatch(utterance, samples, last, ended)

    def _integers(self, values: Sequence[int]) -> Tensor:
        return sent(torch.tensor(values, dtype=torch.int64), self.device)


class EngineLoop(StreamingLoop[Utterance, DecodedPatch]):
    """Owner of the engine for the event loop: every call to it runs on its lane."""

    def __init__(self, engine: Engine, lane: Lane) -> None:
        super().__init__(engine, lane, LOOKAHEAD_PATCHES)
        self.engine = engine
