"""Concurrent requests share batches, keep their own errors, and survive cancellation and full memory."""

import asyncio
import threading

import pytest

from models.mt.batching import BatchedTranslator
from pipeline.contracts import Translation, TranslationRequest
from pipeline.errors import BadInput, ModelError
from pipeline.lane import Lane


class Recorder:
    """Translates by turning text around; ``room`` is how many texts fit into memory."""

    def __init__(self, room: int = 100) -> None:
        self.room, self.batches = room, []
        self.gate, self.begun = None, threading.Event()

    def translate(self, requests):
        self.begun.set()
        self.batches.append([request.source for request in requests])
        if self.gate:
            self.gate.wait(5)
        if len(requests) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if "?" in "".join(one.source for one in requests):
            raise IndexError("pop from an empty deque")
        return [BadInput("empty") if not one.source else Translation(one.source[::-1]) for one in requests]

    def check(self, terms, language):
        raise BadInput(f"{len(tuple(terms))} terms in {language}")


def ask(text: str, draft: bool = False) -> TranslationRequest:
    return TranslationRequest(text, "en", "es", draft=draft)


async def test_what_comes_together_goes_together_units_before_drafts_errors_alone():
    with Lane("test") as lane:
        recorder = Recorder()
        translator = BatchedTranslator(lane, recorder, 3)
        asked = [ask("ab"), ask("dr", draft=True), ask(""), ask("cd"), ask("ef")]
        said = await asyncio.gather(*map(translator.translate, asked), return_exceptions=True)
        assert [one.text if isinstance(one, Translation) else type(one) for one in said] == [
            "ba",
            "rd",
            BadInput,
            "dc",
            "fe",
        ]
        assert recorder.batches == [["ab", "", "cd"], ["ef"], ["dr"]]
        with pytest.raises(BadInput, match="0 terms in es"):
            await translator.check((), "en", "es")


async def test_a_cancelled_leader_leaves_its_companions_to_another():
    with Lane("test") as lane:
        recorder = Recorder()
        recorder.gate = threading.Event()
        translator = BatchedTranslator(lane, recorder, 8)
        async with asyncio.TaskGroup() as group:
            first, second = (
                group.create_task(translator.translate(ask("ab"))),
                group.create_task(translator.translate(ask("cd"))),
            )
            await asyncio.to_thread(recorder.begun.wait, 5)
            first.cancel()
            recorder.gate.set()
        assert first.cancelled()
        assert second.result().text == "dc"
        assert recorder.batches[-1] == ["cd"]


async def test_a_cancelled_companion_harms_nobody():
    with Lane("test") as lane:
        recorder = Recorder()
        recorder.gate = threading.Event()
        translator = BatchedTranslator(lane, recorder, 8)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(translator.translate(ask("ab")))
            second = group.create_task(translator.translate(ask("cd")))
            await asyncio.to_thread(recorder.begun.wait, 5)
            second.cancel()
            await asyncio.sleep(0)
            recorder.gate.set()
        assert first.result().text == "ba"
        assert second.cancelled()
        assert recorder.batches == [["ab", "cd"]]


async def test_full_memory_halves_the_batch_once_then_is_a_typed_error():
    with Lane("test") as lane:
        enough, little = Recorder(room=2), Recorder(room=1)
        asked = [ask(text) for text in ("ab", "cd", "ef", "gh")]
        said = await asyncio.gather(*map(BatchedTranslator(lane, enough, 8).translate, asked))
        assert [one.text for one in said] == ["ba", "dc", "fe", "hg"]
        assert [len(batch) for batch in enough.batches] == [4, 2, 2]
        translator = BatchedTranslator(lane, little, 8)
        failed = await asyncio.gather(*map(translator.translate, asked), return_exceptions=True)
        assert all(isinstance(one, ModelError) and "smaller `batch`" in str(one) for one in failed)
        assert (await translator.translate(ask("ab"))).text == "ba", "the next request is served"


