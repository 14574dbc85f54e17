"""Silence at the edges of an utterance: dropped before the first sound, cut to a measured pause after the last."""

from __future__ import annotations

import numpy as np

from pipeline.events import Samples

_SILENT_RMS = 10 ** (-50 / 20)  # -50 dBFS
_BLOCK_S = 0.01
_KEPT_BEFORE_S = 0.02
_MOST_HELD_S = 0.4
_FADE_S = 0.01
_SENTENCE_END, _CLAUSE_END = ".!?…。！？", ",;:،，、；："  # noqa: RUF001
_CLOSING = "\"'”’»)]}」』"  # noqa: RUF001


def pause_s(text: str) -> float:
    """The pause after ``text`` by its punctuation, in seconds."""
    last = text.rstrip().rstrip(_CLOSING)[-1:]
    if last and last in _SENTENCE_END:
        return 0.30
    return 0.15 if last and last in _CLAUSE_END else 0.05


def silent_frames(samples: Samples, frame: int) -> list[bool]:
    """Which frames of ``frame`` samples are silent."""
    power = np.square(samples, dtype=np.float64).reshape(-1, frame).mean(1)
    return [bool(one < _SILENT_RMS**2) for one in power]


class Edges:
    """Passes speech on in time; the output does not depend on how the input is cut."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._block = round(_BLOCK_S * sample_rate)
        self._part = _nothing()  # less than a block
        self._held = _nothing()  # silence that may turn out to be the end
        self.begun = False

    def pass_on(self, samples: Samples) -> Samples:
        """Take the next samples; gives what can be played now."""
        joined = np.concatenate([self._part, samples])
        whole = len(joined) // self._block * self._block
        self._part = joined[whole:]
        silent = silent_frames(joined[:whole], self._block)
        out = [self._pass_block(joined[i * self._block :][: self._block], is_silent) for i, is_silent in enumerate(silent)]
        return np.concatenate([_nothing(), *out])

    def _pass_block(self, block: Samples, is_silent: bool) -> Samples:
        if not is_silent:
            out = np.concatenate([self._held, block])
            self._held, self.begun = _nothing(), True
            return out
        held = np.concatenate([self._held, block])
        most = round((_MOST_HELD_S if self.begun else _KEPT_BEFORE_S) * self._rate)
        out, self._held = (held[:-most], held[-most:]) if len(held) > most else (_nothing(), held)
        return out if self.begun else _nothing()

    def finish(self, pause: float, broken_off: bool = False) -> Samples:
        """The rest, with a pause of ``pause`` seconds at its end; ``broken_off`` speech is faded out first."""
        if not self.begun:
            return _nothing()
        wanted = round(pause * self._rate)
        rest = np.concatenate([self._held, self._part])
        loud_part = len(self._part) > 0 and silent_frames(self._part, len(self._part)) == [False]
        if broken_off and loud_part:
            fade = min(round(_FADE_S * self._rate), len(rest))
            rest[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        if loud_part:
            return np.concatenate([rest, np.zeros(wanted, dtype=np.float32)])
        return np.concatenate([rest[:wanted], np.zeros(max(0, wanted - len(rest)), dtype=np.float32)])


def _nothing() -> Samples:
    return np.zeros(0, dtype=np.float32)
