"""What to tell of a model that could not be fetched: whether it was the disk or the connection, in one line."""

from __future__ import annotations

import errno

from pipeline.errors import BadInput, ModelError, NetworkError, TranslateLiveError, told

ANOTHER_DISK = "HF_HOME=FOLDER on another disk"
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}


def not_fetched(name: str, error: BaseException, elsewhere: str) -> TranslateLiveError:
    """The error for a download of ``name`` that raised ``error``; ``elsewhere`` is the step for a disk that takes no more.

    Libraries wrap what the system said, and each wrapping repeats all that is in it: a user reads the innermost.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    if isinstance(error, RepositoryNotFoundError):
        return BadInput(f"there is no model {name!r} on the model hub, or not for everybody")
    causes = _causes(error)
    reason = getattr(causes[-1], "strerror", None) or told(causes[-1])
    if any(getattr(cause, "errno", None) in UNWRITABLE for cause in causes):
        return ModelError(f"cannot write the model {name}: {reason}; try: {elsewhere}")
    return NetworkError(
        f"the download of {name} failed: {reason}; try: the same command again when the connection works; it goes on where "
        "it stopped"
    )


def _causes(error: BaseException) -> list[BaseException]:
    """A library's error, what it was raised for, in whichever of four ways it says so, and so on; the innermost is last."""
    seen: list[BaseException] = []
    found: BaseException | None = error
    while found is not None and found not in seen:
        seen.append(found)
        wrapped = [part for part in (getattr(found, "reason", None), *found.args) if isinstance(part, BaseException)]
        found = next(iter(wrapped), None) or found.__cause__ or found.__context__
    return seen
