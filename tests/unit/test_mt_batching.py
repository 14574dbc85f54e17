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
