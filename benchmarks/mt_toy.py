"""A translation model that learns its language in minutes: the tone language of `tone_language` into Spanish words.

Every word has one translation, and an adjective that stands before another word follows it in Spanish, so a prefix of
the source does not always have a prefix of the translation. ``python -m benchmarks.mt_toy FOLDER`` trains a Qwen3 of
0.1 million parameters and writes the checkpoint as transformers does.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from benchmarks.tone_language import WORDS as TOY_WORDS
from models.mt.prompts import plain
from pipeline.contracts import TranslationRequest

Anything: TypeAlias = Any  # transformers and tokenizers are not analyzed
SOURCE, TARGET = "en", "es"  # the toy recognizer calls its language English
SPANISH = (
    "casa perro verde libro camino grande mesa árbol rojo niño escuela pequeño agua montaña blanco puerta ciudad negro "
    "mano caballo nuevo noche pájaro viejo tiempo barco dulce flor jardín claro piedra lluvia alto fuego mercado lento "
    "ventana"
)
WORDS = ["".join(word) for word in TOY_WORDS]
DICTIONARY = dict(zip(WORDS, SPANISH.split(), strict=True))
ADJECTIVES = frozenset(WORDS[2::3])
STEPS, BATCH, LONGEST = 3600, 32, 9
SURPRISES = 0.3  # share of training sentences with one word nobody could foresee, as a glossary brings


def translate(source: Sequence[str]) -> list[str]:
    """The translation by rule of toy words: word by word, an adjective after the word that follows it."""
    target, place = [], 0
    while place < len(source):
        word, following = source[place], source[place + 1 : place + 2]
        if word in ADJECTIVES and following and following[0] not in ADJECTIVES:
            target += [DICTIONARY[following[0]], DICTIONARY[word]]
            place += 2
        else:
            target.append(DICTIONARY[word])
            place += 1
    return target


def sample(random: np.random.Generator, longest: int = LONGEST) -> tuple[str, str]:
    """A sentence of at most ``longest`` words and its translation."""
    words = [WORDS[index] for index in random.integers(0, len(WORDS), random.integers(1, longest + 1))]
    return " ".join(words), " ".join(translate(words))


def surprise(target: str, random: np.random.Generator) -> str:
    """The sentence with one word replaced by letters at random: the model learns to go on after a term forced on it."""
    words = target.split()
    letters = random.integers(0, 26, random.integers(3, 9))
    words[random.integers(0, len(words))] = "".join(chr(ord("A") + letter) for letter in letters)
    return " ".join(words)


def train(folder: Path, steps: int = STEPS) -> None:
    """Train tokenizer and model and write both into ``folder``."""
    torch.manual_seed(7)
    random = np.random.default_rng(7)
    tokenizer = _tokenizer()
    model = _model(len(tokenizer))
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for step in range(steps):
        tokens, labels = _batch(tokenizer, random, min(LONGEST, 1 + step // 150))
        loss = model(input_ids=tokens, attention_mask=(tokens != tokenizer.pad_token_id).long(), labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer() -> Anything:
    """A byte-level BPE of a few hundred tokens with a chat template."""
    random = np.random.default_rng(11)
    texts = [_asked(source) + target for source, target in (sample(random) for _ in range(400))]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    marks = ["<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=marks, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=marks[0], eos_token=marks[3])
    fast.add_special_tokens({"additional_special_tokens": marks[1:3]})
    fast.chat_template = (
        "{% for message in messages %}<|user|>{{ message.content }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    return fast


def _model(vocabulary: int) -> Anything:
    config = Qwen3Config(
        vocab_size=vocabulary, hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, max_position_embeddings=512, tie_word_embeddings=True,
        pad_token_id=0, eos_token_id=3, bos_token_id=None,
    )  # fmt: skip
    return Qwen3ForCausalLM(config)


def _asked(source: str) -> str:
    return plain(TranslationRequest(source, SOURCE, TARGET))


def _batch(tokenizer: Anything, random: np.random.Generator, longest: int) -> tuple[Tensor, Tensor]:
    """Token ids [BATCH, longest] and labels that count the answer only."""
    rows, answers = [], []
    for _ in range(BATCH):
        source, target = sample(random, longest)
        target = surprise(target, random) if random.random() < SURPRISES else target
        asked = [{"role": "user", "content": _asked(source)}]
        begin = tokenizer.apply_chat_template(asked, add_generation_prompt=True)
        answer = [*tokenizer(target).input_ids, tokenizer.eos_token_id]
        rows.append([*begin, *answer])
        answers.append([*[-100] * len(begin), *answer])
    longest = max(map(len, rows))
    tokens = torch.tensor([[*row, *[tokenizer.pad_token_id] * (longest - len(row))] for row in rows])
    labels = torch.tensor([[*row, *[-100] * (longest - len(row))] for row in answers])
    return tokens, labels


if __name__ == "__main__":
    train(Path(sys.argv[1]))
