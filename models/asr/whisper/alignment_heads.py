"""Attention heads that follow the audio: as a model's files say, or all of the decoder's upper half where they do not.

That half is what openai/whisper takes for a model it does not know (`whisper/model.py`), and what converters write today.
CTranslate2 refuses to align without any since 4.8.5.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from models.asr.whisper.model_files import read_settings
from pipeline.errors import FETCH_MODELS, ModelError

_LAYER = re.compile(r"decoder/layer_(\d+)/")
_HEADS = "decoder/num_heads"


def has_alignment_heads(folder: Path) -> bool:
    """True if the model says which heads follow the audio; with a guess instead word times are rough."""
    return bool(read_settings(folder, "config.json").get("alignment_heads"))


def with_guessed_heads(folder: Path) -> dict[str, bytes]:
    """The files of a model that says no heads, by name, as CTranslate2 takes them from memory; with a guess.

    Raises `ModelError` for a ``model.bin`` that is damaged or another format's.
    """
    try:
        layers, heads = _decoder_size(folder / "model.bin")
    except (OSError, struct.error, UnicodeDecodeError, ValueError) as error:
        raise ModelError(f"{folder / 'model.bin'} is damaged ({error}): delete the folder", hint=FETCH_MODELS) from error
    settings = read_settings(folder, "config.json")
    settings["alignment_heads"] = [(layer, head) for layer in range(layers // 2, layers) for head in range(heads)]
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    return files | {"config.json": json.dumps(settings).encode()}


def _decoder_size(path: Path) -> tuple[int, int]:
    """Layers and heads of the decoder, from the names and sizes in a CTranslate2 file (binary version 6)."""
    layers, heads = set(), 0
    with path.open("rb") as file:
        for name, value in _small_variables(file):
            if found := _LAYER.match(name):
                layers.add(found[1])
            elif name == _HEADS:
                heads = int.from_bytes(value, "little")
    if not layers or not heads:
        raise ValueError("it names no decoder")
    return len(layers), heads


def _small_variables(file: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """The names of all variables in the file, with the bytes of those that are a number; the others are skipped."""

    def number(kind: str) -> int:
        (value,) = struct.unpack(f"<{kind}", file.read(struct.calcsize(kind)))
        return int(value)

    def text() -> str:
        return file.read(number("H")).rstrip(b"\0").decode()

    number("I"), text(), number("I")  # version, kind of model, revision
    for _ in range(number("I")):
        name, rank = text(), number("B")
        for _ in range(rank):
            number("I")
        number("B")  # type
        size = number("I")
        yield name, b"" if rank else file.read(size)
        file.seek(size if rank else 0, 1)
