"""Tensors out of files that torch saved, without torch: pickles that may hold tensors and plain containers, nothing else.

A pickle can run any code (https://docs.python.org/3/library/pickle.html); here every name that it asks for is refused but
those that torch needs for a tensor on a CPU. Both formats are read: the zip archive, and the older row of pickles.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ModelError

Array = NDArray[Any]

_KINDS = {"FloatStorage": "<f4", "HalfStorage": "<f2", "DoubleStorage": "<f8", "LongStorage": "<i8", "IntStorage": "<i4"}
_MAGIC = 0x1950A86A20F9469CFC6C
_BROKEN = (
    pickle.UnpicklingError,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    IndexError,
    AttributeError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True, slots=True)
class _Storage:
    """Numbers of one kind in a file, by the name they have there."""

    key: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A view on a storage, whose numbers may stand further on in the file."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, numbers: Array) -> Array:
        """Copy out its values; raises `ValueError` for a view that reaches beyond its storage."""
        reach = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides), default=0) < 0 or (0 not in self.shape and reach >= len(numbers)):
            raise ValueError("a tensor reaches beyond its numbers")
        steps = [stride * numbers.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps).copy()


def read_tensors(path: Path, section: str = "") -> dict[str, Array]:
    """Read the tensors of a state dictionary by name, the one called ``section`` where the file holds several.

    Raises `ModelError` for a file that is no such thing or asks for more than tensors.
    """
    try:
        with path.open("rb") as file:
            found, numbers = _from_zip(file) if zipfile.is_zipfile(file) else _from_pickles(file)
        tensors = found[section] if section else found
        return {
            name: value.array(numbers[value.storage.key]) for name, value in tensors.items() if isinstance(value, _Tensor)
        }
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except _BROKEN as error:
        raise ModelError(f"{path} holds no tensors of torch: {error}") from error


def _from_zip(file: IO[bytes]) -> tuple[Mapping[str, Any], Mapping[str, Array]]:
    with zipfile.ZipFile(file) as archive:
        (entry,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        reader = _Reader(io.BytesIO(archive.read(entry)))
        found = reader.load()
        folder = entry.removesuffix("data.pkl") + "data/"
        numbers = {one.key: np.frombuffer(archive.read(folder + one.key), one.kind) for one in reader.storages.values()}
    return found, numbers


def _from_pickles(file: IO[bytes]) -> tuple[Mapping[str, Any], Mapping[str, Array]]:
    file.seek(0)
    magic, _, _ = (_Reader(file).load() for _ in range(3))
    if magic != _MAGIC:
        raise ValueError("it begins with something else")
    reader = _Reader(file)
    found, keys = reader.load(), _Reader(file).load()
    numbers = {}
    for key in keys:
        kept = reader.storages[key]
        if int.from_bytes(file.read(8), "little") != kept.count:
            raise ValueError("it was cut short")
        numbers[key] = np.frombuffer(file.read(kept.count * np.dtype(kept.kind).itemsize), kept.kind)
    return found, numbers


def _tensor(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Reader(pickle.Unpickler):
    """An unpickler that knows tensors, and no other name."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - what a pickle may call
        """Give what a name stands for; raises `UnpicklingError` for any that no tensor needs."""
        if module == "torch" and name in _KINDS:
            return _KINDS[name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no tensor")

    def persistent_load(self, pid: Any) -> _Storage:  # noqa: ANN401 - as pickle has it
        """Note a storage that the pickle refers to."""
        what, kind, key, _, count = pid[:5]
        if what != "storage" or kind not in _KINDS.values():
            raise pickle.UnpicklingError(f"it refers to {what!r}, which is no storage")
        return self.storages.setdefault(key, _Storage(key, kind, count))
