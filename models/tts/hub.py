"""Checkpoints on the model hub: where one lies on this machine, and its download."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from models.downloads import ANOTHER_DISK, not_fetched
from pipeline.contracts import Progress


def hub_folder(model: str, last: str) -> Path | None:
    """Find a checkpoint: ``model`` itself if it is a folder, or its newest snapshot in the hub's cache with ``last``.

    ``last`` is a file that came last, so that a download that was broken off is not taken for a checkpoint.
    """
    folder = Path(model).expanduser()
    if (folder / "config.json").exists():
        return folder
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    snapshots = (cache / f"models--{model.replace('/', '--')}" / "snapshots").glob("*")
    found = sorted((path for path in snapshots if (path / last).exists()), key=lambda path: (path / last).stat().st_mtime)
    return found[-1] if found else None


def fetch_snapshot(model: str, files: Sequence[str], progress: Progress) -> None:
    """Download the ``files`` (patterns) of a model from the hub; raises typed errors as `not_fetched` words them."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    progress(f"downloading {model}", 0.0)
    try:
        snapshot_download(model, allow_patterns=list(files))
    except (HfHubHTTPError, OSError) as error:
        raise not_fetched(model, error, ANOTHER_DISK) from error
    progress(f"downloaded {model}", 1.0)
