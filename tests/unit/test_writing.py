"""Files to be written: emptied, private where they must be, and refused beforehand without a trace."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from pipeline.errors import BadInput, DeviceError
from pipeline.sinks.writing import RecordFile, cannot_write, check_file, check_folder, create


@pytest.mark.parametrize(("private", "mode"), [(True, 0o600), (False, 0o644)])
def test_an_older_file_is_emptied_and_only_what_is_private_is_closed_to_others(
    tmp_path: Path, private: bool, mode: int
) -> None:
    path = tmp_path / "log"
    path.write_text("what I had")
    path.chmod(0o644)
    os.close(create(path, private=private))
    assert path.read_text() == ""
    assert stat.S_IMODE(path.stat().st_mode) == mode
    os.close(create(tmp_path / "new", private=private))
    assert bool((tmp_path / "new").stat().st_mode & stat.S_IROTH) is not private


def test_a_file_that_is_refused_is_left_open_nowhere(tmp_path: Path) -> None:
    descriptor = create(tmp_path / "log", private=False)
    before = os.listdir("/proc/self/fd")
    for refused in (lambda path: create(path, private=True), check_file):
        with pytest.raises(DeviceError, match="another session is writing"):
            refused(tmp_path / "log")
    assert os.listdir("/proc/self/fd") == before
    os.close(descriptor)


def test_what_is_checked_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("what I had")
    for path in (tmp_path / "log", tmp_path / "new"):
        check_file(path)
    for path in (tmp_path, tmp_path / "new", tmp_path / "new" / "folder"):
        check_folder(path)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["what I had"]


def test_what_cannot_be_is_refused_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for check, path in (
        (check_file, tmp_path),
        (check_file, tmp_path / "missing" / "log"),
        (check_folder, tmp_path / "file" / "folder"),
        (check_folder, Path("/proc/no/folder")),
    ):
        with pytest.raises(DeviceError, match=f"^cannot write {path}: "):
            check(path)


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    before = os.listdir("/proc/self/fd")
    for refuse in (check_file, lambda path: create(path, private=True), RecordFile):
        for path in (tmp_path / "pipe", tmp_path / "link"):
            with pytest.raises(BadInput) as refused:
                refuse(path)
            assert str(refused.value) == f"{path} is a named pipe, and only files are written; try: the name of a file"
    assert os.listdir("/proc/self/fd") == before


def test_a_record_that_cannot_be_written_is_told_and_the_file_is_given_back(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    file = RecordFile(tmp_path / "full")
    with pytest.raises(DeviceError, match="full any more: No space left on device; what was written stays valid"):
        file.add("a record\n")
    file.close()
    file.close()


def test_a_record_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RecordFile(tmp_path / "log")
    file.add("one\n")
    write = os.write
    with monkeypatch.context() as disk:
        disk.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
        with pytest.raises(DeviceError, match="the disk is full"):
            file.add("two\n")
    file.add("three\n")
    file.close()
    assert (tmp_path / "log").read_text() == "one\nthree\n"


@pytest.mark.parametrize(
    ("name", "code", "step"),
    [
        ("folder", errno.EISDIR, "the name of a file"),
        ("file/log", errno.ENOTDIR, "another name: a file has the name of the folder"),
        ("missing/log", errno.ENOENT, "mkdir -p {}/missing"),
        ("log", errno.EACCES, "a folder you may write to, or chmod u+w {}"),
        ("file", errno.EACCES, "a folder you may write to, or chmod u+w {}/file"),
        ("log", errno.ENOSPC, "another disk, or another place"),
    ],
)
def test_what_to_do_depends_on_what_went_wrong(tmp_path: Path, name: str, code: int, step: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    error = OSError(code, os.strerror(code))
    assert str(cannot_write(tmp_path / name, error)).endswith(f"; try: {step.format(tmp_path)}")
