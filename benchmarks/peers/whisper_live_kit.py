"""WhisperLiveKit (pypi.org/project/whisperlivekit): its LocalAgreement with the same weights, on a clock of processor time.

Written for its version 0.2.26. Its own speech detector, buffer, agreement and adapter of faster-whisper do what its server
lets them do: the detector cuts silence out, and where speech ends what was heard is decoded. Its queue stands here on a
virtual clock: audio arrives in blocks, and what arrives while a decoding is at work waits for it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from itertools import pairwise
from typing import Any

PACKAGE = "whisperlivekit"
INSTALL = "pip install whisperlivekit==0.2.26"
RATE = 16000

Queue = list[tuple[float, str, Any]]
"""When something reaches the recognizer and what it is: ``speech`` and its samples, ``pause``, or ``resume`` and how long
the silence before it was in seconds."""


def main() -> None:
    """Read the task, hear the recording, write the words with the clock at their commit and what they cost."""
    task = json.load(sys.stdin)
    output, sys.stdout = sys.stdout, sys.stderr  # the package prints
    try:
        numpy, whisper = import_module("numpy"), import_module("faster_whisper")
        agreement = import_module(f"{PACKAGE}.local_agreement.online_asr")
        backends = import_module(f"{PACKAGE}.local_agreement.backends")
        detector = import_module(f"{PACKAGE}.silero_vad_iterator")
    except ImportError as error:
        sys.exit(f"{error.name or PACKAGE} is missing in this environment: {INSTALL}")
    detect = detector.FixedVADIterator(detector.OnnxWrapper(session=detector.load_onnx_session()))
    queue = queued(detect, numpy.load(task["recording"]), round(task["block_s"] * RATE))
    online = agreement.OnlineASRProcessor(recognizer(whisper, backends, task))
    print(json.dumps(hear(online, queue, task["step_s"], task["cores"])), file=output)


def recognizer(whisper: Any, backends: Any, task: dict[str, Any]) -> Any:  # noqa: ANN401
    """Load its adapter of faster-whisper: the number of threads is ours, all else is the default of its server."""

    def load(*_: object) -> object:
        return whisper.WhisperModel(task["model"], device="cpu", compute_type="int8", cpu_threads=task["threads"])

    asr = type("Recognizer", (backends.FasterWhisperASR,), {"load_model": load})(task["language"])
    asr.tokenizer, asr.confidence_validation = None, False
    asr.buffer_trimming, asr.buffer_trimming_sec = "segment", 15.0
    return asr


def queued(detect: Callable[[Any], list[dict[str, int]]], samples: Any, block: int) -> Queue:  # noqa: ANN401
    """Speech and silence as its server queues them: an event of the detector counts within the block that told it."""
    queue: Queue = []
    silent_from: int | None = 0
    for begin, end in pairwise([*range(0, len(samples), block), len(samples)]):
        arrived, done = end / RATE, begin
        for event in detect(samples[begin:end]):
            ((name, told),) = event.items()
            at = max(begin, min(end, int(told)))
            if name == "start" and silent_from is not None:
                queue.append((arrived, "resume", (at - silent_from) / RATE))
                silent_from, done = None, at
            elif name == "end" and silent_from is None:
                queue += [(arrived, "speech", samples[done:at]), (arrived, "pause", None)]
                silent_from = done = at
        if silent_from is None:
            queue.append((arrived, "speech", samples[done:end]))
    return queue


def hear(online: Any, queue: Queue, step_s: float, cores: float) -> dict[str, Any]:  # noqa: ANN401
    """Hear what is queued at real-time pace, decoding once ``step_s`` of speech wait; gives words, updates and CPU time."""
    words: list[tuple[str, float, float, float]] = []
    updates, cpu_s, clock, waiting = 0, 0.0, 0.0, 0

    def decode(call: Callable[[], tuple[list[Any], float]]) -> None:
        nonlocal updates, cpu_s, clock, waiting
        begun_s = time.process_time()
        tokens, _ = call()
        spent_s = time.process_time() - begun_s
        updates, cpu_s, clock, waiting = updates + 1, cpu_s + spent_s, clock + spent_s / cores, 0
        words.extend((token.text, token.start, token.end, clock) for token in tokens)

    for index, (arrived, kind, value) in enumerate(queue):
        clock = max(clock, arrived)
        if kind == "speech":
            online.insert_audio_chunk(value)
            waiting += len(value)
            more = queue[index + 1 : index + 2]
            if waiting >= step_s * RATE and not (more and more[0][0] <= clock and more[0][1] == "speech"):
                decode(online.process_iter)
            continue
        if waiting:
            decode(online.process_iter)
        if kind == "pause":
            decode(online.start_silence)
        else:
            online.end_silence(value, words[-1][2] if words else 0)
    if waiting:
        decode(online.process_iter)
    rest, _ = online.finish()
    words += [(token.text, token.start, token.end, clock) for token in rest]
    return {"words": words, "updates": updates, "cpu_s": cpu_s}


if __name__ == "__main__":
    main()