@pytest.mark.parametrize("room", [100, 2])
async def test_a_request_that_breaks_the_decoder_fails_alone(room):
    """Also where memory allows half of the batch only."""
    with Lane("test") as lane:
        translator = BatchedTranslator(lane, Recorder(room), 8)
        asked = map(translator.translate, map(ask, ("ab", "cd?", "ef", "gh")))
        said = await asyncio.gather(*asked, return_exceptions=True)
    assert [one.text if isinstance(one, Translation) else type(one) for one in said] == ["ba", IndexError, "fe", "hg"]


UNIT_S, WINDOW_S = 0.08, 0.005


class VirtualLane:
    """A lane whose every call takes `UNIT_S` of virtual time."""

    async def run(self, call, *arguments):
        await asyncio.sleep(UNIT_S)
        return call(*arguments)


async def timed(translator: BatchedTranslator, text: str, at_s: float) -> float:
    """Measure how long a request made at a time takes."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(at_s - loop.time())
    before = loop.time()
    await translator.translate(ask(text))
    return loop.time() - before


@pytest.mark.looptime
async def test_targets_that_come_apart_soon_go_together():
    recorder = Recorder()
    translator = BatchedTranslator(VirtualLane(), recorder, 8, WINDOW_S)
    asked = [timed(translator, f"{target}{unit}", 0.5 * unit + 0.002 * target) for unit in range(6) for target in range(3)]
    took = await asyncio.gather(*asked)
    assert recorder.batches[:2] == [["00"], ["10", "20"]], "the first time nothing tells that more will come"
    assert recorder.batches[2:] == [[f"{target}{unit}" for target in range(3)] for unit in range(1, 6)]
    assert max(took[3:]) == pytest.approx(WINDOW_S + UNIT_S)


@pytest.mark.looptime
async def test_a_lone_session_never_waits_and_company_is_forgotten():
    translator = BatchedTranslator(VirtualLane(), Recorder(), 8, WINDOW_S)
    loop = asyncio.get_running_loop()
    for unit in range(20):
        texts = ["draft", "unit"][: 1 + unit % 2]  # a session asks twice in the same breath, too
        took = await asyncio.gather(*(timed(translator, text, loop.time()) for text in texts))
        assert took == pytest.approx([UNIT_S] * len(texts))
    took = await asyncio.gather(timed(translator, "a", 5.0), timed(translator, "b", 5.001), timed(translator, "c", 5.5))
    assert took == pytest.approx([UNIT_S, 2 * UNIT_S - 0.001, WINDOW_S + UNIT_S])
    assert await timed(translator, "d", 6.2) == pytest.approx(UNIT_S), "to wait in vain is not to see company"


@pytest.mark.looptime
async def test_who_comes_long_after_a_batch_has_left_is_no_company():
    translator = BatchedTranslator(VirtualLane(), Recorder(), 8, WINDOW_S)
    took = await asyncio.gather(*(timed(translator, text, at_s) for text, at_s in (("a", 0.0), ("b", 0.03), ("c", 0.5))))
    assert took == pytest.approx([UNIT_S, 2 * UNIT_S - 0.03, UNIT_S])


@pytest.mark.looptime
async def test_who_waited_for_the_model_does_not_wait_for_company_nor_does_a_full_batch():
    recorder = Recorder()
    translator = BatchedTranslator(VirtualLane(), recorder, 2, WINDOW_S)
    first = [timed(translator, text, at_s) for text, at_s in (("a", 0.0), ("b", 0.002), ("c", 0.5), ("d", 0.5))]
    took = await asyncio.gather(*first, timed(translator, "e", 0.54))
    assert list(map(sorted, recorder.batches)) == [["a"], ["b"], ["c", "d"], ["e"]]
    assert took == pytest.approx([UNIT_S, 2 * UNIT_S - 0.002, UNIT_S, UNIT_S, 0.04 + UNIT_S])
