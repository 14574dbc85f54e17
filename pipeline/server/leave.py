"""Ends of a connection, with the codes of their close frames."""

from __future__ import annotations

DONE, GOING_AWAY, WRONG, FAILED = 1000, 1001, 1008, 1011
EXPIRED, SLOW, TOO_FAST, IDLE, GONE = 4001, 4008, 4029, 4031, 1006
LOST = {1005, 1006}  # no close frame came, or one without a code


class Leave(Exception):
    """The connection ends, with this code."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


def first_of(group: BaseExceptionGroup[Leave]) -> Leave:
    """The first of the ends that came together, but a said one before one that was only seen."""
    leaves = [error for error in group.exceptions if isinstance(error, Leave)]
    return min(leaves, key=lambda leave: leave.code == GONE)
