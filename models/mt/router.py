"""Several models behind one translator: each pair of languages goes to the first model that serves it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from models.mt.batching import BatchedTranslator, check_settings
from models.mt.bergamot.backend import Bergamot
from models.mt.catalog import CATALOG
from models.mt.causal_lm import CausalLM
from models.mt.ctranslate2 import CTranslate2
from models.mt.seq2seq import Seq2Seq
from pipeline.contracts import Fetching, FetchOptions, Missing, Progress, Term, Translation, TranslationRequest, UsesGpu
from pipeline.errors import BadInput, ModelError, nearest

Tier = Bergamot | CausalLM | CTranslate2 | Seq2Seq
BERGAMOT, INT8 = "bergamot", ":int8"


@dataclass(frozen=True, slots=True)
class Router:
    """A `TranslatorBackend` over ``models`` of the catalog, best first; each is loaded when a pair first needs it.

    ``bergamot`` is the students of `Bergamot`, and ``NAME:int8`` a model in 8 bits on the CPU (`CTranslate2`).
    The other fields are those of `models.mt.causal_lm.CausalLM`; ``graphs`` are for models with a decoder only.
    `missing` speaks of the first model only: the others serve languages that few sessions ask for.
    """

    models: tuple[str, ...] = ("hy-mt2-1.8b", "lmt-60-1.7b", "madlad-400-3b")
    device: str = "auto"
    dtype: str = "auto"
    beams: int = 4
    batch: int = 8
    window_ms: float = 5.0
    graphs: bool = False

    def __post_init__(self) -> None:
        check_settings(self.beams, self.batch, 1, self.window_ms)

    def tiers(self) -> list[Tier]:
        """Return the backends of the models, in order."""
        return [self._tier(model) for model in self.models]

    def missing(self) -> Sequence[Missing]:
        """Name what this machine lacks to run the first model."""
        return self.tiers()[0].missing()

    def missing_between(self, source: str, target: str) -> Sequence[Missing]:
        """Name what this machine lacks to run the model for a pair."""
        tier = self.model_for(source, target)
        return tier.missing() or (tier.missing_between(source, target) if isinstance(tier, Bergamot) else [])

    def pairs(self) -> frozenset[tuple[str, str]]:
        """Return the (source, target) languages that any of the models translates."""
        return frozenset().union(*(tier.pairs() for tier in self.tiers()))

    def model_for(self, source: str, target: str) -> Tier:
        """Return the first model that translates a pair (empty: from, to any); raises `BadInput` with the choices."""
        for tier in self.tiers():
            if any(pair == (source or pair[0], target or pair[1]) for pair in tier.pairs()):
                return tier
        known = sorted({given for pair in self.pairs() for given in pair})
        wrong = target if source in known else source
        raise BadInput(f"nothing translates from {source!r} to {target!r}; {nearest(wrong, known)}")

    def gpu_memory(self) -> Mapping[str, int]:
        """Return the bytes of the GPU that the first model will take, by what takes them; none on a CPU."""
        first = self.tiers()[0]
        return first.gpu_memory() if isinstance(first, UsesGpu) else {}

    def pull(self, progress: Progress) -> None:
        """Download all models."""
        for tier in self.tiers():
            tier.pull(progress)

    def fetch(self, options: FetchOptions, progress: Progress) -> None:
        """Download the models for the languages that are asked for, or the first one; see `Fetching`."""
        for tier in self.chosen(options):
            if isinstance(tier, Fetching):
                tier.fetch(options, progress)
            elif options.source in {"", "hub"}:
                tier.pull(progress)
            else:
                raise ModelError(f"{options.source} has no {tier.model}, which the hub has", code="not_fetched")

    def chosen(self, options: FetchOptions) -> list[Tier]:
        """Return the backends for the languages that are asked for, or the first one."""
        sources, targets = options.spoken or ("",), options.targets or ("",)
        asked = [(source, target) for source in sources for target in targets if source != target]
        return list(dict.fromkeys(self.model_for(*pair) for pair in asked)) or self.tiers()[:1]

    @asynccontextmanager
    async def load(self) -> AsyncIterator[RoutedTranslator]:
        """Load each model once, when it is needed, and free all at the end."""
        async with AsyncExitStack() as loaded:
            yield RoutedTranslator(self, loaded)

    def _tier(self, model: str) -> Tier:
        if model == BERGAMOT:
            return Bergamot(batch=self.batch, window_ms=self.window_ms)  # beams of its own: students are made for one
        name = model.removesuffix(INT8)
        if name not in CATALOG:
            raise BadInput(f"the model {model!r} is unknown; {nearest(model, [BERGAMOT, *CATALOG])}")
        if name != model:
            return CTranslate2(name, beams=self.beams, batch=self.batch, window_ms=self.window_ms)
        shared: dict[str, Any] = {name: getattr(self, name) for name in ("device", "dtype", "beams", "batch", "window_ms")}
        if CATALOG[model].kind == "causal":
            return CausalLM(model, graphs=self.graphs, **shared)
        return Seq2Seq(model, **shared)


class RoutedTranslator:
    """A `Translator` that passes each request to the model for its pair."""

    def __init__(self, router: Router, loaded: AsyncExitStack) -> None:
        self._router, self._loaded = router, loaded
        self._translators: dict[Tier, BatchedTranslator] = {}
        self._by_pair: dict[tuple[str, str], BatchedTranslator] = {}  # choosing looks at files, too long for each request
        self._loading: defaultdict[Tier, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def translate(self, request: TranslationRequest) -> Translation:
        """Translate one request with the model for its pair; loads it first if need be."""
        return await (await self.prepare(request.source_language, request.target_language)).translate(request)

    async def check(self, terms: Iterable[Term], source: str, target: str) -> None:
        """Raise `BadInput` for glossary terms that cannot be said; for when a session opens."""
        await (await self.prepare(source, target)).check(terms, source, target)

    async def prepare(self, source: str, target: str) -> BatchedTranslator:
        """Return the model for a pair, loaded; for when a session opens, so that its first words do not wait.

        Only those who need a model wait while it is loaded.
        """
        if (known := self._by_pair.get((source, target))) is not None:
            return known
        tier = self._router.model_for(source, target)
        async with self._loading[tier]:
            if tier not in self._translators:
                if missing := tier.missing():
                    what, fix = ", ".join(one.what for one in missing), " && ".join({one.fix: None for one in missing})
                    raise ModelError(f"translating from {source!r} to {target!r} needs {what}", hint=fix)
                self._translators[tier] = await self._loaded.enter_async_context(tier.load())
        self._by_pair[source, target] = self._translators[tier]
        return self._translators[tier]
