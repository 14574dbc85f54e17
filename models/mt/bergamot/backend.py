"""Bergamot and Firefox models as a backend: small, fast on a CPU, exact with a glossary, and without torch."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from models.fetch import fetch
from models.model_files import lacking, missing_packages, models_folder, table
from models.model_files import missing as missing_files
from models.mt.batching import BatchedTranslator, check_settings, ready_translator
from models.mt.bergamot.pairs import PIVOT, Pair, PairsDecoder, reachable
from models.mt.bergamot.student import Student
from models.mt.decoding import Decoder
from pipeline.contracts import FetchOptions, Missing, Progress
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, check_range

PACKAGES = ("sentencepiece", "threadpoolctl")
_FILE = re.compile(r"model\.([a-z]{2})([a-z]{2})\..*bin")
_NAME = re.compile(r"bergamot-([a-z]{2})([a-z]{2})")
_DIRECTION = re.compile(r"\s*([a-z]{2})\s*>\s*([a-z]{2})\s*")


@dataclass(frozen=True, slots=True)
class Bergamot:
    """A `TranslatorBackend` over students of Bergamot and Firefox; pairs without English go through it.

    ``folder`` holds a folder for each model; empty: the one that model files are fetched into.
    ``languages`` are the directions to use, such as ``en>pt``, loaded at once; none: all there are, each loaded when a text
    first needs it. Students are made to be searched greedily, so ``beams`` is 1; ``term_beams`` search texts that lack
    their terms. ``threads`` are those of numpy's matrix products: one is best for matrices this small.
    """

    folder: str = ""
    languages: tuple[str, ...] = ()
    beams: int = 1
    term_beams: int = 4
    batch: int = 8
    threads: int = 1
    longest_source: int = 256
    window_ms: float = 5.0

    def __post_init__(self) -> None:
        for name in ("term_beams", "threads"):
            check_range(name, getattr(self, name), 1)
        check_settings(self.beams, self.batch, self.longest_source, self.window_ms)

    def directions(self) -> frozenset[Pair]:
        """Return the pairs that a model of its own translates; raises `BadInput` for other words in ``languages``."""
        if self.languages:
            return frozenset(_pair(text) for text in self.languages)
        published = () if self.folder else (found.groups() for name in table() if (found := _NAME.fullmatch(name)))
        return frozenset((*self._folders(), *((source, target) for source, target in published)))

    def pairs(self) -> frozenset[Pair]:
        """Return the (source, target) languages it translates, English between them where need be."""
        return reachable(self.directions())

    def missing(self) -> Sequence[Missing]:
        """Name what this machine lacks: packages, and the models that ``languages`` name or, without, any at all."""
        if packages := missing_packages(PACKAGES):
            return packages
        there = self._folders()
        if self.languages:
            return [one for pair in sorted(self.directions() - there.keys()) for one in self._lacking(pair)]
        return [] if there else [Missing("a translation model of Bergamot", FETCH_MODELS)]

    def missing_between(self, source: str, target: str) -> Sequence[Missing]:
        """Name the models on the way of a pair that this machine lacks."""
        legs = _between([source], [target], self.directions()) - self._folders().keys()
        return [one for leg in sorted(legs) for one in self._lacking(leg)]

    def pull(self, progress: Progress) -> None:
        """Download the models of ``languages``, or all that are published."""
        self.fetch(FetchOptions(), progress)

    def fetch(self, options: FetchOptions, progress: Progress) -> None:
        """Download the models that lead from the spoken languages to the targets; see `Fetching`."""
        for source, target in sorted(_between(options.spoken, options.targets, self.directions())):
            if f"bergamot-{source}{target}" in table():
                fetch(f"bergamot-{source}{target}", progress, source=options.source)

    @asynccontextmanager
    async def load(self) -> AsyncIterator[BatchedTranslator]:
        """Load the models that ``languages`` name in a thread of its own and warm them up."""
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        named, decoder = sorted(self.directions()) if self.languages else (), PairsDecoder(self.decoder, self.directions())
        with threadpool_limits(self.threads, user_api="blas"):
            async with ready_translator(lambda: decoder, "Bergamot", named, self.batch, self.window_ms) as translator:
                yield translator

    def decoder(self, pair: Pair) -> Decoder:
        """Load the model of a direct pair; blocking. Raises `ModelError`."""
        if pair not in (folders := self._folders()):
            (lacking, *_) = self._lacking(pair)
            message = f"to translate from {pair[0]!r} to {pair[1]!r} there is need of {lacking.what}"
            both = f"{FETCH_MODELS} from the language {pair[0]} for the language {pair[1]}"
            raise ModelError(message, hint=lacking.fix.replace(FETCH_MODELS, both))
        return Decoder(Student(folders[pair]), self.beams, self.longest_source, self.term_beams)

    def _folders(self) -> Mapping[Pair, Path]:
        """Find the folders with a model that is all there, by pair.

        One of one's own needs no lexical shortlist: some are made without, and score all words at each step.
        """
        root = Path(self.folder).expanduser() if self.folder else models_folder()
        files = sorted(file for pattern in ("model.*.bin", "*/model.*.bin") for file in root.glob(pattern))
        named = [(found, file.parent) for file in files if (found := _FILE.fullmatch(file.name))]
        there = {(name[1], name[2]): folder for name, folder in named if any(folder.glob("*vocab.*.spm"))}
        if self.folder:
            return there
        return {pair: folder for pair, folder in there.items() if folder.name not in table() or not lacking(folder.name)}

    def _lacking(self, pair: Pair) -> list[Missing]:
        name = "bergamot-{}{}".format(*pair)
        if self.folder or name not in table():
            where = self.folder or str(models_folder())
            return [Missing(f"the model {name} in {where}", "copy its files there", fetchable=False)]
        return missing_files(name)


def _pair(text: str) -> Pair:
    if found := _DIRECTION.fullmatch(text):
        return found[1], found[2]
    raise BadInput(f"{text!r} is no direction in `languages`; valid: two codes such as en>pt")


def _between(spoken: Sequence[str], targets: Sequence[str], direct: Iterable[Pair]) -> set[Pair]:
    """Return the direct pairs on the ways from what is spoken to the targets, either of which may be any (none given)."""
    known = set(direct)
    asked = {(a, b) for a, b in reachable(known) if (not spoken or a in spoken) and (not targets or b in targets)}
    legs = {leg for source, target in asked - known for leg in ((source, PIVOT), (PIVOT, target))}
    return (asked & known) | legs
