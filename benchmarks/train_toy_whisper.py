"""Train the toy Whisper of tests/toy_whisper on the tone language, and export it for CTranslate2.

    python -m benchmarks.train_toy_whisper --steps 5600 FOLDER

Half an hour on one core. Windows are cut as live ones are: mid-word at the end, at a word's begin without lead-in, silent.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ctranslate2
import numpy as np
import torch
from faster_whisper.feature_extractor import FeatureExtractor
from faster_whisper.tokenizer import _LANGUAGE_CODES
from numpy.typing import NDArray
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

from benchmarks.random_whisper import TIMESTAMP_TOKENS, make_tokenizer
from benchmarks.tone_language import SAMPLE_RATE, TOKENS, Speech, Spoken, sample_words, synthesize
from pipeline.events import Samples

FRAMES = 600  # a window of 6 s
WINDOW_S = FRAMES / 100
WIDTH = 64
LAYERS = 2
BATCH = 16
PEAK_RATE = 2e-3
IGNORED = -100
SILENT_SHARE = 0.06
CONTEXT_SHARE = 0.35
CUT_END_SHARE = 0.4
CUT_BEGIN_SHARE = 0.3
HEARD_SHARE = 0.7  # a word counts when so much of it was heard
ALIGNMENT_HEADS = [[1, 0], [1, 1]]


@dataclass(frozen=True, slots=True)
class Example:
    """Features [80, FRAMES], decoder input, and the token wanted after each input token."""

    features: NDArray[np.float32]
    tokens: list[int]
    labels: list[int]


class Examples:
    """Windows of tone language, as many as are asked for."""

    def __init__(self, tokenizer: Tokenizer, seed: int) -> None:
        self._tokenizer = tokenizer
        self._random = np.random.default_rng(seed)
        self._extract = FeatureExtractor(feature_size=80)

    def next(self) -> Example:
        """One window with its labels; sometimes with the text of other words as context."""
        random = self._random
        audio, words = self._noise() if random.random() < SILENT_SHARE else self._speech()
        body = [token for word in words for token in self._encode(word)]
        context = self._context() if random.random() < CONTEXT_SHARE else []
        language, transcribe, plain, end, silent = self._control(
            "en", "transcribe", "notimestamps", "endoftext", "nospeech"
        )
        tokens = [*context, *self._control("startoftranscript"), language, transcribe, plain, *body]
        head = [language, transcribe] if words else [silent, IGNORED]
        labels = [*([IGNORED] * len(context)), *head, plain, *body, end]
        return Example(self._features(audio), tokens, labels)

    def _noise(self) -> tuple[Samples, list[str]]:
        count = int(self._random.uniform(0.5, 9) * SAMPLE_RATE)
        noise = self._random.standard_normal(count).astype(np.float32) * self._random.uniform(0, 0.01)
        return noise.astype(np.float32), []

    def _speech(self) -> tuple[Samples, list[str]]:
        random = self._random
        lead_s = random.uniform(0, 1.5) if random.random() < 0.3 else None
        speech = Speech(random.uniform(0.001, 0.02), random.uniform(0, 0.3), lead_s)
        audio, spoken = synthesize(sample_words(random, int(random.integers(1, 20))), random, speech)
        heard = [word for word in spoken if word.end < WINDOW_S - 0.05]
        if len(heard) < len(spoken):
            audio = (
                audio[: int((heard[-1].end + 0.02) * SAMPLE_RATE)] if heard else audio[: int(spoken[0].start * SAMPLE_RATE)]
            )
        return self._cut(audio, heard)

    def _cut(self, audio: Samples, words: list[Spoken]) -> tuple[Samples, list[str]]:
        """Cut the end within a word as a live window does, and the begin at a word as a trimmed one does."""
        random = self._random
        if random.random() < CUT_END_SHARE and len(words) > 1:
            index = int(random.integers(1, len(words)))
            cut = words[index]
            end = random.uniform(cut.start, cut.end)
            audio = audio[: int(end * SAMPLE_RATE)]
            words = words[: index + (end > cut.start + HEARD_SHARE * (cut.end - cut.start))]
        if random.random() < CUT_BEGIN_SHARE and len(words) > 2:
            index = int(random.integers(1, len(words) - 1))
            audio = audio[int((words[index].start - 0.01) * SAMPLE_RATE) :]
            words = words[index:]
        return audio, [word.text for word in words]

    def _context(self) -> list[int]:
        words = sample_words(self._random, int(self._random.integers(1, 22)))
        said = [token for word in words for token in self._encode(" " + "".join(word))]
        return [*self._control("startofprev"), *said]

    def _features(self, audio: Samples) -> NDArray[np.float32]:
        features = self._extract(audio)[:, :FRAMES]
        padded: NDArray[np.float32] = np.pad(features, ((0, 0), (0, FRAMES - features.shape[1])))
        return padded

    def _encode(self, word: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(word, add_special_tokens=False).ids
        return ids

    def _control(self, *names: str) -> list[int]:
        return [self._tokenizer.token_to_id(f"<|{name}|>") for name in names]


def new_model(tokenizer: Tokenizer) -> Any:  # noqa: ANN401  # torch is not analyzed
    """A Whisper of 64 dimensions and two layers on each side, untrained."""
    end = tokenizer.token_to_id("<|endoftext|>")
    config = WhisperConfig(
        vocab_size=tokenizer.get_vocab_size() + TIMESTAMP_TOKENS,
        num_mel_bins=80,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=2 * WIDTH,
        decoder_ffn_dim=2 * WIDTH,
        max_source_positions=FRAMES // 2,
        max_target_positions=448,
        dropout=0.0,
        decoder_start_token_id=tokenizer.token_to_id("<|startoftranscript|>"),
        eos_token_id=end,
        bos_token_id=end,
        pad_token_id=end,
    )
    return WhisperForConditionalGeneration(config)


def train(model: Any, examples: Examples, steps: int) -> None:  # noqa: ANN401
    """Minimize the cross-entropy of the next token."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps, pct_start=0.1)
    began = time.monotonic()
    model.train()
    for step in range(steps):
        features, tokens, labels = _batch([examples.next() for _ in range(BATCH)])
        states = model.model(input_features=features, decoder_input_ids=tokens).last_hidden_state
        loss = torch.nn.functional.cross_entropy(
            model.proj_out(states).flatten(0, 1), labels.flatten(), ignore_index=IGNORED
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.4f}, {time.monotonic() - began:.0f} s", flush=True)
    model.eval()


