"""The engine's model alone, loaded from a checkpoint and stepped row by row."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from models.tts.checkpoint import Tensors
from models.tts.qwen3.config import read_model_config
from models.tts.qwen3.prompt import Opening, Prompt, PromptSpeaker
from models.tts.qwen3.rows import NEVER, Rows, allocate_rows
from models.tts.qwen3.sampler import GenerationConfig, read_generation_config
from models.tts.qwen3.talker import SpeechModel, load_speech_model

CPU = torch.device("cpu")
POSITIONS, TEXT = 192, 64


def load(folder: Path, *, greedy: bool = True, dtype: torch.dtype = torch.float32) -> SpeechModel:
    """Talker and predictor of a checkpoint."""
    config, generation = read_model_config(folder), read_generation_config(folder)
    if greedy:
        talker, predictor = (replace(one, temperature=0.0) for one in (generation.talker, generation.predictor))
        generation = GenerationConfig(talker, predictor)
    return load_speech_model(Tensors(folder, CPU, dtype), config, generation, POSITIONS, CPU)


def rows_for(model: SpeechModel, count: int = 1) -> Rows:
    return allocate_rows(model.config, count, POSITIONS, TEXT, model.talker.code_table)


VECTOR = PromptSpeaker()


def opening(
    model: SpeechModel, language: str = "english", speaker: PromptSpeaker | None = VECTOR, **more: object
) -> Opening:
    tokens = model.config.tokens
    return Opening((tokens.im_start, 256, 10), model.config.languages.get(language), speaker, **more)


def begin(model: SpeechModel, rows: Rows, row: int, prompt: Prompt, speaker: Tensor | None, *, seed: int = 5) -> None:
    """Draw the first frame of a prompt in a cleared row that may not end."""
    rows.clear(row, seed, model.talker.embed_text(torch.tensor([model.config.tokens.tts_pad]))[0])
    rows.end_floor[row] = NEVER
    feed(model, rows, row, 0, prompt.trailing)
    model.begin(rows, torch.tensor([row]), model.talker.embed_prompt(prompt, speaker), torch.tensor([len(prompt) - 1]))
    rows.clear_positions(row, len(prompt), POSITIONS)


def feed(model: SpeechModel, rows: Rows, row: int, at: int, tokens: Sequence[int]) -> None:
    if tokens:
        rows.text[row, at : at + len(tokens)] = model.talker.embed_text(torch.tensor(tokens))


def draw_frames(model: SpeechModel, prompt: Prompt, speaker: Tensor | None, count: int, seed: int = 5) -> Tensor:
    """The first ``count`` frames of one prompt alone, int64 [count, 16]."""
    rows = rows_for(model)
    begin(model, rows, 0, prompt, speaker, seed=seed)
    frames = [rows.codes[0].clone()]
    for _ in range(count - 1):
        model.step(rows, 1, POSITIONS)
        frames.append(rows.codes[0].clone())
    return torch.stack(frames)
