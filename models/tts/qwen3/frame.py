"""Frame of speech for a batch of rows, as a fixed sequence of tensor operations.

Nothing here depends on values: no ``.item()``, no loop over rows, no shape but the number of rows and the attended cache
length. So one CUDA graph per such pair can hold the whole frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.tts.checkpoint import Tensors
from models.tts.qwen3.config import CODES, ModelConfig
from models.tts.qwen3.rows import Rows
from models.tts.qwen3.sampler import FirstCodeRules, GenerationConfig, draw, first_code_rules, uniforms
from models.tts.qwen3.talker import Predictor, Talker, load_predictor, load_talker

END_BIAS_PER_FRAME = 1.0
"""Added to the end's logit for each frame past a row's ``overstay``: an end that the model has all but excluded (1e-14, as
reported for utterances that never end) is still reached within 3 seconds."""


@dataclass(frozen=True, slots=True)
class SpeechModel:
    """Talker and predictor: from a prompt and text rows to frames of 16 codes."""

    config: ModelConfig
    generation: GenerationConfig
    talker: Talker
    predictor: Predictor
    rules: FirstCodeRules

    def begin(self, rows: Rows, row: Tensor, embedded: Tensor, last: Tensor) -> None:
        """Read an embedded prompt [positions, hidden] into the cleared ``row`` int64 [1] and draw its first frame.

        ``last`` int64 [1] is the prompt's last position; what follows it is padding.
        """
        hidden = self.talker.prefill(embedded, rows.memory, row).index_select(0, last)
        rows.position[row] = last + 1
        rows.stepping.index_fill_(0, row, True)
        self._emit(rows, row, hidden)

    def step(self, rows: Rows, count: int, length: int) -> None:
        """Draw the next frame of the first ``count`` rows, of those that are ``stepping``; the others stay as they are.

        ``length`` bounds the positions of all stepping rows.
        """
        here = slice(0, count)
        index = (rows.frame[here] - 1).clamp(0, rows.text_capacity)
        text = rows.text[here][torch.arange(count, device=index.device), index]
        position = rows.position[here].clamp(max=length - 1)
        hidden = self.talker.step(rows.pending[here] + text, position, rows.memory, length)
        rows.position[here] += rows.stepping[here]
        self._emit(rows, here, hidden)

    def _emit(self, rows: Rows, here: slice | Tensor, hidden: Tensor) -> None:
        """Draw a frame from the talker's hidden states [rows, hidden] and commit it where the rows are stepping."""
        frame, stepping = rows.frame[here], rows.stepping[here]
        uniform = uniforms(rows.seed[here], frame)
        end_bias = (frame - rows.overstay[here]).clamp(min=0) * END_BIAS_PER_FRAME
        seen = rows.seen[here]
        scores = self.rules.apply(self.talker.head(hidden), seen, frame >= rows.end_floor[here], end_bias)
        first = draw(scores, uniform[:, 0], self.generation.talker)
        codes = self.predictor.complete(hidden, first, uniform, rows.scratch)
        keep = stepping.unsqueeze(1)
        rows.codes[here] = torch.where(keep, codes, rows.codes[here])
        rows.pending[here] = torch.where(keep, self.talker.embed_frames(codes), rows.pending[here])
        drawn = first.unsqueeze(1)
        rows.seen[here] = seen.scatter(1, drawn, seen.gather(1, drawn) | keep)
        rows.frame[here] = frame + stepping


def is_end(code: int) -> bool:
    """Tell if a drawn first code ends speech: it is the only one beyond the codebook that is ever drawn."""
    return code >= CODES


def load_speech_model(
    tensors: Tensors, config: ModelConfig, generation: GenerationConfig, positions: int, device: torch.device
) -> SpeechModel:
    """Take talker and predictor from a checkpoint."""
    talker = load_talker(tensors, config, positions)
    predictor = load_predictor(tensors, config, talker, generation.predictor)
    penalty = generation.talker.repetition_penalty
    rules = first_code_rules(config.vocabulary, config.tokens.eos, penalty, device)
    return SpeechModel(config, generation, talker, predictor, rules)
