"""Audio that a server may have to be sent again: all since the last unit that it gave."""

from __future__ import annotations

BYTES_PER_MS = 48  # 24 kHz, PCM16


class Replay:
    """A stretch of mono PCM16 at 24 kHz by its place in stream time; `next` reads on, `rewind` goes back."""

    def __init__(self) -> None:
        self._pcm = bytearray()
        self._base = 0  # place of the first byte that is kept
        self._place = 0  # of what is sent next

    @property
    def unsent_s(self) -> float:
        """Seconds that wait to be sent."""
        return (self._base + len(self._pcm) - self._place) / BYTES_PER_MS / 1000

    @property
    def place_ms(self) -> int:
        """Stream time of what is sent next."""
        return self._place // BYTES_PER_MS

    def add(self, pcm: bytes) -> None:
        """Add what was heard."""
        self._pcm += pcm

    def next(self, most_ms: int) -> bytes:
        """Take the next piece to send."""
        first = self._place - self._base
        piece = bytes(self._pcm[first : first + most_ms * BYTES_PER_MS])
        self._place += len(piece)
        return piece

    def rewind(self, ms: int) -> int:
        """Go back to a stream time, or as near as is kept; gives where that is."""
        end = self._base + len(self._pcm)
        self._place = min(max(ms * BYTES_PER_MS, -(-self._base // BYTES_PER_MS) * BYTES_PER_MS), end // 2 * 2)
        return self.place_ms

    def forget(self, ms: int) -> None:
        """Forget what came before a stream time and is sent."""
        first = min(ms * BYTES_PER_MS, self._place) - self._base
        if first > 0:
            del self._pcm[:first]
            self._base += first

    def drop(self, keep_s: float) -> tuple[float, float] | None:
        """Drop the oldest beyond ``keep_s`` of what is not sent; gives its start and end in seconds."""
        over_ms = int((self.unsent_s - keep_s) * 1000)
        if over_ms <= 0:
            return None
        start = self._place
        self._place += over_ms * BYTES_PER_MS
        self.forget(self.place_ms)
        return start / BYTES_PER_MS / 1000, self._place / BYTES_PER_MS / 1000
