"""GE2E speaker encoder in numpy: from 1 to 2 s of speech to the direction of its speaker's voice.

Three LSTM layers of 256 over a 40-band mel spectrogram (Wan et al. 2018, "Generalized end-to-end loss for speaker
verification"), with the weights of the package resemblyzer (https://github.com/resemble-ai/Resemblyzer, Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.asr.whisper.log_mel import FFT_SAMPLES, HOP_SAMPLES, mel_filters
from models.torch_file import read_tensors
from pipeline.errors import ModelError
from pipeline.events import Samples

Vector = NDArray[np.float32]

BANDS, UNITS, LAYERS = 40, 256, 3
LEVEL_DB = -30.0  # quieter speech is heard at this level


@dataclass(frozen=True, slots=True)
class Layer:
    """Weights of an LSTM layer, the rows of its sigmoid gates halved: sigmoid(x) is (1 + tanh(x / 2)) / 2."""

    inputs: Vector  # [4 * units, inputs]: gates for input, forgetting, candidate, output
    hidden: Vector  # [4 * units, units]
    bias: Vector  # [4 * units]

    def run(self, values: Vector) -> Vector:
        """Map [steps, inputs] to [steps, units], from a state of zeros."""
        given = values @ self.inputs.T + self.bias
        out = np.empty((len(values), UNITS), np.float32)
        hidden = cell = np.zeros(UNITS, np.float32)
        for step, row in enumerate(given):
            gates = np.tanh(row + self.hidden @ hidden)
            opened = gates[:UNITS] + 1.0
            cell = 0.5 * ((gates[UNITS : 2 * UNITS] + 1.0) * cell + opened * gates[2 * UNITS : 3 * UNITS])
            hidden = out[step] = 0.5 * (gates[3 * UNITS :] + 1.0) * np.tanh(cell)
        return out


@dataclass(frozen=True, slots=True)
class Ge2e:
    """The encoder; satisfies `models.diarize.stream.Encoder`."""

    layers: tuple[Layer, ...]
    weight: Vector  # [units, units]
    bias: Vector

    @classmethod
    def load(cls, path: Path) -> Ge2e:
        """Read the weights as resemblyzer has them; raises `ModelError` for another file."""
        tensors = read_tensors(path, "model_state")
        try:
            layers = tuple(_layer(tensors, number) for number in range(LAYERS))
            return cls(layers, tensors["linear.weight"], tensors["linear.bias"])
        except (KeyError, ValueError) as error:
            raise ModelError(f"{path} is no GE2E encoder: {error}") from error

    def __call__(self, samples: Samples) -> Vector:
        """Map 16 kHz speech [n] to a unit vector [256]."""
        values = mel_powers(at_level(samples))
        for layer in self.layers:
            values = layer.run(values)
        vector = np.maximum(self.weight @ values[-1] + self.bias, 0.0)
        return np.asarray(vector / (np.linalg.norm(vector) + 1e-9), np.float32)


def mel_powers(samples: Samples) -> Vector:
    """Compute mel powers [frames, 40] of 16 kHz samples [n]: 25 ms Hann windows each 10 ms, zeros beyond the edges."""
    padded = np.pad(samples, FFT_SAMPLES // 2)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, FFT_SAMPLES)[::HOP_SAMPLES]
    hann = np.hanning(FFT_SAMPLES + 1)[:-1].astype(np.float32)
    powers = np.abs(np.fft.rfft(pieces * hann, axis=1)).astype(np.float32) ** 2
    return powers @ mel_filters(BANDS).T


def at_level(samples: Samples) -> Samples:
    """Amplify quiet speech to `LEVEL_DB`; louder stays as it is."""
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) + 1e-9
    return np.asarray(samples * max(1.0, 10 ** (LEVEL_DB / 20) / level), np.float32)


def _layer(tensors: Mapping[str, Vector], number: int) -> Layer:
    halved = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), UNITS)
    inputs, hidden = tensors[f"lstm.weight_ih_l{number}"], tensors[f"lstm.weight_hh_l{number}"]
    if hidden.shape != (4 * UNITS, UNITS) or inputs.shape != (4 * UNITS, BANDS if number == 0 else UNITS):
        raise ValueError(f"layer {number} has the shapes {inputs.shape} and {hidden.shape}")
    bias = tensors[f"lstm.bias_ih_l{number}"] + tensors[f"lstm.bias_hh_l{number}"]
    return Layer(inputs * halved[:, None], np.ascontiguousarray(hidden * halved[:, None]), bias * halved)
