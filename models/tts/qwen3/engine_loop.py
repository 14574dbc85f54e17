"""Task that turns the engine while any session speaks."""

from __future__ import annotations

from models.tts.qwen3.engine import Engine
from models.tts.qwen3.utterance import DecodedChunk, Utterance
from models.tts.streaming_loop import StreamingLoop
from pipeline.lane import Lane

LOOKAHEAD_FRAMES = 25
"""Frames of speech made ahead of its listener, 2 s: then the GPU is free for others, and a cancel wastes little."""


class EngineLoop(StreamingLoop[Utterance, DecodedChunk]):
    """Owner of the engine for the event loop: every call to it runs on its lane."""

    def __init__(self, engine: Engine, lane: Lane) -> None:
        super().__init__(engine, lane, LOOKAHEAD_FRAMES)
        self.engine = engine
