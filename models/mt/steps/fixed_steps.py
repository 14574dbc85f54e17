"""The decoding steps that are recorded when a decoder-only model is loaded: one for each of a few sizes.

A step does the same operations on the same memory every time. Prompts end where the answers begin, at one place for all
rows and searches: what is reordered is one fixed slice, and the place of the next token, the mask and the positions are
tensors that the step itself moves on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from models.mt.steps.key_values import Model, Prefilled, cache_of, log_probabilities, prefill
from pipeline.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from models.cuda import Recorder


Module: TypeAlias = Any  # torch is not analyzed


LEAST_ROWS = 4  # one text at beam 4; a step of fewer rows, such as a draft's one, reads the same weights and is not faster
LENGTHS = ((160, 96), (320, 192))
"""Tokens for the prompt and the answer: 256 together hold a sentence of 40 tokens, 512 one of 80 with much context."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Room for ``rows`` hypotheses, prompts of ``prompt`` tokens and ``answer`` tokens after them."""

    rows: int
    prompt: int
    answer: int

    @property
    def length(self) -> int:
        """Positions in a row."""
        return self.prompt + self.answer


class FixedLayer:
    """One layer's keys and values, in the shape transformers' `Cache` expects of a layer."""

    is_initialized = True
    is_sliding = False
    is_compileable = False

    def __init__(self, states: Tensor, bucket: Bucket, place: Tensor) -> None:
        """Take keys and values [2, rows, heads, length, width], and the ``place`` int64 [1] where the next go."""
        self._states, self._bucket, self._place = states, bucket, place
        self._keys, self._values = states

    def begin(self, prompts: Sequence[Tensor], beams: int) -> None:
        """Forget all; put keys and values [requests, heads, longest, width] where prompts end, each for ``beams`` rows."""
        self._states.zero_()
        for states, prompt in zip(self._states, prompts, strict=True):
            end = self._bucket.prompt
            states[: len(prompt) * beams, :, end - prompt.shape[2] : end] = prompt.repeat_interleave(beams, 0)

    def reorder(self, origins: Tensor) -> None:
        """Let row i go on from row ``origins[i]``, which has the same prompt."""
        answers = self._states[:, :, :, self._bucket.prompt :]
        answers.copy_(answers[:, origins])

    def update(self, keys: Tensor, values: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Write one more position; returns all there are, for the mask hides those that are not written."""
        self._keys.index_copy_(2, self._place, keys)
        self._values.index_copy_(2, self._place, values)
        return self._keys, self._values

    def get_seq_length(self) -> int:
        """Return a number for transformers, which uses it only where no positions are given."""
        return self._bucket.prompt


class FixedStep:
    """The decoding step of one bucket, for one search after the other."""

    def __init__(self, model: Model, bias: Tensor | None, bucket: Bucket, memory: Sequence[Tensor], scores: Tensor) -> None:
        """Take ``memory`` [2, rows, heads, length, width] of each layer for its keys and values, ``scores`` float32
        [rows, vocabulary] for what a step gives; all are overwritten.
        """
        import torch

        self.bucket, self._model, self._bias, self._scores = bucket, model, bias, scores
        device = scores.device
        self._moves = torch.zeros(2, bucket.rows, dtype=torch.int64, device=device)
        self._place = torch.full((1,), bucket.prompt, dtype=torch.int64, device=device)
        self._positions = torch.zeros(bucket.rows, 1, dtype=torch.int64, device=device)
        self._mask = torch.zeros(bucket.rows, 1, 1, bucket.length, dtype=model.dtype, device=device)
        self._layers = [FixedLayer(states, bucket, self._place) for states in memory]
        self._cache = cache_of(self._layers)
        self._rotations = [module for module in model.modules() if getattr(module, "rope_type", None) == "dynamic"]
        self._work = self._do

    def record(self, recorder: Recorder) -> None:
        """Record the step; raises `RuntimeError` if the device refuses."""
        self._work = recorder.record(self._do)

    def begin(self, prefilled: Prefilled, beams: int) -> None:
        """Go on from prompts, each in ``beams`` rows. Nothing of the search before is left, whatever stands there."""
        import torch

        for layer, states in zip(self._layers, prefilled.layers, strict=True):
            layer.begin(states, beams)
        requests, *_, longest = prefilled.hidden.shape
        used, end = requests * beams, self.bucket.prompt
        self._mask.fill_(torch.finfo(self._mask.dtype).min)
        self._mask[:used, ..., end - longest : end] = prefilled.hidden.repeat_interleave(beams, 0)
        self._place.fill_(end)
        self._positions.zero_()
        self._positions[:used] = prefilled.next.repeat_interleave(beams, 0)

    def step(self, moves: Tensor) -> Tensor:
        """See `StepModel.step`; what it returns is overwritten by the next step."""
        used = moves.shape[1]
        self._moves[:, :used] = moves
        self._work()
        return self._scores[:used]

    def _do(self) -> None:
        origins, tokens = self._moves
        for layer in self._layers:
            layer.reorder(origins)
        self._mask.index_fill_(3, self._place, 0.0)
        with _rotating_steadily(self._rotations):
            output = self._model(
                input_ids=tokens[:, None],
                attention_mask=self._mask,
                position_ids=self._positions,
                past_key_values=self._cache,
                use_cache=True,
            )
        self._scores.copy_(log_probabilities(output.logits[:, -1], self._bias))
        self._place.add_(1)
        self._positions.add_(1)


@contextmanager
def _rotating_steadily(rotations: Sequence[Module]) -> Iterator[None]:
    """Keep transformers from reading the positions back in every step.

    Rotary frequencies of the kind ``dynamic`` change only beyond the trained length, which no bucket reaches. Hy-MT2's
    checkpoints say that theirs are, though they never change; transformers 5 knows.
    """
    for module in rotations:
        module.rope_type = "default"
    try:
        yield
    finally:
        for module in rotations:
            module.rope_type = "dynamic"


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
