"""Marian's binary files: models, which are named tensors and the network's description, and lexical shortlists.

Layout of a model (marian `common/binary.cpp`): version, count, headers (name length, type, shape length, data length),
names, shapes, padding, data. Large tensors are in 8 bits (``intgemm8``): one is followed by the float by which its values
were multiplied, and its matrix is stored with a row for each output.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError

Floats: TypeAlias = NDArray[np.float32]
Tokens: TypeAlias = NDArray[np.int64]
Found = TypeVar("Found")
VERSION = 1
DESCRIPTION = "special:model.yml"
SHORTLIST = 0xF11A48D5013417F5
ALIGNED = 8  # Marian fills its lists up to a multiple, so its choice among unlikely tokens depends on it


class Kind:
    """Marian's numbers of the types that occur."""

    INT8, FLOAT32, INTGEMM8 = 0x101, 0x404, 0x4101


@dataclass(frozen=True, slots=True)
class Int8Matrix:
    """A matrix in 8 bits: its real values are ``values`` [outputs, inputs] int8 divided by ``multiplier``."""

    values: NDArray[np.int8]
    multiplier: float

    def real(self, rows: NDArray[np.int64] | slice = slice(None)) -> Floats:
        """Return some rows as float32."""
        return self.values[rows].astype(np.float32) / np.float32(self.multiplier)


@dataclass(frozen=True, slots=True)
class MarianFile:
    """The tensors of a model file by name, and the settings its network was built with."""

    name: str
    settings: Mapping[str, Any]
    floats: Mapping[str, Floats]
    matrices: Mapping[str, Int8Matrix]

    def vector(self, name: str) -> Floats:
        """Return a tensor of one row as float32 [width]; raises `ModelError` where the file has none."""
        return _found(self.name, self.floats, name).reshape(-1)

    def matrix(self, name: str) -> Int8Matrix:
        """Return a matrix in 8 bits; raises `ModelError` where the file has none."""
        return _found(self.name, self.matrices, name)


def _found(file: str, tensors: Mapping[str, Found], name: str) -> Found:
    if name not in tensors:
        raise ModelError(f"{file} has no {name}: it is not an 8-bit student of Bergamot or Firefox")
    return tensors[name]


def read_marian_file(path: Path) -> MarianFile:
    """Read the model in ``path``; raises `ModelError` for a file that is damaged or no such model."""
    import yaml

    try:
        data = path.read_bytes()
        tensors = _tensors(data)
        settings = yaml.safe_load(bytes(np.asarray(tensors.pop(DESCRIPTION))).rstrip(b"\0").decode())
        floats = {name: one for name, one in tensors.items() if isinstance(one, np.ndarray)}
        matrices = {name: one for name, one in tensors.items() if isinstance(one, Int8Matrix)}
        return MarianFile(path.name, dict(settings), floats, matrices)
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise ModelError(f"{path} cannot be read as a Marian model: {error}", hint="fetch the file again") from error


def _tensors(data: bytes) -> dict[str, NDArray[Any] | Int8Matrix]:
    version, count = struct.unpack_from("<QQ", data)
    if version != VERSION or 32 * count > len(data):
        raise ValueError(f"its version is {version}, not {VERSION}")
    headers = [struct.unpack_from("<QQQQ", data, 16 + 32 * number) for number in range(count)]
    place = 16 + 32 * count
    names, shapes = [], []
    for length, *_ in headers:
        names.append(data[place : place + length - 1].decode())
        place += length
    for _, _, dimensions, _ in headers:
        shapes.append(struct.unpack_from(f"<{dimensions}i", data, place))
        place += 4 * dimensions
    place += 8 + struct.unpack_from("<Q", data, place)[0]
    tensors = {}
    for name, shape, (_, kind, _, size) in zip(names, shapes, headers, strict=True):
        tensors[name] = _tensor(name, shape, kind, data[place : place + size])
        place += size
    return tensors


def _tensor(name: str, shape: tuple[int, ...], kind: int, data: bytes) -> NDArray[Any] | Int8Matrix:
    count = math.prod(shape)
    match kind:
        case Kind.FLOAT32:
            return np.frombuffer(data, np.float32, count).reshape(shape)
        case Kind.INT8:
            return np.frombuffer(data, np.int8, count)
        case Kind.INTGEMM8:
            (multiplier,) = struct.unpack_from("<f", data, count)
            rows = shape if name.endswith("Wemb") else shape[::-1]  # embeddings have a row for each token already
            return Int8Matrix(np.frombuffer(data, np.int8, count).reshape(rows), multiplier)
        case _:
            raise ValueError(f"{name} is of the type {kind:#x}; only float32 and portable 8 bits (intgemm8) are read")


@dataclass(frozen=True, slots=True, eq=False)
class Shortlist:
    """The few tokens that a source can be translated with, which are all that the output layer scores.

    For each source token the file (Marian's ``--shortlist``, binary form) names its likeliest translations; the most
    ``frequent`` tokens are in every list. ``starts`` uint64 [source tokens + 1] are where the tokens of each source token
    begin in ``tokens`` uint32.
    """

    frequent: int
    starts: NDArray[np.uint64]
    tokens: NDArray[np.uint32]
    size: int  # of the target vocabulary

    def of(self, source: Iterable[int], also: Iterable[int]) -> Tokens:
        """Return the tokens to score for a source, ``also`` among them, in order."""
        chosen = np.zeros(self.size, dtype=bool)
        chosen[: self.frequent] = True
        for token in set(source):
            chosen[self.tokens[int(self.starts[token]) : int(self.starts[token + 1])]] = True
        chosen[list(also)] = True
        lacking = -int(chosen.sum()) % ALIGNED
        chosen[self.frequent + np.flatnonzero(~chosen[self.frequent :])[:lacking]] = True
        return np.flatnonzero(chosen)


def read_shortlist(path: Path, size: int) -> Shortlist:
    """Read the list for a target vocabulary of ``size`` tokens; raises `ModelError` for another or a damaged file."""
    try:
        data = path.read_bytes()
        magic, _, frequent, _, words, count = struct.unpack_from("<6Q", data)
        if magic != SHORTLIST:
            raise ValueError("it does not begin as such a file does")
        starts = np.frombuffer(data, np.uint64, words, 48)
        tokens = np.frombuffer(data, np.uint32, count, 48 + 8 * words)
        if int(starts[-1]) != count or np.any(starts[1:] < starts[:-1]) or np.any(tokens >= size):
            raise ValueError("its lists are not in order, or of another vocabulary")
        return Shortlist(frequent, starts, tokens, size)
    except (OSError, struct.error, ValueError, IndexError) as error:
        raise ModelError(f"{path} cannot be read as a lexical shortlist: {error}", hint="fetch the file again") from error
