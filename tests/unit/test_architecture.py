"""The design's promises, held by walking the syntax trees: one-way imports, sized queues, no stray task."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*ROOT.glob("pipeline/**/*.py"), *ROOT.glob("models/**/*.py")])

LAYERS = [
    {"events", "errors", "version", "languages", "scripts"},
    {"contracts", "diarizing", "vision", "speech_facts", "clock", "hints"},
    {"channel", "lane", "policies", "glossary"},
    {"audio"},
    {"sources", "sinks", "profiles"},
    {"stages", "voices", "privacy"},
    {"session", "request"},
    {"client"},
    {"engine"},
    {"server"},
    {"doctor", "commands"},
    {"cli", "__main__"},
]
"""Modules of ``pipeline``, ground floor first; a module imports from its own layer and those below."""

MODELS_MAY_IMPORT = {
    "events", "contracts", "diarizing", "vision", "speech_facts", "lane", "errors", "languages", "scripts"
}  # fmt: skip
LEAVES_TASKS_BEHIND = "pipeline/sinks/delivery.py"
"""A sink that heeds no cancellation would hold a task group, and with it the session: it is left after a grace."""
HEAVY = {
    "torch",
    "transformers",
    "ctranslate2",
    "faster_whisper",
    "onnxruntime",
    "pocketsphinx",
    "qwen_tts",
    "flash_attn",
    "pocket_tts",
}


def layer(module: str) -> int:
    (number,) = [number for number, names in enumerate(LAYERS) if module in names] or [None]
    assert number is not None, f"pipeline.{module} stands in no layer: add it to LAYERS"
    return number


def imports(tree: ast.AST, top_level_only: bool = False) -> Iterator[str]:
    """Dotted names of imported modules; ``from pipeline.audio import x`` gives ``pipeline.audio``."""
    nodes = ast.walk(tree) if not top_level_only else iter(tree.body)  # type: ignore[attr-defined]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    package, *rest = path.relative_to(ROOT).with_suffix("").parts
    for imported in imports(parsed(path)):
        top, _, inner = imported.partition(".")
        module = inner.partition(".")[0]
        if package == "pipeline":
            assert top != "models", f"{path.name} imports {imported}: pipeline reaches models only through the registry"
            if top == "pipeline" and rest[0] != "__init__":
                assert layer(module) <= layer(rest[0]), f"{path.name} imports {imported} from a layer above it"
        elif top == "pipeline":
            assert module in MODELS_MAY_IMPORT, f"{path.name} imports {imported}"


def test_no_file_imports_its_importer_even_for_types() -> None:
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES}
    imported: dict[str, set[str]] = {}
    for name, path in names.items():
        tree = parsed(path)
        members = (
            f"{node.module}.{alias.name}"
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        )
        imported[name] = {found for found in {*imports(tree), *members} if found in names and found != name}
    TopologicalSorter(imported).prepare()


def test_only_its_command_imports_the_server() -> None:
    packages = {"starlette", "uvicorn", "prometheus_client"}
    for path in SOURCES:
        if "server" in path.relative_to(ROOT).parts:
            continue
        for imported in imports(parsed(path)):
            is_server = imported == "pipeline.server" or imported.startswith("pipeline.server.")
            assert not is_server or name_of(path) == "pipeline/commands/serve.py", f"{name_of(path)} imports {imported}"
            assert imported.partition(".")[0] not in packages, f"{name_of(path)} needs an extra: {imported}"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_heavy_libraries_are_imported_where_they_are_used(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    tops = {imported.partition(".")[0] for imported in imports(parsed(path), top_level_only=package == "models")}
    allowed = {"torch"} if {"qwen3", "omnivoice", "voxcpm", "blocks", "mt"} & set(path.parts) else set()
    assert not (tops & HEAVY) - (allowed if package == "models" else set())


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_queue_has_a_size_and_every_task_a_parent(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called.rpartition(".")[2] in {"Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"}:
            sized = node.args or [keyword for keyword in node.keywords if keyword.arg == "maxsize"]
            assert sized, f"{path.name}:{node.lineno}: an unbounded queue"
            assert "Simple" not in called, f"{path.name}:{node.lineno}: a queue that cannot be bounded"
        alone = called in {"asyncio.create_task", "asyncio.ensure_future", "loop.create_task"}
        assert not alone or name_of(path) == LEAVES_TASKS_BEHIND, f"{path.name}:{node.lineno}: a task without a task group"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_broad_except_stands_only_at_a_border_that_says_so(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{path.name}:{node.lineno}: a bare except"
            broad = ast.unparse(node.type) in {"Exception", "BaseException"}
            reraises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
            assert not broad or reraises or "#" in lines[node.lineno - 1], f"{path.name}:{node.lineno}: say which border"


def test_a_synthesizer_names_its_own_settings_without_a_stage() -> None:
    """It may be any of five: only which model to use, in a profile's first stage, is advice for one."""
    for path in ROOT.glob("models/tts/**/*.py"):
        for named in re.findall(r"(?<![\w.])(?:\w+_)?synthesizer\.\w+", path.read_text(encoding="utf-8")):
            assert named.rpartition(".")[2] in {"use", "model"}, f"{name_of(path)}: {named}"
