"""Checkpoints and single files of the model hub: found in its cache, and downloaded into it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from threading import Event

from models.downloads import FRUITLESS_TRIES, UNWRITABLE, folder_size, not_fetched
from pipeline.contracts import Progress
from pipeline.errors import FETCH_MODELS, Refused

ANOTHER_DISK = "HF_HOME=FOLDER on another disk"
POLL_S = 0.2


def hub_folder(model: str, last: str) -> Path | None:
    """Find a checkpoint: ``model`` itself if it is a folder, or its newest snapshot in the hub's cache with ``last``."""
    folder = Path(model).expanduser()
    return folder if (folder / "config.json").exists() else newest_snapshot(model, last)


def newest_snapshot(repository: str, last: str, cache: str = "") -> Path | None:
    """Find the newest snapshot in the hub's cache that has ``last``: the file that came last, after all others."""
    snapshots = _snapshots(repository, cache).glob("*")  # of links, to files that are shared where a commit kept them
    found = sorted((path for path in snapshots if (path / last).exists()), key=lambda path: (path / last).lstat().st_mtime)
    return found[-1] if found else None


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """Keep the hub's library from logging each failed try at length: its error is worded by `not_fetched`."""
    from huggingface_hub.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def fetch_snapshot(
    model: str, files: Sequence[str], last: str, progress: Progress, *, cache: str = "", elsewhere: str = ANOTHER_DISK
) -> None:
    """Download the ``files`` (patterns) of a model from the hub, ``last`` after all others, as `hub_folder` asks.

    All are of the newest commit: none is pinned (docs/architecture.md, Model files). Weights in torch's own format only
    where there are no others. Raises typed errors as `not_fetched` words them.
    """
    from huggingface_hub import HfApi

    what = f"downloading {model}"
    try:
        with _quiet_hub():
            info = HfApi().model_info(model, files_metadata=True)
            found = info.siblings or []
            wanted = [file for file in found if any(fnmatch(file.rfilename, pattern) for pattern in files)]
            if not any(file.rfilename.endswith((".safetensors", ".bin")) for file in wanted):
                wanted += [file for file in found if fnmatch(file.rfilename, "pytorch_model*.bin")]
            names = sorted((file.rfilename for file in wanted), key=lambda name: name == last)
            total, blobs = sum(file.size or 0 for file in wanted) or 1, _snapshots(model, cache).with_name("blobs")
            with _watched(lambda: progress(what, min(0.99, folder_size(blobs) / total))):
                _fetch_each(model, names, info.sha, blobs)
    except Exception as error:  # its errors have no common type: requests, httpx, OSError, its own
        raise not_fetched(model, error, elsewhere) from error
    progress(what, 1.0)


@contextmanager
def _watched(tell: Callable[[], None]) -> Iterator[None]:
    """Tell again and again, on a thread, so that an interruption ends what is watched, which has this one."""
    over = Event()

    def watch() -> None:
        while not over.wait(POLL_S):
            tell()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(watch)
        try:
            yield
        finally:
            over.set()


def _fetch_each(model: str, names: Sequence[str], commit: str | None, blobs: Path) -> None:
    """Download file by file; a connection that is cut is opened again until several tries have brought nothing."""
    from huggingface_hub import hf_hub_download

    fruitless, left = 0, [*reversed(names)]
    while left:
        before = folder_size(blobs)
        try:
            hf_hub_download(model, left[-1], revision=commit, cache_dir=blobs.parents[1])
            fruitless, _ = 0, left.pop()
        except Exception as error:
            fruitless = 0 if folder_size(blobs) > before else fruitless + 1
            if fruitless == FRUITLESS_TRIES or getattr(error, "errno", None) in UNWRITABLE:
                raise


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a repository on the hub at a pinned revision."""

    repository: str
    path: str
    revision: str

    @property
    def local(self) -> Path | None:
        """Return its path in the hub's cache on this machine; none if it is not there."""
        found = _snapshots(self.repository) / self.revision / self.path
        return found if found.exists() else None

    def fetch(self) -> None:
        """Download it unless it is here; raises `Refused` with the code ``gated`` where its terms were not accepted."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError

        try:
            with _quiet_hub():
                hf_hub_download(self.repository, self.path, revision=self.revision)
        except GatedRepoError as error:
            raise gated(self.repository) from error
        except (HfHubHTTPError, OSError) as error:
            raise not_fetched(f"{self.repository}/{self.path}", error, ANOTHER_DISK) from error


def gated(repository: str) -> Refused:
    """Make the error for files that their authors give only to who has accepted their terms, with the way to do so."""
    return Refused(
        f"the model hub gives {repository} only to who has accepted its terms",
        hint=f"accept them at https://huggingface.co/{repository}, log in with `hf auth login` (or set HF_TOKEN), and "
        f"{FETCH_MODELS} again",
        code="gated",
    )


def _snapshots(repository: str, cache: str = "") -> Path:
    """Return where the hub's library, which may not be installed, keeps the snapshots of a repository."""
    env = os.environ.get
    home = env("HF_HOME", f"{env('XDG_CACHE_HOME', '~/.cache')}/huggingface")
    cache = cache or env("HF_HUB_CACHE", env("HUGGINGFACE_HUB_CACHE", f"{home}/hub"))
    return Path(os.path.expandvars(cache)).expanduser() / f"models--{repository.replace('/', '--')}" / "snapshots"
