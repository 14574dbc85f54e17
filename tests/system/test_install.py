"""The wheel: built from this tree, it works in an empty folder, profiles and word lists included."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LOOK = """
import json, sys
from pathlib import Path
import models, pipeline
from pipeline.profiles.profile import load_profile, profile_names, profiles_folder
from pipeline.languages import language_name
print(json.dumps({
    "from": [pipeline.__file__, models.__file__, str(profiles_folder())],
    "profiles": profile_names(),
    "summary": load_profile("cpu").summary,
    "name": language_name("es"),
    "tops": sorted(path.name for path in Path(sys.path[0]).iterdir()),
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds nothing but the installed wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    do(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder))
    (wheel,) = folder.glob("*.whl")
    target = folder / "installed"
    do(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(target), str(wheel))
    return target


def do(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def run(installed: Path, *words: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(installed)}
    ended = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=installed.parent, env=environment, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_its_command_shows_help(installed):
    assert "translate-live --mic --to es" in run(installed, str(installed / "bin" / "translate-live"), "--help")


def test_it_finds_its_own_profiles_and_data(installed):
    found = json.loads(run(installed, "-c", LOOK.replace("sys.path[0]", f"{str(installed)!r}")))
    assert all(place.startswith(str(installed)) for place in found["from"])
    assert found["profiles"] == sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    assert found["summary"]
    assert found["name"] == "Spanish"
    assert {"pipeline", "models"} <= set(found["tops"])
    assert not {"tests", "configs", "benchmarks"} & set(found["tops"])


def test_the_source_archive_can_run_the_demo_and_the_benchmarks(tmp_path):
    do(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", str(tmp_path))
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.partition("/")[2] for name in files.getnames()}
    talk = {str(path.relative_to(ROOT)) for path in (ROOT / "benchmarks" / "data" / "speech").iterdir()}
    assert talk
    assert talk | {"Makefile", "configs/cpu.yaml", "benchmarks/evaluators/check.py"} <= names
