"""Tensors are read out of what torch saved, in both formats, and nothing else is."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from models.torch_file import read_tensors
from pipeline.errors import ModelError

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_saved_is_read(tmp_path, zipped):
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    state = {"whole": base, "view": base[1:3, ::2], "turned": base.T, "count": torch.tensor([7]), "half": base.half()}
    torch.save({"step": 3, "state": state}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    found = read_tensors(tmp_path / "a.pt", "state")
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.numpy())


class Runs:
    def __reduce__(self):
        return (print, ("it ran",))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused(tmp_path, capsys, zipped):
    torch.save({"weight": Runs()}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError, match=r"__builtin__\.print"):
        read_tensors(tmp_path / "a.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"words", pickle.dumps({"weight": 1})])
def test_another_file_is_no_checkpoint(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(ModelError, match="no tensors of torch"):
        read_tensors(tmp_path / "a.pt")


def test_a_file_that_was_cut_short_is_refused(tmp_path):
    torch.save({"weight": torch.ones(1000)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(whole[:-100])
    with pytest.raises(ModelError):
        read_tensors(tmp_path / "a.pt")
