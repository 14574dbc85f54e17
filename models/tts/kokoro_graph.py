"""Kokoro's graph in two parts, so that speech leaves window by window: most of its work is the vocoder.

The vocoder (iSTFTNet, Kaneko et al., 2022) normalizes its activations by their mean and variance over the whole utterance
(adaptive instance normalization), which no window knows. They differ little between utterances of a voice, so statistics
measured over some of its sentences take their place, as in batch normalization. What a window then computes depends on a
few frames around it only: a stream is the same as the whole, and silence at the borders need not be computed at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.tts.onnx_parts import LARGEST_SUM, OnnxFile, largest_convolution
from models.tts.onnx_voice import Graph, Inputs, open_graph, outputs_of
from pipeline.errors import FETCH_MODELS, ModelError
from pipeline.events import Samples

FRAME_SAMPLES = 300  # at 24 kHz: 12.5 ms
CONTEXT_FRAMES = 4  # on each side of a window; more changes nothing that its 8 bits do not
WINDOWS = (40, 48, 60, 80, 112)  # frames: each is played while the next is computed at 0.6 of real time
LEAD_FRAMES = 12  # of silence are computed before the first symbol, whose sound begins up to 10 frames before it
TAIL_FRAMES = 18  # from the beginning of the last symbol that sounds; its sound ended within 12 in five languages
STATISTICS = Path(__file__).with_name("kokoro_statistics.npz")

FRAMES = "/decoder/decoder/decode.3/Div_4_output_0"  # [1, 512, n]
SOURCE = "/decoder/decoder/generator/Concat_3_output_0"  # [1, 22, 60 n + 1], spectrum of the harmonic source
STYLE = "/decoder/Slice_output_0"  # [1, 128]
DURATIONS = "/encoder/Clip_output_0"  # of tokens, in pairs of frames
SOURCE_RATE = 60
_VOCODER_INPUTS = (FRAMES, SOURCE, STYLE)

Statistics = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class KokoroGraph:
    """The loaded model. ``stream`` is its vocoder with statistics, ``tensors``, as inputs.

    ``whole`` loads the vocoder that reckons its own. A file of another export has no such parts: ``text`` is all of it and
    gives the samples.
    """

    text: Graph
    stream: Graph | None = None
    tensors: tuple[str, ...] = ()
    whole: Callable[[], Graph] | None = None

    def say(self, inputs: Inputs, statistics: Statistics | None, silent: int, options: object = None) -> Iterator[Samples]:
        """Yield the samples of one utterance, window by window where ``statistics`` are known, else at once.

        The last ``silent`` symbols are punctuation, of which no sound comes.
        """
        if self.stream is None or self.whole is None:
            yield outputs_of(self.text, None, inputs, options)[0].ravel()
            return
        names = (*_VOCODER_INPUTS, DURATIONS)
        frames, source, style, durations = outputs_of(self.text, names, inputs, options)
        if statistics is None:
            given = {FRAMES: frames, SOURCE: source, STYLE: style}
            yield outputs_of(self.whole(), None, given, options)[0].ravel()
            return
        lengths, slowness = 2 * durations.ravel().astype(int), 1 / min(1.0, float(inputs["speed"][0]))
        begin = max(0, int(lengths[0] - LEAD_FRAMES * slowness))
        end = min(frames.shape[2], int(lengths[: len(lengths) - 2 - silent].sum() + TAIL_FRAMES * slowness))
        for first, last in windows(begin, end):
            left, right = max(0, first - CONTEXT_FRAMES), min(frames.shape[2], last + CONTEXT_FRAMES)
            part = source[:, :, left * SOURCE_RATE : right * SOURCE_RATE + 1]
            given = {FRAMES: frames[:, :, left:right], SOURCE: part, STYLE: style, **statistics}
            samples = outputs_of(self.stream, None, given, options)[0].ravel()
            yield samples[(first - left) * FRAME_SAMPLES :][: (last - first) * FRAME_SAMPLES]


def windows(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the first frame and the one after the last of each window; the last is no shorter than the context."""
    sizes = iter(WINDOWS)
    while begin < end:
        last = begin + next(sizes, WINDOWS[-1])
        last = end if end - last < CONTEXT_FRAMES else last
        yield begin, last
        begin = last


def load_kokoro(file: Path, threads: int) -> KokoroGraph:
    """Load the model of a file; raises `ModelError` where it is none."""
    parts = _parts(file)
    names = (*_VOCODER_INPUTS, DURATIONS)
    if not parts.has((*names, "audio")):
        return KokoroGraph(open_graph(file, file.read_bytes(), threads))
    tensors = tuple(parts.outputs_of("ReduceMean", set(_VOCODER_INPUTS), {"audio"}))
    signed = _convolves_signed()
    text = open_graph(file, parts.part(parts.inputs, names, signed=signed), threads)
    stream = open_graph(file, parts.part((*_VOCODER_INPUTS, *tensors), ["audio"], signed=signed), threads)

    @cache
    def whole() -> Graph:
        return open_graph(file, _parts(file).part(_VOCODER_INPUTS, ["audio"], signed=signed), threads)

    return KokoroGraph(text, stream, tensors, whole)


def _convolves_signed() -> bool:
    """Tell if this onnxruntime convolves signed numbers of 8 bits, and exactly: it saturates on x86 without VNNI."""
    try:
        probe = open_graph(Path("a probe"), largest_convolution(), 1)
    except ModelError:
        return False
    (sums,) = outputs_of(probe, None, {"x": np.full((1, 4, 64), 127, np.float32)}, None)
    return bool((sums == LARGEST_SUM).all())


def _parts(file: Path) -> OnnxFile:
    try:
        return OnnxFile(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} is no voice model that onnxruntime can read ({error})", hint=FETCH_MODELS) from error


def statistics_of(voice: str, tensors: Sequence[str]) -> Statistics | None:
    """Return a voice's means and variances [1, channels, 1], a vocoder's ``tensors``; none where they were not measured."""
    with np.load(STATISTICS) as stored:
        if voice not in stored or len(stored["channels"]) != len(tensors):
            return None
        parts = np.split(stored[voice].astype(np.float32), np.cumsum(stored["channels"])[:-1])
    return {name: part.reshape(1, -1, 1) for name, part in zip(tensors, parts, strict=True)}
