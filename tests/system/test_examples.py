"""The promises of the documentation: the examples run, its names can be imported, its tables and links hold."""

import io
import json
import os
import re
import runpy
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pipeline
from pipeline.cli import main
from pipeline.profiles.backends import BackendChoice
from pipeline.profiles.profile import Profile
from tests.scripted import Talk
from tests.weights import needs

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TALK = ROOT / "benchmarks" / "data" / "speech" / "austen-0880.flac"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks" / "README.md"])


def scripted() -> Profile:
    return Profile(
        "scripted",
        "",
        {stage: BackendChoice("tests.scripted_backends:Scripted") for stage in ("recognizer", "translator")}
        | {"synthesizer": BackendChoice("tests.scripted_backends:ScriptedVoice")},
    )


def run(*words: str, path: str = str(ROOT), cwd: Path = ROOT, **more) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run([sys.executable, *words], capture_output=True, cwd=cwd, env=environment, check=False, **more)


async def test_a_file_becomes_speech_captions_and_text(tmp_path, capsys):
    example = runpy.run_path(str(EXAMPLES / "translate_file.py"))
    await example["translate"](TALK, "es", tmp_path / "talk.es.wav", scripted())
    lines = capsys.readouterr().out.splitlines()
    words = " ".join(lines).split()
    assert words == [f"WORD{number}" for number in range(len(words))]
    assert len(lines) > 1
    samples, rate = soundfile.read(tmp_path / "talk.es.wav")
    assert len(samples) / rate >= soundfile.info(TALK).duration
    assert np.any(samples)
    captions = (tmp_path / "talk.es.vtt").read_text()
    assert "WORD0" in captions
    assert "word0" in captions


