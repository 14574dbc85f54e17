"""The benchmark command line: commands are found, results are whole, errors are short and have their exit codes."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.environment import capture
from pipeline.errors import DeviceError

SPEECH = Path(__file__).parents[2] / "benchmarks" / "data" / "speech"
COMMAND = '''"""Measures 100 % of nothing.

More.
"""
import sys
BROKEN_IMPORT = __import__("{imports}")
def add_arguments(parser):
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--fail")
def run(arguments):
    if arguments.fail:
        arguments.save({{"answer": 6}})
        from pipeline import errors
        raise getattr(errors, arguments.fail, ValueError)("it broke")
    return {{"answer": 42, "unknown": float("nan")}}
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of commands beside the real package."""
    (tmp_path / "some_thing.py").write_text(COMMAND.format(imports="json"))
    (tmp_path / "heavy.py").write_text(COMMAND.format(imports="no_such_module_exists"))
    (tmp_path / "library.py").write_text('"""No command."""\ndef run(arguments): ...\n')
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    monkeypatch.setattr(sys.modules["benchmarks"], "__path__", [str(tmp_path)])
    yield tmp_path
    sys.modules.pop("benchmarks.some_thing", None)


def test_commands_are_found_without_importing_them(folder, capsys):
    assert bench.find_commands(folder) == {
        "some-thing": "Measures 100 % of nothing.",
        "heavy": "Measures 100 % of nothing.",
    }
    with pytest.raises(SystemExit) as stop:
        bench.main(["--help"])
    assert stop.value.code == 0
    assert "Measures 100 % of nothing." in capsys.readouterr().out


def test_a_result_holds_figures_and_environment(folder, tmp_path):
    file = tmp_path / "new" / "result.json"
    assert bench.main(["some-thing", "--json", str(file)]) == 0
    result = json.loads(file.read_text(), parse_constant=pytest.fail)
    assert result["figures"] == {"answer": 42.0, "unknown": None}
    environment = result["environment"]
    assert environment["settings"]["seed"] == 7
    assert environment["command"][3:] == ["some-thing", "--json", str(file)]
    assert environment["hardware"]["cores"] >= 1
    assert environment["packages"]["numpy"]
    assert "argv" not in environment["settings"]
    assert [path.name for path in file.parent.iterdir()] == ["result.json"]


def test_a_run_keeps_the_words_that_started_it(tmp_path):
    data = ["--set", "folder", "--from", "en", "--to", "es", "--limit", "1"]
    argv = ["run", str(SPEECH), *data, "--system", "scripted", "--clock", "virtual", "--out", str(tmp_path / "run")]
    assert bench.main(argv) == 0
    about = json.loads((tmp_path / "run" / "run.json").read_text())
    assert about["environment"]["command"][3:] == argv
    assert not {"argv", "save"} & about["environment"]["settings"].keys()


def test_how_threads_wait_is_kept_for_it_moves_every_time(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("RAYON_NUM_THREADS", "3")
    monkeypatch.setenv("SECRET_TOKEN", "no")
    threads = capture()["threads"]
    assert (threads["OMP_WAIT_POLICY"], threads["RAYON_NUM_THREADS"]) == ("PASSIVE", "3")
    assert "SECRET_TOKEN" not in threads


def test_what_a_command_measured_before_it_failed_is_kept(folder, tmp_path):
    file = tmp_path / "result.json"
    assert bench.main(["some-thing", "--fail", "ModelError", "--json", str(file)]) != 0
    result = json.loads(file.read_text())
    assert result["figures"] == {"answer": 6.0}
    assert result["environment"]["settings"]["seed"] == 7


@pytest.mark.parametrize(("name", "code"), [("BadInput", 2), ("DeviceError", 3), ("ModelError", 4), ("Other", 1)])
def test_errors_have_exit_codes_and_no_traceback(folder, capsys, name, code):
    assert bench.main(["some-thing", "--fail", name]) == code
    message = capsys.readouterr().err
    assert "it broke" in message
    assert "Traceback" not in message
    assert bench.main(["some-thing", "--fail", name, "-v"]) == code
    assert "Traceback" in capsys.readouterr().err


def test_a_result_that_cannot_be_written_is_told_before_measuring(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert (
        bench.main(["some-thing", "--fail", "Other", "--json", str(tmp_path / "file" / "x.json")]) == DeviceError.exit_code
    )
    assert "it broke" not in capsys.readouterr().err


def test_the_old_result_stays_when_the_disk_is_full(folder, tmp_path, monkeypatch):
    file = tmp_path / "result.json"
    file.write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert bench.main(["some-thing", "--json", str(file)]) == DeviceError.exit_code
    assert file.read_text() == "old"
    assert not list(tmp_path.glob(".result*"))


def test_interrupting_is_130(folder, monkeypatch):
    def interrupt(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "measure", interrupt)
    assert bench.main([]) == 130
