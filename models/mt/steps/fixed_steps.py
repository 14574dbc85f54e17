"""The decoding steps that are recorded when a decoder-only model is loaded: one for each of a few sizes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

from models.mt.steps.fixed_step import Bucket, FixedStep
from models.mt.steps.key_values import Model, prefill
from pipeline.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from models.cuda import Recorder

LEAST_ROWS = 4  # one text at beam 4; a step of fewer rows, such as a draft's one, reads the same weights and is not faster
LENGTHS = ((160, 96), (320, 192))
"""Tokens for the prompt and the answer: 256 together hold a sentence of 40 tokens, 512 one of 80 with much context."""


def buckets(rows: int, positions: int) -> list[Bucket]:
    """Return the sizes for searches of up to ``rows`` rows with a model of so many positions, smallest first.

    With 32 rows (8 texts at beam 4) they are 8. Keys and values of 32 rows of 512 take 1 GiB with Hy-MT2-1.8B; longer texts
    are rare in live speech, and room for them would be taken all the time.
    """
    counts = [LEAST_ROWS]
    while counts[-1] < rows:
        counts.append(min(2 * counts[-1], rows))
    sizes = [Bucket(count, *length) for count in counts for length in LENGTHS]
    return [size for size in sizes if size.length <= positions]


def room(sizes: Sequence[Bucket]) -> tuple[int, int]:
    """Return the most rows of a step, and the most positions of all its rows: the memory of steps that share it."""
    return max((size.rows for size in sizes), default=0), max((size.rows * size.length for size in sizes), default=0)


class FixedSteps:
    """The steps of one model, which share their memory: one search at a time, on the thread that owns the model."""

    def __init__(self, model: Model, bias: Tensor | None, sizes: Sequence[Bucket], recorder: Recorder | None) -> None:
        """Take memory for steps of these ``sizes``, smallest first, and record each; without ``recorder`` none is.

        Raises `ModelError` if the device cannot.
        """
        import torch

        try:
            with torch.inference_mode():
                self._steps = _steps(model, bias, sizes)
                if recorder:
                    for step in reversed(self._steps):  # the largest first: the others use its memory
                        step.record(recorder)
        except RuntimeError as error:
            raise ModelError(
                f"the decoding step of {type(model).__name__} cannot be recorded: {error}", hint="translator.graphs=false"
            ) from error

    def fitting(self, rows: int, prompt: int, answer: int) -> FixedStep | None:
        """Return the smallest step with room for a search, if there is one."""
        sizes = ((step.bucket, step) for step in self._steps)
        fit = (step for size, step in sizes if size.rows >= rows and size.prompt >= prompt and size.answer >= answer)
        return next(fit, None)


def _steps(model: Model, bias: Tensor | None, sizes: Sequence[Bucket]) -> list[FixedStep]:
    import torch

    probe = prefill(model, [[0]])  # tells what each layer keeps of a token: [1, heads, 1, width]
    shapes = {tuple(states.shape) for layer in probe.layers for states in layer}
    if len(shapes) != 1:
        raise RuntimeError(f"its layers keep keys and values of several shapes, {shapes}")
    ((_, heads, _, width),) = shapes
    rows, positions = room(sizes)
    arenas = [keys.new_zeros(2 * positions * heads * width) for keys, _ in probe.layers]
    scores = probe.logits.new_zeros(rows, probe.logits.shape[-1], dtype=torch.float32)

    def part(arena: Tensor, size: Bucket) -> Tensor:
        shape = 2, size.rows, heads, size.length, width
        return arena[: prod(shape)].view(shape)

    steps = []
    for size in sizes:
        memory = [part(arena, size) for arena in arenas]
        steps.append(FixedStep(model, bias, size, memory, scores[: size.rows]))
    return steps
