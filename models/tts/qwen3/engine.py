"""Continuous batching: utterances join and leave at any frame and advance together, one frame of all a turn.

Everything here but `EngineLoop` runs on the one thread that owns the model.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from models.tts.qwen3.eager import Executor, PendingFrames
from models.tts.qwen3.rows import NEVER
from models.tts.qwen3.sampler import FIRST_END_FRAME
from models.tts.qwen3.talker import is_end
from models.tts.qwen3.utterance import DecodedChunk, Ending, Utterance, UtteranceProgress, chunk_size, next_rows
from models.tts.silence import silent_frames
from models.tts.streaming_loop import CannotBegin, StreamingLoop
from pipeline.errors import ModelError
from pipeline.events import Samples
from pipeline.lane import Lane

LOOKAHEAD_FRAMES = 25
"""Frames of speech made ahead of its listener, 2 s: then the GPU is free for others, and a cancel wastes little."""


@dataclass(frozen=True, slots=True)
class _Step:
    """Step under way: its utterances with their rows, and the call that gives their frames."""

    utterances: Sequence[tuple[Utterance, int]]
    drawn: PendingFrames


class Engine:
    """Loaded model with its static memory, and the utterances it speaks."""

    def __init__(self, executor: Executor, sessions: int, lookahead: int) -> None:
        """Offer ``sessions`` codec streams; a row rests when it is ``lookahead`` frames ahead of its listener."""
        loaded = executor.loaded
        self.model, self.codec, self.device = loaded.model, loaded.codec, loaded.device
        self._executor, self._rows, self._ids = executor, loaded.rows, loaded.integers
        self._lookahead = lookahead
        self._padding = self.model.talker.embed_text(self._ids([self.model.config.tokens.tts_pad]))[0]
        self._free_rows = list(range(self._rows.capacity))
        self._free_streams = list(range(sessions))
        self._waiting: deque[Utterance] = deque()
        self._active: list[Utterance] = []
        self._stepping: list[int] = []
        self._under_way: deque[_Step] = deque()
        self._just_began = False

    def open_stream(self) -> int | None:
        """Take a codec stream for a session; None when all are taken."""
        if not self._free_streams:
            return None
        stream = self._free_streams.pop(0)
        self._executor.clear_stream(stream)
        return stream

    def close_stream(self, stream: int) -> None:
        """Release a session's codec stream and stop the utterances on it."""
        for one in [*self._waiting, *self._active]:
            if one.stream == stream:
                self.remove(one)
        self._free_streams.append(stream)

    def renew_stream(self, stream: int) -> None:
        """Reset a codec stream, so that the next utterance does not begin with the echo of a cut-off one."""
        self._executor.clear_stream(stream)

    def add(self, utterance: Utterance) -> None:
        """Queue an utterance; it begins when a row is free. Raises `ModelError` if it does not fit."""
        prompt = utterance.prompt
        if len(prompt) + utterance.stop.limit > self._rows.positions or len(prompt.trailing) > self._rows.text_capacity:
            raise ModelError(f"an utterance of {len(prompt)} prompt positions does not fit {self._rows.positions}")
        self._waiting.append(utterance)

    def add_text(self, utterance: Utterance, tokens: Sequence[int], ended: bool) -> None:
        """Append text tokens to an utterance; ``ended`` closes its text."""
        utterance.stop.tokens += len(tokens)
        utterance.text_ended = ended
        arrived = [*tokens, self.model.config.tokens.tts_eos] if ended else list(tokens)
        if utterance.row < 0:
            utterance.arrived.extend(arrived)
            return
        with torch.inference_mode():
            self._write_text(utterance, arrived)
            self._set_end(utterance)

    def remove(self, utterance: Utterance) -> None:
        """Stop an utterance, waiting or active; idempotent."""
        if utterance in self._waiting:
            self._waiting.remove(utterance)
        if utterance in self._active:
            self._active.remove(utterance)
            self._free_rows.append(utterance.row)
            self._free_rows.sort()
            utterance.row = -1
            going_on = [step for step in self._under_way if any(one.row == row for one, row in step.utterances)]
            self._under_way = deque(going_on)

    def close(self) -> None:
        """Wait for steps under way: they write to memory that others may get once this is unloaded."""
        self._executor.finish()

    @property
    def busy(self) -> bool:
        """True if a turn would do something."""
        if self._under_way or (self._waiting and self._free_rows):
            return True
        return bool(self._able()) or any(self._due(one) for one in self._active)

    def turn(self) -> list[DecodedChunk]:
        """Begin a waiting utterance or draw a frame of the active ones, in alternation, and decode due chunks.

        Raises `CannotBegin`; then only that utterance has left.
        """
        with torch.inference_mode():
            able = self._able()
            self._just_began = bool(self._waiting and self._free_rows) and not (self._just_began and able)
            if self._just_began:
                self._begin(self._waiting.popleft())
            elif able:
                self._step(able)
            self._read(self._executor.lag if able and not self._just_began else 0)
            return self._decode()

    def _able(self) -> list[int]:
        progress = [
            UtteranceProgress(one.row, one.drawing - one.taken, one.chunks > 0, one.has_text)
            for one in self._active
            if one.ending is None
        ]
        return next_rows(progress, self._lookahead, self._rows.capacity)

    def _begin(self, utterance: Utterance) -> None:
        try:
            self._start(utterance)
        except Exception as error:  # a border: the others go on
            self.remove(utterance)
            raise CannotBegin(utterance) from error

    def _start(self, utterance: Utterance) -> None:
        row = utterance.row = self._free_rows.pop(0)
        self._active.append(utterance)
        self._rows.clear(row, utterance.seed, self._padding)
        self._write_text(utterance, [*utterance.prompt.trailing, *utterance.arrived])
        self._set_end(utterance)
        drawn = self._executor.begin(row, utterance.prompt, utterance.speaker)
        utterance.cleared = len(utterance.prompt)
        utterance.drawing = 1
        self._stepping.append(row)
        self._under_way.append(_Step([(utterance, row)], drawn))

    def _write_text(self, utterance: Utterance, tokens: Sequence[int]) -> None:
        if not tokens:
            return
        end = utterance.fed + len(tokens)
        if end > self._rows.text_capacity:
            raise ModelError(f"an utterance's text may have {self._rows.text_capacity} tokens", hint="shorter units")
        self._rows.text[utterance.row, utterance.fed : end] = self.model.talker.embed_text(self._ids(tokens))
        utterance.fed = end

    def _set_end(self, utterance: Utterance) -> None:
        """Set the frame from which speech may end: after all text, and after text that came in pieces was fed."""
        floor = max(FIRST_END_FRAME, utterance.fed if utterance.in_pieces else 0)
        ends = (floor, utterance.stop.overstay) if utterance.text_ended else (NEVER, NEVER)
        self._rows.end_here(utterance.row, *ends)

    def _step(self, able: list[int]) -> None:
        if sorted(able) != sorted(self._stepping):
            self._rows.stepping.zero_()
            self._rows.stepping.index_fill_(0, self._ids(able), True)
            self._stepping = able
        stepping = [one for one in self._active if one.row in able]
        length = self._executor.reach(max(len(one.prompt) + one.drawing for one in self._active))
        for one in stepping:
            if one.cleared < length:
                self._rows.clear_positions(one.row, one.cleared, length)
                one.cleared = length
            one.drawing += 1
        drawn = self._executor.step(max(able) + 1, length)
        self._under_way.append(_Step([(one, one.row) for one in stepping], drawn))

    def _read(self, lag: int) -> None:
        """Read the drawn frames, except of the last ``lag`` steps, which may still be under way."""
        while len(self._under_way) > lag:
            step = self._under_way.popleft()
            drawn = step.drawn()
            for one, row in step.utterances:
                if one.row == row and one.ending is None:  # else it left, or ended a step before: the frame is dropped
                    self._note(one, drawn[row])

    def _note(self, utterance: Utterance, codes: list[int]) -> None:
        if is_end(codes[0]):
            utterance.ending = Ending.SPOKEN
            return
        utterance.codes.append(codes)
        utterance.ending = utterance.stop.drawn(codes[0], utterance.text_ended)

    def _due(self, utterance: Utterance) -> int:
        waiting = len(utterance.codes) - utterance.decoded
        return chunk_size(waiting, utterance.chunks, utterance.ending is not None or not utterance.has_text)

    def _decode(self) -> list[DecodedChunk]:
        """Decode due chunks, those of equal size in one call; utterances that are over and decoded leave."""
        groups: dict[int, list[Utterance]] = {}
        for one in self._active:
            if due := self._due(one):
                groups.setdefault(due, []).append(one)
        chunks = [chunk for frames, group in groups.items() for chunk in self._decode_group(group, frames)]
        ended = [one for one in self._active if one.ending is not None and one.decoded == len(one.codes)]
        done = {id(one.utterance) for one in chunks if one.ending is not None}
        nothing = np.zeros(0, dtype=np.float32)
        chunks += [DecodedChunk(one, nothing, 0, one.ending) for one in ended if id(one) not in done]
        for one in ended:
            self.remove(one)
        return chunks

    def _decode_group(self, group: list[Utterance], frames: int) -> list[DecodedChunk]:
        codes = [one.codes[one.decoded : one.decoded + frames] for one in group]
        decoded = self._executor.decode([one.stream for one in group], codes).numpy()
        return [self._chunk(one, samples, frames) for one, samples in zip(group, decoded, strict=True)]

    def _chunk(self, utterance: Utterance, samples: Samples, frames: int) -> DecodedChunk:
        utterance.decoded += frames
        utterance.chunks += 1
        silent = silent_frames(samples, self.codec.config.samples_per_frame)
        stop = utterance.stop.decoded(silent, utterance.text_ended)
        if stop is not None and utterance.ending is None:
            utterance.ending = stop
            del utterance.codes[utterance.decoded :]
        over = utterance.ending if utterance.decoded == len(utterance.codes) else None
        return DecodedChunk(utterance, samples, frames, over)


class EngineLoop(StreamingLoop[Utterance, DecodedChunk]):
    """Owner of the engine for the event loop: every call to it runs on its lane."""

    def __init__(self, engine: Engine, lane: Lane) -> None:
        super().__init__(engine, lane, LOOKAHEAD_FRAMES)
        self.engine = engine
