"""The installed command `translate-live`: a module of its own, to name a foreign package `pipeline` that hides ours."""

from __future__ import annotations

import sys
from importlib.util import find_spec

MODEL_ERROR = 4  # the exit code of `pipeline.errors.ModelError`


def main() -> int:
    """Run the command line; gives its exit code."""
    if not _is_ours():
        found = find_spec("pipeline")
        place = found.origin or list(found.submodule_search_locations or ()) if found else "nothing"
        print(f"error: another package named pipeline, {place}, hides that of translate-live", file=sys.stderr)
        print("try: PYTHONPATH without it, or an environment of translate-live's own", file=sys.stderr)
        return MODEL_ERROR
    from pipeline.cli import main as command_line  # noqa: PLC0415

    return command_line()


def _is_ours() -> bool:
    try:
        return find_spec("pipeline.cli") is not None and find_spec("pipeline.stages") is not None
    except ModuleNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main())
