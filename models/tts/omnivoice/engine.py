"""Continuous batching of units: they join and leave at any step and advance together.

`Engine` runs on the one thread that owns the model; `EngineLoop` turns it while any unit is spoken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from models.cuda import leave_stream, sent
from models.tts.omnivoice.audio_tokenizer import AudioDecoder
from models.tts.omnivoice.config import MOST_FRAMES, POSITIONS
from models.tts.omnivoice.decoding import MaskedModel, Rows, allocate_rows
from models.tts.omnivoice.prompt import Codes, Prompt
from models.tts.streaming_loop import StreamingLoop, synthesis_failed
from pipeline.errors import ModelError
from pipeline.events import Samples
from pipeline.lane import Lane


@dataclass(eq=False, slots=True)
class Utterance:
    """Unit being spoken, as the host keeps it."""

    prompt: Prompt
    frames: int
    seed: int
    row: int = -1
    steps_left: int = 0
    taken: int = 0  # by its listener; it comes as a whole


@dataclass(frozen=True, slots=True, eq=False)
class DecodedUtterance:
    """End of a unit: its codes [codebooks, frames] and samples float32 [n], or the error that ended it."""

    utterance: Utterance
    codes: Codes
    samples: Samples
    error: Exception | None = None


Step = Callable[[Sequence[Utterance]], None]
"""Advance of units, which are in rows, by one step."""


class Engine:
    """Loaded model with its static memory, and the units it speaks."""

    def __init__(self, model: MaskedModel, decoder: AudioDecoder, sessions: int, *, spare: int = 0) -> None:
        """Allocate memory for a unit of each of ``sessions``, and ``spare`` rows that no unit gets."""
        self.model, self.decoder = model, decoder
        self.rows: Rows = allocate_rows(model.config, sessions + spare, model.steps, model.code_table)
        self.step: Step = self._step_exactly
        self._seats = sessions
        self._free_rows = list(range(sessions))
        self._waiting: deque[Utterance] = deque()
        self._active: list[Utterance] = []

    @property
    def device(self) -> torch.device:
        """Device of the weights and buffers."""
        return self.rows.codes.device

    def take_seat(self) -> bool:
        """Count a session in; False when there is memory for no other."""
        if not self._seats:
            return False
        self._seats -= 1
        return True

    def leave_seat(self) -> None:
        """Count a session out."""
        self._seats += 1

    def add(self, unit: Utterance) -> None:
        """Queue a unit; it begins at the next turn. Raises `ModelError` if it does not fit."""
        if len(unit.prompt) > POSITIONS or unit.frames > MOST_FRAMES:
            raise ModelError(
                f"a unit of {len(unit.prompt)} positions of text and reference and {unit.frames} frames does not fit "
                f"{POSITIONS} and {MOST_FRAMES}",
                hint="a shorter reference clip, or shorter units",
            )
        self._waiting.append(unit)

    def remove(self, unit: Utterance) -> None:
        """Stop a unit, waiting or active; idempotent."""
        if unit in self._waiting:
            self._waiting.remove(unit)
        if unit in self._active:
            self._active.remove(unit)
            self._free_rows.append(unit.row)
            self._free_rows.sort()

    def close(self) -> None:
        """Wait for work under way: it writes to memory that others may get once this is unloaded."""
        leave_stream(self.device)

    @property
    def busy(self) -> bool:
        """True if a turn would do something."""
        return bool(self._waiting or self._active)

    def turn(self) -> list[DecodedUtterance]:
        """Begin waiting units, advance all by one step, and decode those that are done. A failure ends its unit alone."""
        ended: list[DecodedUtterance] = []
        with torch.inference_mode():
            while self._waiting and self._free_rows:
                ended += self._guarded([self._waiting.popleft()], self._begin)
            if self._active:
                ended += self._guarded(list(self._active), self._advance)
            done = [unit for unit in self._active if unit.steps_left <= 0]
            spoken = [self._speak(unit) for unit in done]
        for one in spoken:
            self.remove(one.utterance)
        return ended + spoken

    def _guarded(self, units: list[Utterance], work: Step) -> list[DecodedUtterance]:
        """Do ``work`` for the units, one by one where memory does not do for all, so that others go on; gives failures."""
        if not units:
            return []
        try:
            work(units)
        except Exception as error:  # a border: whoever asked for the unit gets it
            if isinstance(error, torch.OutOfMemoryError) and len(units) > 1:
                return list(chain.from_iterable(self._guarded([unit], work) for unit in units))
            for unit in units:
                self.remove(unit)
            return [_failed(unit, error) for unit in units]
        return []

    def _begin(self, units: Sequence[Utterance]) -> None:
        for unit in units:
            unit.row = self._free_rows.pop(0)
            self._active.append(unit)
            unit.steps_left = self.model.begin(self.rows, unit.row, unit.prompt, unit.frames, unit.seed)

    def _advance(self, units: Sequence[Utterance]) -> None:
        self.step(units)
        for unit in units:
            unit.steps_left -= 1

    def _step_exactly(self, units: Sequence[Utterance]) -> None:
        """Advance the units by a step over no more positions than the longest has."""
        prefixes, frames = {len(unit.prompt) for unit in units}, {unit.frames for unit in units}
        chosen = sent(torch.tensor([unit.row for unit in units]), self.device)
        padded = len(prefixes) > 1 or len(frames) > 1
        self.model.step(self.rows, chosen, max(prefixes), max(frames), padded=padded)

    def _speak(self, unit: Utterance) -> DecodedUtterance:
        try:
            codes: Tensor = self.rows.codes[unit.row : unit.row + 1, :, : unit.frames]
            samples = self.decoder.decode(codes)[0].cpu().numpy()
            return DecodedUtterance(unit, codes[0].cpu().numpy().copy(), samples)
        except Exception as error:  # a border: whoever asked for the unit gets it
            return _failed(unit, error)


def _failed(unit: Utterance, error: Exception) -> DecodedUtterance:
    return DecodedUtterance(unit, np.zeros((0, 0), dtype=np.int64), np.zeros(0, dtype=np.float32), error)


class EngineLoop(StreamingLoop[Utterance, DecodedUtterance]):
    """Owner of the engine for the event loop: every call to it runs on its lane."""

    def __init__(self, engine: Engine, lane: Lane) -> None:
        super().__init__(engine, lane, lookahead=1)
        self.engine = engine

    async def speak(self, utterance: Utterance) -> DecodedUtterance:
        """Speak a unit; cancelled, it leaves the engine after the step under way. Raises what ended it."""
        queue = await self.begin(utterance)
        try:
            spoken = await queue.take()
        finally:
            await self.end(queue)
        if spoken.error is not None:
            raise synthesis_failed(spoken.error)
        return spoken