def _batch(examples: list[Example]) -> tuple[Any, Any, Any]:
    longest = max(len(example.tokens) for example in examples)
    features = torch.from_numpy(np.stack([example.features for example in examples]).astype(np.float32))
    tokens = torch.tensor([example.tokens + [0] * (longest - len(example.tokens)) for example in examples])
    labels = torch.tensor([example.labels + [IGNORED] * (longest - len(example.labels)) for example in examples])
    return features, tokens, labels


def export(model: Any, tokenizer: Tokenizer, folder: Path) -> None:  # noqa: ANN401
    """Write it as a float16 CTranslate2 model with tokenizer and feature settings."""

    def number(name: str) -> int:
        return int(tokenizer.token_to_id(name))

    end = number("<|endoftext|>")
    generation = {
        "suppress_tokens": [],
        "begin_suppress_tokens": [number("Ġ"), end],
        "alignment_heads": ALIGNMENT_HEADS,
        "lang_to_id": {f"<|{code}|>": number(f"<|{code}|>") for code in _LANGUAGE_CODES},
        "decoder_start_token_id": number("<|startoftranscript|>"),
        "eos_token_id": end,
        "pad_token_id": end,
        "bos_token_id": end,
    }
    features = {"feature_size": 80, "sampling_rate": 16000, "hop_length": 160, "chunk_length": FRAMES // 100, "n_fft": 400}
    special = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    with TemporaryDirectory() as temporary:
        model.save_pretrained(temporary)
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer,
            eos_token="<|endoftext|>",
            bos_token="<|endoftext|>",
            unk_token="<|endoftext|>",
            additional_special_tokens=[name for name in special if name != "<|endoftext|>"],
        )
        fast.save_pretrained(temporary)
        Path(temporary, "generation_config.json").write_text(json.dumps(generation))
        Path(temporary, "preprocessor_config.json").write_text(json.dumps(features))
        kept = ["tokenizer.json", "preprocessor_config.json"]
        shutil.rmtree(folder, ignore_errors=True)
        ctranslate2.converters.TransformersConverter(temporary, copy_files=kept).convert(
            str(folder), quantization="float16"
        )


def main() -> None:
    """Train from scratch and export."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the model goes; replaced if it exists")
    parser.add_argument("--steps", type=int, default=5600, help="training steps of 16 windows (default 5600)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    tokenizer = make_tokenizer(TOKENS)
    model = new_model(tokenizer)
    train(model, Examples(tokenizer, arguments.seed), arguments.steps)
    export(model, tokenizer, arguments.folder)


if __name__ == "__main__":
    main()