def test_the_code_of_the_readme_runs(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code
    here = code[1].replace('"cpu"', "PROFILE").replace('"talk.mp3"', repr(str(TALK))).replace('("pt"', '("es"')
    monkeypatch.chdir(tmp_path)
    exec(compile(here.replace('spoken="pt"', 'spoken="es"'), "README.md", "exec"), {"PROFILE": scripted()})
    assert soundfile.info("talk.pt.wav").duration >= soundfile.info(TALK).duration
    assert "WORD0" in Path("talk.vtt").read_text()


async def test_pushed_audio_becomes_events_as_json(capsys):
    example = runpy.run_path(str(EXAMPLES / "push_audio.py"))
    seconds = 5
    await example["translate"](io.BytesIO(bytes(2 * 16_000 * seconds + 1)), "es", scripted())
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    units = [event for event in events if event["event"] == "ReadingUnit"]
    assert "".join(unit["text"] for unit in units).split()[:2] == ["WORD0", "WORD1"]
    heard = [event["heard_ns"] for event in events if event["event"] == "Transcript"]
    assert heard[-1] == seconds * 10**9


@pytest.mark.slow
@needs("whisper-base", "bergamot-enpt", "kokoro")
def test_a_recording_is_translated_by_the_cpu_profile(tmp_path):
    done = run(str(EXAMPLES / "translate_file.py"), str(TALK), "pt", str(tmp_path / "talk.pt.wav"), text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    assert "jovem" in done.stdout.lower()
    samples, rate = soundfile.read(tmp_path / "talk.pt.wav")
    assert np.abs(samples).max() > 0.05
    assert len(samples) / rate < 3 * soundfile.info(TALK).duration


@pytest.fixture
def documented(monkeypatch):
    """Modules of what a page shows, importable."""

    def make(page: str, name: str) -> types.ModuleType:
        code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
        assert code
        module = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(code[1], page, "exec"), module.__dict__)
        return module

    return make


async def test_the_backend_and_the_sink_of_the_documentation_work(documented, tmp_path, monkeypatch):
    documented("add-a-backend.md", "my_models")
    sinks = documented("add-a-sink.md", "my_sinks")
    monkeypatch.setenv("MY_EVENTS", str(tmp_path / "events.jsonl"))
    profile = scripted()
    profile.stages["translator"] = BackendChoice("my_models:Upper", {"mark": "!"})
    queue = pipeline.SinkQueue(sinks.JsonFile())
    async with pipeline.Engine.load(profile) as engine:
        session = await engine.session(pipeline.SessionRequest(("es",)))
        await session.run(Talk(3.0, live=False), [queue])
    assert queue.error is None
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    texts = [event["text"] for event in events if event["event"] == "ReadingUnit"]
    assert texts[0].startswith("WORD0")
    assert texts[-1].endswith("!")
    assert not {"AudioChunk", "SpeechChunk"} & {event["event"] for event in events}


@pytest.fixture
def command(documented, tmp_path, monkeypatch):
    """Run the main command on scripted models, with the modules of the documentation at hand."""
    documented("add-a-backend.md", "my_models")
    documented("add-a-sink.md", "my_sinks")
    monkeypatch.setenv("MY_EVENTS", str(tmp_path / "mine.jsonl"))
    profile = tmp_path / "scripted.yaml"
    uses = {"recognizer": "Scripted", "translator": "Scripted", "synthesizer": "ScriptedVoice"}
    stages = {stage: {"use": f"tests.scripted_backends:{use}"} for stage, use in uses.items()}
    profile.write_text(json.dumps({"summary": "scripted models", **stages}))
    return lambda *words: main([str(TALK), "--from", "en", "--to", "es", "--config", str(profile), "--no-speech", *words])


def test_the_commands_of_the_guides_run(command, tmp_path, capsys):
    assert command("--set", "translator.use=my_models:Upper", "--sink", "my_sinks:JsonFile") == 0
    assert capsys.readouterr().out.startswith("WORD0")
    events = [json.loads(line) for line in (tmp_path / "mine.jsonl").read_text().splitlines()]
    assert {"Transcript", "ReadingUnit"} <= {event["event"] for event in events}


@pytest.mark.parametrize("name", ["my_sinks:Missing", "no_such_module:Sink", "my_sinks"])
def test_a_sink_that_is_none_is_refused_before_anything_is_heard(command, tmp_path, capsys, name):
    assert command("--sink", name) == 2
    said = capsys.readouterr()
    assert f"error: no sink {name!r}" in said.err
    assert said.out == ""
    assert not (tmp_path / "mine.jsonl").exists()


def test_every_public_name_can_be_imported_and_no_other():
    for name in pipeline.__all__:
        assert getattr(pipeline, name) is not None
    assert set(pipeline.__all__) <= set(dir(pipeline))
    with pytest.raises(ImportError):
        from pipeline import Nothing  # noqa: F401


def test_help_imports_nothing_that_is_slow():
    code = "import sys\nfrom pipeline.cli import main\ntry: main(['--help'])\nfinally: print(*sys.modules, file=sys.stderr)"
    loaded = set(run("-c", code, text=True).stderr.split())
    assert "pipeline.cli" in loaded
    assert not loaded & {"numpy", "msgspec", "asyncio", "rich", "yaml", "models", "pipeline.engine", "pipeline.events"}


@pytest.fixture
def foreign(tmp_path):
    """A folder with a package of a name that is given."""

    def make(name: str) -> str:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
        return os.pathsep.join([str(tmp_path), str(ROOT)])

    return make


def test_foreign_models_are_named_in_one_error(foreign, tmp_path):
    done = run("-m", "pipeline", "languages", path=foreign("models"), cwd=tmp_path, text=True)
    error, step = done.stderr.splitlines()
    assert done.returncode == 4
    assert (
        error
        == f"error: another package named models, {tmp_path / 'models'}, hides that of translate-live, {ROOT / 'models'}"
    )
    assert step.startswith("try: ")
    assert done.stdout == ""


def test_foreign_models_are_named_to_a_program_too(foreign, tmp_path):
    code = (
        "from pipeline import load_profile\ntry: load_profile('cpu').backends\nexcept Exception as error: print(error.code)"
    )
    done = run("-c", code, path=foreign("models"), cwd=tmp_path, text=True)
    assert done.stdout.split() == ["shadowed"], done.stderr


def test_a_foreign_pipeline_is_named_in_one_error(foreign, tmp_path):
    path = foreign("pipeline")
    done = run("-m", "translate_live", "--help", path=path, cwd=tmp_path, text=True)
    error, step = done.stderr.splitlines()
    assert done.returncode == 4
    assert str(tmp_path / "pipeline" / "__init__.py") in error
    assert step.startswith("try: ")
    assert run("-m", "translate_live", "--version", text=True).stdout.startswith("translate-live ")


def test_the_picture_of_the_live_view_is_what_the_view_draws(tmp_path):
    done = run("docs/live_view.py", str(tmp_path / "view.svg"), text=True)
    assert done.returncode == 0, done.stderr

    def shown(file: Path) -> list[str]:
        return re.findall(r">([^<>]*\w[^<>]*)</text>", file.read_text(encoding="utf-8"))

    assert shown(tmp_path / "view.svg") == shown(ROOT / "docs" / "live-view.svg")
    assert "url(http" not in (ROOT / "docs" / "live-view.svg").read_text().replace('"', "")


def test_the_table_of_events_names_every_field_and_no_other():
    from pipeline import events
    from pipeline.sinks.event_json import encode

    samples = np.zeros(160, np.float32)
    word = events.Word(" a", 0.0, 1.0, 1.0, "s")
    made = [
        events.AudioChunk(samples, 16_000, 0.0),
        events.Transcript((word,), (), "en", 1.0, 0.0, ended=False),
        events.ReadingUnit(0, (word,), "a", "es", 0.0, 1.0, 1.0),
        events.Draft("a", "es"),
        events.SpeechChunk(0, samples, 16_000, last=True),
        events.Busy("speak", 1.0),
        events.Lag(0, 1.0, 1.0, 0.0, 1.0, 0),
        events.Gap(0.0, 1.0, "r"),
        events.Skipped(0, 1, "r"),
        events.LanguageChanged("en", 0.0),
        events.DeviceLost("d"),
        events.DeviceBack("d"),
        events.Fault("speak", "m", fatal=False),
        events.SpeakerFound("s", 0.0),
        events.Seen(("n",), 0.0),
    ]
    page = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    documented = {}
    for section in page.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        fields = set(re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE))
        for name in re.findall(r"`(\w+)`", title):
            documented[name] = fields
    for event in made:
        record = encode(event)
        assert documented.pop(record["event"]) == set(record) - {"event"}, record["event"]
    assert documented.pop("word") == set(encode(made[1])["committed"][0])
    assert not documented


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_paths_that_the_documentation_names_are_there():
    named = re.compile(r"`((?:pipeline|models|configs|tests|examples|docs)/[a-z0-9_./-]+)`")
    for page in PAGES:
        for path in named.findall(page.read_text(encoding="utf-8")):
            assert (ROOT / path).exists(), f"{page.name} names {path}"


def test_tested_versions_are_those_the_project_asks_for_and_come_from_no_index_of_ours():
    lines = (ROOT / "requirements" / "tested.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9.-]+==[0-9][a-z0-9.]*", pin) for pin in pins)
    tested = dict(pin.split("==") for pin in pins)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for text in project["dependencies"]:
        one = Requirement(text)
        assert tested[canonicalize_name(one.name)] in one.specifier, text


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150
