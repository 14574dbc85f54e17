"""Several models behind one translator: each is loaded once, and nobody waits for a model that is not theirs."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from models.mt.router import RoutedTranslator
from pipeline.contracts import Missing, Translation, TranslationRequest
from pipeline.errors import ModelError

LOAD_S = {"es": 1.0, "de": 5.0}


@dataclass(eq=False)
class Tier:
    """A model of one target language that takes `LOAD_S` to load, the first time perhaps in vain."""

    target: str
    fails: bool = False
    lacks: tuple[Missing, ...] = ()
    loads: list[float] = field(default_factory=list)

    def missing(self):
        return self.lacks

    @asynccontextmanager
    async def load(self):
        self.loads.append(asyncio.get_running_loop().time())
        await asyncio.sleep(LOAD_S[self.target])
        if self.fails and len(self.loads) == 1:
            raise ModelError("damaged")
        yield self

    async def translate(self, request):
        return Translation(f"{request.source} in {self.target}")


async def done_s(translator: RoutedTranslator, target: str, at_s: float) -> float:
    """Tell when a request made at a time is answered."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(at_s - loop.time())
    assert (await translator.translate(TranslationRequest("a", "en", target))).text == f"a in {target}"
    return loop.time()


def routed(loaded: AsyncExitStack, *tiers: Tier) -> RoutedTranslator:
    models = {tier.target: tier for tier in tiers}
    return RoutedTranslator(SimpleNamespace(model_for=lambda _, target: models[target]), loaded)


@pytest.mark.looptime
async def test_who_has_a_model_never_waits_while_another_is_loaded():
    spanish, german = Tier("es"), Tier("de")
    async with AsyncExitStack() as loaded:
        translator = routed(loaded, spanish, german)
        asked = [("es", 0.0), ("es", 0.5), ("de", 2.0), ("es", 3.0), ("de", 4.0), ("es", 6.9), ("de", 8.0)]
        answered = await asyncio.gather(*(done_s(translator, target, at_s) for target, at_s in asked))
    assert answered == pytest.approx([1.0, 1.0, 7.0, 3.0, 7.0, 6.9, 8.0])
    assert (len(spanish.loads), len(german.loads)) == (1, 1)


@pytest.mark.looptime
async def test_the_model_of_a_pair_is_chosen_once_not_for_each_request():
    chosen: list[str] = []
    tiers = {"es": Tier("es"), "de": Tier("de")}
    router = SimpleNamespace(model_for=lambda _, target: (chosen.append(target), tiers[target])[1])
    async with AsyncExitStack() as loaded:
        translator = RoutedTranslator(router, loaded)
        for target, at_s in (("es", 0.0), ("es", 2.0), ("de", 3.0), ("de", 9.0), ("es", 10.0)):
            await done_s(translator, target, at_s)
    assert chosen == ["es", "de"]


@pytest.mark.looptime
async def test_two_models_are_loaded_at_once():
    async with AsyncExitStack() as loaded:
        translator = routed(loaded, Tier("es"), Tier("de"))
        answered = await asyncio.gather(done_s(translator, "de", 0.0), done_s(translator, "es", 0.0))
    assert answered == pytest.approx([5.0, 1.0])


@pytest.mark.looptime
async def test_a_load_that_failed_is_tried_again_and_what_lacks_is_told():
    damaged = Tier("es", fails=True)
    async with AsyncExitStack() as loaded:
        translator = routed(loaded, damaged, Tier("de", lacks=(Missing("the model x", "fetch it"),)))
        with pytest.raises(ModelError, match="damaged"):
            await done_s(translator, "es", 0.0)
        assert await done_s(translator, "es", 1.0) == pytest.approx(2.0)
        with pytest.raises(ModelError, match="from 'en' to 'de' needs the model x; try: fetch it"):
            await translator.prepare("en", "de")
