"""Steps captured beforehand in a few sizes as CUDA graphs: one launch for a step of a whole batch.

Rows, prompts and frames are padded to the next captured size. Padding never reaches real rows: rows do not see each other,
what is behind a row's prompt and frames is masked, and a spare row takes the place of rows that are not there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from models.cuda_stream import sent
from models.graph_capture import Recorder, Work, at_least, halving
from models.tts.omnivoice.config import MOST_FRAMES, POSITIONS
from models.tts.omnivoice.decoding import MaskedModel
from models.tts.omnivoice.engine import Unit
from models.tts.omnivoice.rows import Rows

PREFIXES = (128, 192, 256, 384, 512, POSITIONS)
FRAMES = (50, 100, 200, MOST_FRAMES)


class GraphSteps:
    """Captured steps of a model; the last of ``rows`` is spare. All are captured when it is made, largest first."""

    def __init__(self, model: MaskedModel, rows: Rows, recorder: Recorder) -> None:
        self._spare = len(rows.step) - 1
        self._counts = halving(self._spare)
        self._chosen = torch.full((self._spare,), self._spare, device=rows.step.device)

        def record(count: int, prefix: int, frames: int) -> Work:
            chosen = self._chosen[:count]
            return recorder.record(lambda: model.step(rows, chosen, prefix, frames))

        self._steps = {
            (count, prefix, frames): record(count, prefix, frames)
            for count in self._counts
            for prefix in reversed(PREFIXES)
            for frames in reversed(FRAMES)
        }

    def step(self, units: Sequence[Unit]) -> None:
        """Advance the units by one step."""
        count = at_least(self._counts, len(units))
        prefix = at_least(PREFIXES, max(len(unit.prompt) for unit in units))
        frames = at_least(FRAMES, max(unit.frames for unit in units))
        rows = [unit.row for unit in units] + [self._spare] * (count - len(units))
        self._chosen[:count].copy_(sent(torch.tensor(rows), self._chosen.device))
        self._steps[count, prefix, frames]()
