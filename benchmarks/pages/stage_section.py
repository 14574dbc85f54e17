"""A stage result's part of the page: against its peers, against its targets, its pictures, and what it ran on."""

from __future__ import annotations

import html
import shlex
from collections.abc import Mapping

from benchmarks.pages.page import figure, folded, number
from benchmarks.stages.peers import Comparison, comparisons
from benchmarks.stages.result import StageResult
from benchmarks.stages.targets import checked


def section(result: StageResult, pictures: Mapping[str, bytes]) -> str:
    """The result."""
    busy = '<p class="warn">Other programs ran meanwhile: times are upper bounds.</p>' if result.busy else ""
    images = "".join(figure(title, data) for title, data in pictures.items())
    return (
        f"<h2>{html.escape(result.stage)} · {html.escape(result.name)}</h2>"
        f'<p class="muted">{html.escape(shlex.join(result.command))}<br>{html.escape(machine(result))}</p>{busy}'
        f"{against_peers(result)}{against_targets(result)}{images}{folded('All figures', everything(result))}"
    )


def against_peers(result: StageResult) -> str:
    """A row for each figure with a named peer in the same run; nothing when there is none."""
    rows = "".join(map(_peer_row, comparisons(result.stage, result.figures)))
    head = '<tr><th>against its peers, in one run</th><th>peer</th><th class="n">ours</th><th class="n">theirs</th>'
    return f'<table>{head}<th class="n">times better</th></tr>{rows}</table>' if rows else ""


def _peer_row(one: Comparison) -> str:
    kind = "good" if one.advantage > 1 else "bad" if one.advantage < 1 else "muted"
    return (
        f"<tr><td>{html.escape(one.what)}</td><td>{html.escape(one.peer)}</td>"
        f'<td class="n">{number(one.ours)}</td><td class="n">{number(one.theirs)}</td>'
        f'<td class="n {kind}">{number(one.advantage)}</td></tr>'
    )


def against_targets(result: StageResult) -> str:
    """A row for each figure with a target; nothing when there is none."""
    on_gpu = bool((result.environment.get("hardware") or {}).get("gpus")) and "cpu" not in result.command
    rows = "".join(
        f'<tr><td>{html.escape(name)}</td><td class="n">{target.text()}</td><td class="n">{number(value)}</td>'
        f'<td class="{"good" if target.met(value) else "bad"}">{"met" if target.met(value) else "not met"}</td></tr>'
        for name, value, target in checked(result.stage, result.figures, on_gpu)
    )
    return (
        f'<table><tr><th>target</th><th class="n"></th><th class="n">found</th><th></th></tr>{rows}</table>' if rows else ""
    )


def everything(result: StageResult) -> str:
    """All figures by name."""
    rows = "".join(
        f'<tr><td>{html.escape(name)}</td><td class="n">{number(value)}</td></tr>' for name, value in result.figures.items()
    )
    return f"<table>{rows}</table>"


def machine(result: StageResult) -> str:
    """Describe in a line what it was measured on and with; what is not known is left out."""
    environment = result.environment
    hardware, git = environment.get("hardware") or {}, environment.get("git") or {}
    commit = (git.get("commit") or "")[:10]
    known = {
        "{}": environment.get("date"),
        "on {}": ", ".join(gpu.get("name", "a GPU") for gpu in hardware.get("gpus") or []),
        "{} cores": hardware.get("cores_usable"),
        "of {}": hardware.get("processor"),
        "load {}": hardware.get("load_1_minute"),
        "Python {}": environment.get("python"),
        "commit {}": f"{commit} and changes" if commit and git.get("modified") else commit,
    }
    return " · ".join(text.format(value) for text, value in known.items() if value not in (None, ""))
