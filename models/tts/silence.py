"""Trimming of the silence at the edges of speech, while it streams."""

from __future__ import annotations

import numpy as np

from pipeline.events import Samples

QUIET = 0.003  # -50 dB below full scale
ATTACK_S = 0.01  # kept before the first sound: consonants begin softly


class SilenceTrim:
    """Filter that drops the silence before the first sound and all but ``pause_s`` seconds of that after the last."""

    def __init__(self, sample_rate: int, pause_s: float) -> None:
        self._attack = int(ATTACK_S * sample_rate)
        self._pause = int(pause_s * sample_rate)
        self._began = False
        self._quiet = np.zeros(0, np.float32)

    def add(self, samples: Samples) -> Samples:
        """Add the next samples [n]; gives those up to and with the last sound."""
        audio = np.concatenate([self._quiet, samples])
        loud = np.flatnonzero(np.abs(audio) > QUIET)
        if not len(loud):
            self._quiet = audio if self._began else audio[max(0, len(audio) - self._attack) :]
            return audio[:0]
        first = 0 if self._began else max(0, int(loud[0]) - self._attack)
        self._began, end = True, int(loud[-1]) + 1
        self._quiet = audio[end:]
        return audio[first:end]

    def end(self) -> Samples:
        """End the speech; gives the pause after the last sound."""
        return self._quiet[: self._pause] if self._began else self._quiet[:0]


_SILENT_RMS = 10 ** (-50 / 20)  # -50 dBFS
_BLOCK_S = 0.01
_KEPT_BEFORE_S = 0.02
_MOST_HELD_S = 0.4
_FADE_S = 0.01
SENTENCE_END, CLAUSE_END = ".!?…。！？", ",;:،，、；："  # noqa: RUF001
_CLOSING = "\"'”’»)]}」』"  # noqa: RUF001


def pause_s(text: str) -> float:
    """Choose the pause after ``text`` by its punctuation, in seconds."""
    last = text.rstrip().rstrip(_CLOSING)[-1:]
    if last and last in SENTENCE_END:
        return 0.30
    return 0.15 if last and last in CLAUSE_END else 0.05


def silent_frames(samples: Samples, frame: int) -> list[bool]:
    """Tell for each ``frame`` samples if they are silent."""
    power = np.square(samples, dtype=np.float64).reshape(-1, frame).mean(1)
    return [bool(one < _SILENT_RMS**2) for one in power]


class EdgeTrim:
    """Filter that drops leading silence and ends speech in a chosen pause; the cuts of its input change nothing."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._block = round(_BLOCK_S * sample_rate)
        self._part = _nothing()  # less than a block
        self._held = _nothing()  # silence that may turn out to be the end
        self._last = np.zeros(1, dtype=np.float32)  # the newest sample that was given
        self.begun = False

    def pass_on(self, samples: Samples) -> Samples:
        """Add the next samples [n]; gives those that can be played now."""
        joined = np.concatenate([self._part, samples])
        whole = len(joined) // self._block * self._block
        self._part = joined[whole:]
        silent = silent_frames(joined[:whole], self._block)
        out = [self._pass_block(joined[i * self._block :][: self._block], is_silent) for i, is_silent in enumerate(silent)]
        given = np.concatenate([_nothing(), *out])
        self._last = np.concatenate([self._last, given])[-1:]
        return given

    def _pass_block(self, block: Samples, is_silent: bool) -> Samples:
        if not is_silent:
            out = np.concatenate([self._held, block])
            self._held, self.begun = _nothing(), True
            return out
        held = np.concatenate([self._held, block])
        most = round((_MOST_HELD_S if self.begun else _KEPT_BEFORE_S) * self._rate)
        out, self._held = (held[:-most], held[-most:]) if len(held) > most else (_nothing(), held)
        return out if self.begun else _nothing()

    def finish(self, pause: float, broken_off: bool) -> Samples:
        """End the speech; gives the rest and ``pause`` seconds of silence, into which ``broken_off`` speech fades."""
        if not self.begun:
            return _nothing()
        rest, silence = np.concatenate([self._held, self._part]), np.zeros(round(pause * self._rate), dtype=np.float32)
        loud = silent_frames(self._part, len(self._part)) == [False] if len(self._part) else not len(self._held)
        if not loud:
            return np.concatenate([rest[: len(silence)], silence[len(rest) :]])
        if broken_off:
            fade = np.linspace(1, 0, round(_FADE_S * self._rate), dtype=np.float32)[: len(silence)]
            silence[: len(fade)] = np.concatenate([self._last, rest])[-1] * fade
        return np.concatenate([rest, silence])


def _nothing() -> Samples:
    return np.zeros(0, dtype=np.float32)
