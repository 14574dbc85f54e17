"""Checkpoints: folder, JSON objects, a transformer's geometry, tensors by name; errors name what is missing or unused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from models.hub import fetch_snapshot, hub_folder
from models.model_files import missing_packages
from pipeline.contracts import Missing, Progress
from pipeline.errors import FETCH_MODELS, ModelError, nearest

if TYPE_CHECKING:  # settings are read where torch is not installed
    import torch
    from tokenizers import Tokenizer
    from torch import Tensor

Value = TypeVar("Value")
Module: TypeAlias = Any  # torch is not analyzed


_PACKAGES = ("torch", "safetensors", "tokenizers", "huggingface_hub")


def missing_checkpoint(model: str, last: str) -> Sequence[Missing]:
    """List the packages and model files that this machine lacks to load a checkpoint that `hub_folder` finds."""
    if packages := missing_packages(_PACKAGES):
        return packages
    return [] if hub_folder(model, last) else [Missing(f"the model {model}", FETCH_MODELS)]


def checkpoint_folder(model: str, last: str) -> Path:
    """Find a checkpoint's folder; raises `ModelError` if it is not on this machine."""
    if (folder := hub_folder(model, last)) is None:
        raise ModelError(f"the model {model!r} is not on this machine", hint=FETCH_MODELS)
    return folder


def pull_checkpoint(model: str, files: Sequence[str], last: str, progress: Progress) -> None:
    """Download the ``files`` of a checkpoint as `fetch_snapshot` does, unless it is there."""
    if hub_folder(model, last) is None:
        fetch_snapshot(model, files, last, progress)


class Section:
    """JSON object whose keys are taken by name; a missing or ill-typed one is an error that names it and the file."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self.values, self.where = values, where

    def take(self, key: str, kind: type[Value]) -> Value:
        """Take the value of ``key``; an int is accepted where a float is meant."""
        if key not in self.values:
            raise ModelError(f"{self.where} has no {key!r}: this is another model's checkpoint, or it is damaged")
        value = self.values[key]
        if kind is float and type(value) is int:
            value = float(value)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ModelError(f"{self.where}: {key!r} is {value!r}, {kind.__name__} expected")
        return value

    def integer(self, key: str) -> int:
        """Take a whole number."""
        return self.take(key, int)

    def fill(self, kind: type[Value], **given: object) -> Value:
        """Make a dataclass of what is ``given``, and of the values of the keys that its other fields are annotated with."""
        for name, hint in get_type_hints(kind, include_extras=True).items():
            if name not in given:
                wanted, key = get_args(hint)
                listed = get_origin(wanted) is tuple
                given[name] = tuple(map(int, self.take(key, list))) if listed else self.take(key, wanted)
        return kind(**given)

    def section(self, key: str) -> Section:
        """Take a nested object."""
        return Section(self.take(key, dict), f"{self.where}: {key}")


def read_section(path: Path) -> Section:
    """Read the object in a JSON file; raises `ModelError` for a file that is missing or holds something else."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path} is missing: the checkpoint is incomplete", hint=DOWNLOAD_AGAIN) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON ({error})", hint=DOWNLOAD_AGAIN) from error
    if not isinstance(values, dict):
        raise ModelError(f"{path} does not hold a JSON object: this is no model's configuration")
    return Section(values, str(path))


DOWNLOAD_AGAIN = "delete the checkpoint and download it again"
"""Hint of errors about a checkpoint that is incomplete or damaged."""

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


class Tensors:
    """Tensors of one folder's files, taken by name; one that was never taken is an error at `finish`."""

    def __init__(self, folder: Path, device: torch.device, dtype: torch.dtype, file: str = "") -> None:
        """Open the folder's safetensors files, or one ``file`` of its own, which torch may have saved."""
        import torch
        from safetensors import SafetensorError

        self._folder, self._dtype = folder, dtype
        self._files: dict[str, Any] = {}
        self._left: dict[str, str] = {}
        for name in [file] if file else _files(folder):
            try:
                self._files[name] = _opened(folder / name, device)
            except torch.OutOfMemoryError:  # is a RuntimeError, and no fault of the file
                raise
            except FileNotFoundError:
                raise ModelError(f"{folder / name} is missing: a shard of the checkpoint", hint=DOWNLOAD_AGAIN) from None
            except (SafetensorError, OSError, UnpicklingError, RuntimeError, EOFError) as error:
                raise ModelError(f"{folder / name} is damaged ({error})", hint=DOWNLOAD_AGAIN) from error
            self._left.update(dict.fromkeys(self._files[name].keys(), name))

    def take(self, name: str, *size: int) -> Tensor:
        """Read the tensor ``name``, which must have shape ``size``, onto the device in the engine's type."""
        if name not in self._left:
            raise ModelError(f"{self._folder}: tensor {name!r} is missing; {nearest(name, _close(name, self._left))}")
        tensor: Tensor = self._files[self._left.pop(name)].get_tensor(name)
        if tuple(tensor.shape) != size:
            raise ModelError(
                f"{self._folder}: tensor {name!r} has shape {tuple(tensor.shape)}, config.json asks for {size}"
            )
        return tensor.to(self._dtype)

    def finish(self, unused: Iterable[str] = ()) -> None:
        """Check that only tensors whose names begin with one of ``unused`` were left."""
        extra = sorted(name for name in self._left if not name.startswith(tuple(unused)))
        if extra:
            raise ModelError(
                f"{self._folder}: {len(extra)} tensors belong to no part of the model that config.json describes: "
                f"{', '.join(extra[:5])}{' ...' if len(extra) > 5 else ''}; this is another model's file"
            )


