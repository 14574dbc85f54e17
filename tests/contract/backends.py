"""Every backend of `models`, found by its methods, and how each is made small for the contract tests of its stage."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.weights import needs

POCKET_MISSING = "the package pocket-tts is not installed: pip install 'translate-live[pocket]'"
NEEDS_POCKET = pytest.mark.skipif(find_spec("pocket_tts") is None, reason=POCKET_MISSING)
ROOT = Path(__file__).parents[2]
TOY_MT = ROOT / "tests" / "toy_mt"


@dataclass(frozen=True)
class Case:
    """A small backend in a folder of its own, and the languages that it is tried with.

    ``alike``: a text sounds the same whatever the session has said before.
    """

    make: Callable[[Path], Any]
    source: str = "en"
    target: str = "es"
    alike: bool = True
    mark: pytest.MarkDecorator | None = None


def registered(stage: str) -> dict[str, str]:
    """Find the backends in a folder of `models`: dataclasses that load, as ``module:Class`` by the name of the class."""
    classes = {}
    for path in sorted((ROOT / "models" / stage).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.decorator_list:
                classes[node.name] = (module, node)

    def methods(node: ast.ClassDef) -> set[str]:
        own = {item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}
        inherited = (methods(classes[base][1]) for base in bases(node) if base in classes)
        return own.union(*inherited)

    def bases(node: ast.ClassDef) -> set[str]:
        return {ast.unparse(base) for base in node.bases}

    whole = {name: module for name, (module, node) in classes.items() if {"missing", "pull", "load"} <= methods(node)}
    return {name: f"{module}:{name}" for name, module in whole.items() if "ABC" not in bases(classes[name][1])}


def cases(stage: str) -> list[Any]:
    """Give a parameter for each backend of a stage; one without a case is a parameter that fails."""
    known = CASES[stage]
    marks = {name: (case.mark,) if case.mark else () for name, case in known.items()}
    return [pytest.param(name, known.get(name), id=name, marks=marks.get(name, ())) for name in registered(stage)]


def _whisper(folder: Path) -> Any:
    from benchmarks.asr_toy import toy_backend, toy_options

    return toy_backend(toy_options())


def _bergamot(folder: Path) -> Any:
    from models.mt.bergamot.backend import Bergamot
    from tests.marian_files import write_student

    write_student(folder / "bergamot-enes", "enes", split=True)
    return Bergamot(str(folder))


def _causal(folder: Path) -> Any:
    from models.mt.causal_lm import CausalLM

    return CausalLM(str(TOY_MT), languages=("en>es",), device="cpu")


def _int8(folder: Path) -> Any:
    from models.mt.ctranslate2 import CTranslate2

    backend = CTranslate2(str(TOY_MT), languages=("en>es",), converted=str(folder / "int8"), threads=1)
    backend.pull(lambda what, share: None)
    return backend


def _seq2seq(folder: Path) -> Any:
    from models.mt.seq2seq import Seq2Seq
    from tests.mt_models import save_random_model

    save_random_model(folder, "m2m", "m2m")
    return Seq2Seq(str(folder), languages=("en>es",), prompt="m2m", device="cpu")


def _router(folder: Path) -> Any:
    from models.mt.router import Router

    return Router(("bergamot",))


def _espeak(folder: Path) -> Any:
    from models.tts.espeak import Espeak

    return Espeak()


def _kokoro(folder: Path) -> Any:
    from models.tts.kokoro import Kokoro
    from tests.onnx_voices import kokoro_folder

    return Kokoro(kokoro_folder(folder / "kokoro"))


def _piper(folder: Path) -> Any:
    from models.tts.piper import Piper
    from tests.onnx_voices import write_piper

    write_piper(folder / "own.onnx")
    return Piper(model=str(folder / "own.onnx"))


def _omnivoice(folder: Path) -> Any:
    from benchmarks.omnivoice_checkpoint import write_checkpoint
    from models.tts.omnivoice import OmniVoice

    return OmniVoice(accept_license=True, model=str(write_checkpoint(folder)), device="cpu", sessions=2, steps=4)


def _pocket(folder: Path) -> Any:
    from benchmarks.pocket_checkpoint import write_checkpoint
    from models.tts.pocket import Pocket

    return Pocket(folder=str(write_checkpoint(folder)))


def _qwen3(folder: Path) -> Any:
    from benchmarks.tts_checkpoint import write_checkpoint
    from models.tts.qwen3 import Qwen3TTS

    return Qwen3TTS(model=str(write_checkpoint(folder)), device="cpu", sessions=2)


def _voxcpm(folder: Path) -> Any:
    from benchmarks.voxcpm_checkpoint import write_checkpoint
    from models.tts.voxcpm import VoxCPM

    return VoxCPM(model=str(write_checkpoint(folder)), device="cpu", sessions=2, steps=3)


CASES: Mapping[str, Mapping[str, Case]] = {
    "asr": {"FasterWhisper": Case(_whisper)},
    "mt": {
        "Bergamot": Case(_bergamot),
        "CausalLM": Case(_causal),
        "CTranslate2": Case(_int8),
        "Router": Case(_router, target="pt", mark=needs("bergamot-enpt")),
        "Seq2Seq": Case(_seq2seq),
    },
    "tts": {
        "Espeak": Case(_espeak),
        "Kokoro": Case(_kokoro),
        "OmniVoice": Case(_omnivoice, target="en", alike=False),
        "Piper": Case(_piper, target="de"),
        "Pocket": Case(_pocket, mark=NEEDS_POCKET),
        "Qwen3TTS": Case(_qwen3, target="en", alike=False),
        "VoxCPM": Case(_voxcpm, target="en", alike=False),
    },
}
"""How each backend is made; a new one needs a line here."""
