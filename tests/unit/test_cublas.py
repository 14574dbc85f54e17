"""The cuBLAS of a Python package, which the dynamic linker does not look for."""

from __future__ import annotations

import ctypes
import sys

import pytest

from models.cuda import load_cublas
from pipeline.errors import ModelError


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """A folder of packages, the second of the path, with cuBLAS in it."""
    folder = tmp_path / "packages" / "nvidia" / "cublas" / "lib"
    folder.mkdir(parents=True)
    for name in ("libcublas.so.12", "libcublasLt.so.12"):
        (folder / name).write_bytes(b"no library")
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "packages")])
    return folder


def test_cublas_of_a_package_is_loaded_for_all_libraries_after_what_it_needs(packages, monkeypatch):
    loaded = []
    monkeypatch.setattr(ctypes, "CDLL", lambda path, mode: loaded.append((path, mode)))
    load_cublas()
    assert loaded == [
        (str(packages / name), ctypes.RTLD_GLOBAL) for name in ("libcublasLt.so.12", "libcublas.so.12")
    ]  # fmt: skip


def test_without_the_package_the_linker_finds_what_the_system_has(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(ctypes, "CDLL", lambda path, mode: pytest.fail(path))
    load_cublas()


def test_a_damaged_library_is_an_error_that_says_how_to_replace_it(packages):
    with pytest.raises(ModelError, match="cuBLAS") as raised:
        load_cublas()
    assert "nvidia-cublas-cu12" in raised.value.hint
