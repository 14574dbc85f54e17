"""Profiles: strict, overlaid in order, and errors that name the nearest valid key."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.tts.pocket import Pocket
from pipeline.contracts import Missing
from pipeline.errors import FETCH_MODELS, BadInput, ModelError
from pipeline.profiles.profile import (
    choose_profile,
    digest,
    for_cores,
    lacking,
    load_profile,
    profile_names,
    require,
    selected_profile,
    what_is_missing,
)


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_that_is_shipped_resolves_and_its_backends_can_be_asked(name: str) -> None:
    profile = load_profile(name)
    backends = profile.backends
    assert profile.summary
    assert backends.recognizer.languages()
    assert backends.synthesizer.languages() is not None
    assert all(missing.what and missing.fix for missing in what_is_missing(profile))


def test_assignments_and_files_overlay_the_profile_in_order(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("pace: {max_lag_s: 5, max_rate: 1.1}\n")
    profile = load_profile("cpu", config, ["pace.max_lag_s=6", "units.pauses.max_words=9"])
    assert (profile.pace.max_lag_s, profile.pace.max_rate, profile.units.pauses.max_words) == (6, 1.1, 9)
    assert digest(profile) != digest(load_profile("cpu")) == digest(load_profile("cpu"))


@pytest.mark.parametrize(
    ("assignment", "hint"),
    [
        ("pace.max_lags=6", "max_lag_s"),
        ("pase.max_lag_s=6", "pace"),
        ("units.pauses.max_word=3", "max_words"),
        ("pace.max_lag_s=soon", "^profile cpu: pace.max_lag_s cannot be 'soon'; valid: a number$"),
        ("pace.max_lag_s=-1", "^profile cpu: pace.max_lag_s cannot be -1; valid: 0.1 or more$"),
        ("units.pauses.max_words=2.5", "units.pauses.max_words cannot be 2.5; valid: a whole number"),
        ("units.policy=pause", "units.policy cannot be 'pause'; did you mean 'pauses'. valid: agreement, pauses"),
        ("units.agreement.drafts=perhaps", "drafts cannot be 'perhaps'; valid: true or false"),
        (
            "units.agreement.thresholds=[1]",
            r"thresholds cannot be \[1\]; valid: a list \[a list \[a number, a number\], …\]",
        ),
        ("units=agreement", "units cannot be 'agreement'; valid: settings as 'key: value'"),
        ("units.agreement.latency=balance", "units.agreement.latency cannot be 'balance'; did you mean 'balanced'"),
        ("nonsense", "key.key=value"),
        ("pace=[", "YAML"),
    ],
)
def test_a_wrong_assignment_is_refused_with_the_valid_one(assignment: str, hint: str) -> None:
    with pytest.raises(BadInput, match=hint):
        load_profile("cpu", None, [assignment])


@pytest.mark.parametrize(
    ("assignment", "hint"),
    [
        ("recognizer.use=models.asr.nothing:Nothing", "module:Class"),
        ("recognizer.use=models.asr.whisper:FasterWisper", "FasterWhisper"),
        ("recognizer.sped=3", "unknown setting 'sped'"),
        ("recognizer.use=7", "module:Class"),
    ],
)
def test_a_wrong_backend_or_setting_is_refused(assignment: str, hint: str) -> None:
    with pytest.raises(BadInput, match=hint):
        assert load_profile("cpu", None, [assignment]).backends


def test_an_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean 'cpu'"):
        load_profile("cpuu")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "\udcff"])
def test_a_file_that_is_no_profile_is_refused(tmp_path: Path, text: str) -> None:
    config = tmp_path / "bad.yaml"
    config.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadInput, match="bad.yaml"):
        load_profile("cpu", config)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="none.yaml: No such file or directory$"):
        load_profile("cpu", tmp_path / "none.yaml")


def test_auto_says_in_a_few_words_which_profile_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.profiles.profile.usable_cores", lambda: 1)
    lacks = {"gpu": [Missing(f"GPU {n}", "buy one", fetchable=False) for n in "abc"]}
    monkeypatch.setattr("pipeline.profiles.profile.what_is_missing", lambda profile: lacks.get(profile.name, []))
    profile, line = choose_profile()
    assert (profile.name, line) == ("cpu", "profile cpu: gpu lacks GPU a and 2 more (the doctor tells more)")
    assert dict(lacking("cpu")) == lacks, "the doctor tells all"
    assert dict(lacking("gpu")) == {}
    del lacks["gpu"]
    assert choose_profile()[1] == "profile gpu: the best that runs here"


def test_settings_of_a_machine_with_more_cores_lie_over_those_of_a_small_one() -> None:
    settings = {"a": 1, "stage": {"b": 2, "c": 3}, "by_cores": {8: {"stage": {"b": 8}}, 4: {"stage": {"b": 4, "c": 4}}}}
    small = {"a": 1, "stage": {"b": 2, "c": 3}}
    assert for_cores(settings, 3) == (small, 0)
    assert for_cores(settings, 4) == for_cores(settings, 7) == ({"a": 1, "stage": {"b": 4, "c": 4}}, 4)
    assert for_cores(settings, 8) == ({"a": 1, "stage": {"b": 8, "c": 4}}, 8)
    assert for_cores(small, 64) == (small, 0)


def test_the_cores_of_this_machine_settle_what_nobody_set_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def step_s(cores: int, config: Path | None = None, *assignments: str) -> object:
        monkeypatch.setattr("pipeline.profiles.profile.usable_cores", lambda: cores)
        return load_profile("cpu", config, assignments).backends.recognizer.stream.step_s  # type: ignore[attr-defined]

    (config := tmp_path / "mine.yaml").write_text("recognizer: {stream: {step_s: 0.6}}\n")
    assert (step_s(1), step_s(2)) == (0.7, 0.4)
    assert (step_s(4, config), step_s(4, config, "recognizer.stream.step_s=0.5")) == (0.6, 0.5)
    assert selected_profile("cpu", None, [])[1].endswith("; set for 4 cores or more")
    step_s(3)
    lacks = {"gpu": [Missing("a GPU", "buy one", fetchable=False)]}
    monkeypatch.setattr("pipeline.profiles.profile.what_is_missing", lambda profile: lacks.get(profile.name, []))
    assert choose_profile()[1] == "profile cpu: gpu lacks a GPU (the doctor tells more); set for 2 cores or more"
    step_s(1)
    assert "cores" not in selected_profile("cpu", None, [])[1]


def test_pocket_tts_speaks_in_voices_of_ones_own_on_four_cores_and_hinders_nothing_where_it_is_not_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.tts.pocket.backend.missing_packages", lambda *_: [Missing("pocket_tts", "pip install it")])
    monkeypatch.setattr("models.tts.kokoro.Kokoro.missing", lambda self: [])
    for cores, known in ((3, False), (4, True)):
        monkeypatch.setattr("pipeline.profiles.profile.usable_cores", lambda cores=cores: cores)
        backends = load_profile("cpu").backends
        assert isinstance(backends.cloning_synthesizer, Pocket) == known
        assert backends.synthesizer_for("es") == "synthesizer"
        assert not backends.missing()[len(backends.recognizer.missing()) + len(backends.translator.missing()) :]


def test_another_backend_does_not_inherit_settings(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("synthesizer: {use: 'models.tts.espeak:Espeak', words_per_minute: 160}\n")
    again = tmp_path / "again.yaml"
    again.write_text("synthesizer: {use: 'models.tts.espeak:Espeak'}\n")
    assert load_profile("cpu", config).stages["synthesizer"].settings == {"words_per_minute": 160}
    assert load_profile("cpu", again).stages["synthesizer"].settings == {}


def test_auto_takes_the_profile_that_the_settings_are_meant_for() -> None:
    profile, _ = choose_profile(None, ["synthesizer.speed=1.1"])
    assert profile.name == "cpu"
    with pytest.raises(BadInput, match="unknown setting 'sped'"):
        choose_profile(None, ["recognizer.sped=3"])


@pytest.mark.parametrize(
    "assignment",
    [
        "pace.max_rate=0",
        "pace.max_rate=.nan",
        "pace.easy_backlog_s=-1",
        "pace.full_backlog_s=0.1",
        "pace.max_breath_s=0",
        "pace.max_lag_s=.inf",
        "units.pauses.min_words=0",
        "units.pauses.max_words=3",
        "units.pauses.max_span_s=0",
        "units.pauses.pause_s=-0.1",
        "units.pauses.sentence_pause_s=0.1",
        "units.agreement.thresholds=[]",
        "units.agreement.thresholds=[[0.5, 2.0]]",
        "units.agreement.min_probability=2",
        "units.agreement.hold_back=-1",
        "units.agreement.max_words=2",
        "units.agreement.call_interval_s=0",
        "units.agreement.max_sentence_words=0",
        "recognizer.stream.step_s=0",
        "recognizer.stream.agreements=0",
        "recognizer.stream.hold=-1",
        "recognizer.stream.fresh_at_most_s=1",
        "recognizer.stream.pre_roll_s=.nan",
        "recognizer.threads=-1",
        "translator.timeout_s=0",
    ],
)
def test_a_value_out_of_range_is_refused_with_the_range(assignment: str) -> None:
    with pytest.raises(BadInput, match=f"{assignment.partition('=')[0].rpartition('.')[2]}.*valid: "):
        assert load_profile("cpu", None, [assignment]).backends


@pytest.mark.parametrize(
    "assignment",
    [
        "recognizer.beam_size=0",
        "recognizer.batch=0",
        "recognizer.threads=-1",
        "recognizer.encoder_window_s=31",
        "recognizer.stream.step_s=0",
        "recognizer.stream.step_s=.inf",
        "recognizer.stream.window_s=0.7",
        "recognizer.stream.window_s=31",
        "recognizer.stream.keep_s=20",
        "recognizer.stream.stall_s=0.1",
        "recognizer.stream.max_lag_s=1",
        "recognizer.stream.padding_s=-1",
        "recognizer.stream.commit.gate_probability=1.5",
        "recognizer.stream.commit.flush_probability=-0.1",
        "recognizer.stream.commit.hold_words=-1",
        "recognizer.stream.endpoints.speech_probability=50",
        "recognizer.stream.endpoints.silence_probability=0.6",
        "recognizer.stream.endpoints.end_s=0",
        "recognizer.stream.endpoints.soft_end_s=0.9",
        "recognizer.stream.endpoints.start_s=.nan",
        "translator.beams=0",
        "translator.batch=0",
        "translator.longest_source=-1",
    ],
)
def test_a_setting_of_a_trained_model_out_of_range_is_refused_with_the_range(assignment: str) -> None:
    with pytest.raises(BadInput, match=f"{assignment.partition('=')[0].rpartition('.')[2]}.*valid: "):
        assert load_profile("cpu", None, [assignment]).backends


def test_what_lacks_is_told_with_a_command_or_where_none_helps_with_advice() -> None:
    model, package = Missing("a model", FETCH_MODELS), Missing("a package", "pip install package")
    with pytest.raises(
        ModelError,
        match="^profile cpu lacks a package, a model; try: "
        "pip install package && fetch the model files of the profile cpu$",
    ):
        require("cpu", [package, model, model])
    with pytest.raises(ModelError, match="^profile gpu lacks a GPU, a model; try: another profile$"):
        require("gpu", [Missing("a GPU", "another profile", fetchable=False), model])
    require("cpu", [])


def test_a_file_that_names_every_stage_is_a_profile_of_its_own(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(
        "".join(f"{stage}: {{use: 'tests.scripted_backends:Scripted'}}\n" for stage in ("recognizer", "translator"))
    )
    assert selected_profile("auto", own, [])[0].name != "mine", "it names no synthesizer"
    own.write_text(own.read_text() + "summary: hears well\nsynthesizer: {use: 'tests.scripted_backends:ScriptedVoice'}\n")
    profile, line = selected_profile("auto", own, ["pace.max_lag_s=6"])
    assert (profile.name, line, profile.pace.max_lag_s) == ("mine", "profile mine: hears well", 6.0)
    assert "fallback_synthesizer" not in profile.stages
    assert selected_profile("cpu", own, [])[0].name == "cpu"
