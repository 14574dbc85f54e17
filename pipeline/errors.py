"""Typed errors. Each says what was wrong, what is valid and what to do next, and knows its exit code."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from math import inf, isfinite

FETCH_MODELS = "fetch the model files"
"""The hint of an error, and the fix of a `Missing`, that downloading model files mends; commands word it."""


class TranslateLiveError(Exception):
    """Anything a user can be told without a traceback.

    ``message`` says what was wrong and what is valid, ``hint`` the next step (empty: none), and ``code`` names the kind of
    error for programs. A hint names settings (``pace.max_lag_s=6``), never options of a command: commands word it.
    """

    exit_code = 1
    code = "error"

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code or type(self).code

    def __str__(self) -> str:
        return f"{self.message}; try: {self.hint}" if self.hint else self.message


class BadInput(TranslateLiveError):
    """An argument, file or setting that cannot be used."""

    exit_code = 2
    code = "bad_input"


class SeveralMistakes(BadInput):
    """A file that cannot be used for several mistakes, each of which is told on a line of its own."""

    def __init__(self, what: str, mistakes: Sequence[str]) -> None:
        super().__init__("\n".join([f"{what}:", *mistakes]))
        self.what = what
        self.mistakes = mistakes


class Refused(BadInput):
    """A request the chosen backend cannot fulfil; the message says which can."""

    code = "refused"


class DeviceError(TranslateLiveError):
    """An audio device or output file that cannot be used."""

    exit_code = 3
    code = "device"


class ModelError(TranslateLiveError):
    """A model, helper program or accelerator that is missing or broken."""

    exit_code = 4
    code = "model"


class NetworkError(TranslateLiveError):
    """A download or connection that failed."""

    exit_code = 5
    code = "network"


class StageFailed(ModelError):
    """A stage ended the session; its cause is the error it raised."""

    def __init__(self, stage: str, cause: BaseException) -> None:
        hint = cause.hint if isinstance(cause, TranslateLiveError) else ""
        code = cause.code if isinstance(cause, TranslateLiveError) else ""
        why = getattr(cause, "message", "") or message_of(cause)
        of_user = isinstance(cause, BadInput | NetworkError)  # it says what is wrong, which is not in a stage
        super().__init__(why if of_user else f"the {stage} stage failed: {why}", hint=hint, code=code)
        self.stage = stage
        self.exit_code = getattr(cause, "exit_code", self.exit_code)


_OF_SYSTEM: dict[int, tuple[type[TranslateLiveError], str]] = {
    errno.ENAMETOOLONG: (BadInput, "a shorter name"),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO), (DeviceError, "another disk, or another place")),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), (DeviceError, "ulimit -n 4096, or fewer files at once")),
    **dict.fromkeys((errno.ENOMEM, errno.EAGAIN), (ModelError, "close other programs, or a smaller model")),
}
"""Errors of the system that are none of ours, as what they are told, and the step they advise."""


def of_system(error: BaseException) -> TranslateLiveError | None:
    """Give the error for what the system is out of (files, memory, disk), whatever was tried then; none for others."""
    if isinstance(error, MemoryError):
        return ModelError("out of memory", hint=_OF_SYSTEM[errno.ENOMEM][1])
    if not isinstance(error, OSError) or error.errno not in _OF_SYSTEM:
        return None
    kind, step = _OF_SYSTEM[error.errno]
    return kind(f"{error.strerror}{f' ({error.filename})' if error.filename else ''}", hint=step)


def message_of(error: BaseException) -> str:
    """Give what an error says, or at least its name."""
    return str(error) or type(error).__name__


def check_range(name: str, value: float, low: float, high: float = inf) -> None:
    """Raise `BadInput` unless a setting is finite and within its range, limits included."""
    if not (isfinite(value) and low <= value <= high):
        valid = f"{low:g} to {high:g}" if high < inf else f"{low:g} or more"
        raise BadInput(f"{name} cannot be {value:g}; valid: {valid}")


def nearest(wrong: str, valid: Iterable[str]) -> str:
    """List valid names for an error message, the nearest first as a question."""
    names = sorted(valid)
    hint = did_you_mean(wrong, names)
    return f"{hint}valid: {', '.join(names) or 'none'}"


def did_you_mean(wrong: str, valid: Iterable[str]) -> str:
    """Ask for the nearest valid name, or give nothing; dashes before options do not count."""
    names = {name.lstrip("-"): name for name in valid}
    close = get_close_matches(wrong.lstrip("-"), names, n=1, cutoff=0.6)
    return f"did you mean {names[close[0]]!r}? " if close else ""