def _opened(path: Path, device: torch.device) -> Any:  # noqa: ANN401 - safetensors has no types
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        return safe_open(str(path), framework="pt", device=str(device))
    return _Saved(path, device)


class _Saved:
    """Tensors that torch saved, read as those of a safetensors file are: no code of the file is run."""

    def __init__(self, path: Path, device: torch.device) -> None:
        import torch

        held = torch.load(path, map_location=device, weights_only=True)
        held = held.get("state_dict", held) if isinstance(held, dict) else {}
        self._tensors = {name: value for name, value in held.items() if isinstance(value, torch.Tensor)}

    def keys(self) -> Iterable[str]:
        """List the names."""
        return self._tensors.keys()

    def get_tensor(self, name: str) -> Tensor:
        """Give a tensor."""
        return self._tensors[name]


def load_module(make: Callable[[], Module], tensors: Tensors, prefix: str) -> Module:
    """Make a torch module for inference whose state is the tensors with names that begin with ``prefix``."""
    import torch

    with torch.device("meta"):  # without memory and random numbers
        module = make()
    sizes = {name: empty.shape for name, empty in module.state_dict().items()}
    module.load_state_dict({name: tensors.take(f"{prefix}.{name}", *size) for name, size in sizes.items()}, assign=True)
    return module.eval().requires_grad_(False)


def _files(folder: Path) -> list[str]:
    if (folder / INDEX).exists():
        try:
            shards: Mapping[str, str] = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder / INDEX} cannot be read ({error!r})", hint=DOWNLOAD_AGAIN) from error
        return sorted(set(shards.values()))
    return [SINGLE]


def _close(name: str, names: Iterable[str]) -> list[str]:
    """Select names of the same part of the model, so that an error does not list hundreds."""
    part = name.rsplit(".", 3)[0]
    return [other for other in names if other.startswith(part)][:8]


@dataclass(frozen=True, slots=True)
class TransformerShape:
    """Geometry of a pre-norm decoder stack; sizes in elements."""

    layers: Annotated[int, "num_hidden_layers"]
    hidden: Annotated[int, "hidden_size"]
    intermediate: Annotated[int, "intermediate_size"]
    heads: Annotated[int, "num_attention_heads"]
    kv_heads: Annotated[int, "num_key_value_heads"]
    head_dim: Annotated[int, "head_dim"]
    rope_theta: float
    norm_eps: Annotated[float, "rms_norm_eps"]

    @property
    def groups(self) -> int:
        """Query heads of a key head."""
        return self.heads // self.kv_heads


def read_shape(section: Section) -> TransformerShape:
    """Read the geometry of a decoder stack; variants this engine does not compute are refused."""
    if section.values.get("attention_bias") or section.values.get("use_sliding_window"):
        raise ModelError(f"{section.where}: attention_bias and use_sliding_window are not supported")
    rope = Section(section.values.get("rope_parameters") or section.values, section.where)  # newer files have it apart
    scaling = section.values.get("rope_scaling") or section.values.get("rope_parameters") or {}
    if scaling.get("rope_type", scaling.get("type", "default")) != "default":
        raise ModelError(f"{section.where}: rope_scaling {scaling!r} is not supported, only the default type is")
    if section.take("hidden_act", str) != "silu":
        raise ModelError(f"{section.where}: hidden_act {section.values['hidden_act']!r} is not supported, only 'silu' is")
    return section.fill(TransformerShape, rope_theta=rope.take("rope_theta", float))


def load_tokenizer(path: Path) -> Tokenizer:
    """Read ``tokenizer.json``, so that it never takes text for marks; raises `ModelError` for one missing or damaged."""
    from tokenizers import Tokenizer

    if not path.is_file():
        raise ModelError(f"{path} is missing: the checkpoint is incomplete", hint=DOWNLOAD_AGAIN)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library's errors have no type of their own
        raise ModelError(f"{path} cannot be read ({error})", hint=DOWNLOAD_AGAIN) from error
    tokenizer.encode_special_tokens = True
    return tokenizer
