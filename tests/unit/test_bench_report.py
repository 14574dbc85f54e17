"""The report: runs and stage results on one page that needs nothing else, peers as ratios, targets met or not."""

import json
import math

import pytest

from benchmarks.__main__ import main
from benchmarks.corpora.tones import tone_set
from benchmarks.pages import plots, stage_plots
from benchmarks.report import find, names
from benchmarks.runs.row import HeardWord, Row, UnitRow
from benchmarks.smoke import scripted_run
from benchmarks.stages.peers import comparisons
from benchmarks.stages.result import StageResult, read_result
from benchmarks.stages.targets import Target, checked
from pipeline.errors import BadInput

ENVIRONMENT = {
    "date": "2026-11-24T12:00:00+00:00",
    "command": ["python", "-m", "benchmarks", "asr", "--toy"],
    "hardware": {"processor": "Abacus", "cores_usable": 2, "load_1_minute": 3.5, "gpus": []},
    "git": {"commit": "0123456789abcdef", "modified": []},
}
ASR = {"wer_streaming": 0.04, "wer_offline": 0.05, "commit_latency_mean_s": 0.9, "odd": None}


def write(file, figures=ASR, environment=ENVIRONMENT):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"figures": figures, "environment": environment}))
    return file


def test_a_folder_of_runs_and_results_becomes_one_page(tmp_path):
    run = scripted_run(tmp_path / "all" / "run", tone_set(tmp_path / "data"))
    write(tmp_path / "all" / "asr_toy.json")
    (tmp_path / "all" / "other.json").write_text('{"something": "else"}')
    result = tmp_path / "figures.json"
    assert main(["report", str(tmp_path / "all"), "--json", str(result)]) == 0
    page = (tmp_path / "all" / "report.html").read_text()
    for text in ("the same model offline", "1.250", "Abacus", "asr --toy", "not met", "0123456789", "buenos días"):
        assert text in page
    for outside in ("http://", "https://", "<script"):
        assert outside not in page
    assert "Other programs ran meanwhile" in page
    figures = json.loads(result.read_text())["figures"]
    assert (figures["runs"], figures["results"]) == (1, 1)
    assert len(list((tmp_path / "all" / "plots").glob("*.png"))) == figures["pictures"] > 2
    assert not (run.path / "report.html").exists()


def test_what_is_given_twice_is_shown_once_under_its_own_name(tmp_path):
    data = tone_set(tmp_path / "data")
    runs = [scripted_run(tmp_path / name, data).path for name in ("a", "b")]
    file = write(tmp_path / "asr.json")
    found = find([runs[0], runs[0], runs[1], file, file])
    assert (found.runs, found.results) == (runs, [file])


def test_a_single_result_needs_no_run(tmp_path):
    file = write(tmp_path / "asr.json")
    assert main(["report", str(file), "--out", str(tmp_path / "page" / "it.html")]) == 0
    assert "the same model offline" in (tmp_path / "page" / "it.html").read_text()


def test_what_is_no_result_is_refused(tmp_path, capsys):
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "run.json").mkdir()
    (tmp_path / "empty").mkdir()
    assert main(["report", str(tmp_path / "broken.json")]) == BadInput.exit_code
    assert "is no result" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "empty")]) == BadInput.exit_code
    assert "is no run and holds none" in capsys.readouterr().err
    with pytest.raises(BadInput):
        find([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("stage", "figures", "names_of", "numbers"),
    [
        ("asr", {"wer_streaming": 0.04, "wer_offline": 0.02},
         ("word error rate", "the same model offline"), (0.04, 0.02, 0.5)),
        ("mt", {"unit_0.6b_batch8_ms": 50.0, "unit_0.6b_batch8_generate_ms": 200.0},
         ("ms a unit, 0.6b, batch 8", "transformers.generate"), (50.0, 200.0, 4.0)),
        ("tts", {"speedup_per_frame_tiny": 2.0, "official_ms_per_frame_tiny": 60.0},
         ("ms a frame, tiny", "the official package"), (30.0, 60.0, 2.0)),
        ("tts", {"own_ms_per_frame_1.7b": 6.0, "roofline_ms_per_frame_1.7b": 1.5, "speedup_per_frame_vs_faster_1.7b": 4.0},
         ("ms a frame, 1.7b", "reading its weights once (roofline)"), (6.0, 1.5, 0.25)),
        ("tts", {"own_ms_per_frame_1.7b": 6.0, "faster_qwen3_tts_ms_per_frame_1.7b": 24.0},
         ("ms a frame, 1.7b", "faster-qwen3-tts"), (6.0, 24.0, 4.0)),
        ("session", {"talk_wer": 0.2, "talk_wer_fed_whole": 0.25},
         ("as one talk: word error rate", "the same decoder fed whole"), (0.2, 0.25, 1.25)),
        ("pace", {"lag_p95_s_x1.35_pause0.6": 6.0, "lag_p95_s_x1.35_pause0.6_uncontrolled": 240.0},
         ("p95 lag, speech × 1.35, pauses 0.6 s", "no pace control"), (6.0, 240.0, 40.0)),  # noqa: RUF001
        ("mt-policy", {"verb last/balanced/agreement": 0.9, "verb last/wait-2/agreement": 0.45},
         ("verb last: agreement with whole sentences", "wait-2"), (0.9, 0.45, 2.0)),
    ],
)  # fmt: skip
def test_a_figure_stands_beside_its_named_peer(stage, figures, names_of, numbers):
    (found,) = comparisons(stage, figures)
    assert (found.what, found.peer) == names_of
    assert (found.ours, found.theirs, found.advantage) == pytest.approx(numbers)


def test_peers_that_a_result_lacks_are_left_out_and_no_errors_is_better_than_some():
    assert comparisons("asr", {"wer_streaming": 0.04}) == []
    assert comparisons("unknown", ASR) == []
    (found,) = comparisons("asr", {"scripted_perfect_errors": 0.0, "scripted_perfect_errors_dedupe": 0.02})
    assert math.isinf(found.advantage)
    (same,) = comparisons("asr", {"scripted_perfect_errors": 0.0, "scripted_perfect_errors_dedupe": 0.0})
    assert same.advantage == 1


def test_targets_are_met_or_not_and_those_of_a_gpu_hold_on_one_only():
    figures = {"control_ms_per_step": 1.2, "terms_exact_ratio": 1.0, "unit_1.8b_batch1_ms": 300.0, "steps_ratio": math.nan}
    found = {name: target.met(value) for name, value, target in checked("mt", figures, on_gpu=False)}
    assert found == {"control_ms_per_step": False, "terms_exact_ratio": True, "steps_ratio": False}
    on_gpu = {name: target for name, _, target in checked("mt", figures, on_gpu=True)}
    assert on_gpu["unit_1.8b_batch1_ms"].text() == "≤ 85, goal 50"


def test_a_target_has_two_sides_and_no_number_meets_none():
    target = Target("x", at_least=1.0, at_most=2.0)
    assert [target.met(value) for value in (0.9, 1.0, 2.0, 2.1, math.nan)] == [False, True, True, False, False]


def test_a_result_is_read_with_its_stage_and_missing_numbers(tmp_path):
    result = read_result(write(tmp_path / "x.json"))
    assert (result.stage, result.name, result.busy) == ("asr", "x", True)
    assert math.isnan(result.figures["odd"])
    assert read_result(write(tmp_path / "y.json", environment={})).stage == "unknown"


@pytest.mark.parametrize(
    "figures",
    [
        {f"cost_tiny_{part}_ms": 10.0 for part in ("mel", "encode", "generate", "align", "total")},
        {f"{kind}_0.6b_s{count}": 5.0 for kind in ("ttfa_p95_ms", "ms_per_frame") for count in (1, 4)},
        {f"lag_p95_s_x{growth}_pause0.6{end}": 3.0 for growth in ("1", "1.2") for end in ("", "_uncontrolled")},
    ],
)
def test_figures_better_looked_at_have_a_picture(figures):
    (picture,) = stage_plots.draw(StageResult("x", "x", (), figures)).values()
    assert picture.startswith(b"\x89PNG")


def test_comparisons_that_a_picture_of_ratios_cannot_show_are_counted_in_it(monkeypatch):
    monkeypatch.setattr(stage_plots.style, "png", lambda figure: figure.axes[0].get_xlabel())
    ours, theirs = [2.0, 3.0, 0.0, 1.0], [4.0, 2.0, 1.0, 0.0]
    figures = {f"scripted_{number}_errors": value for number, value in enumerate(ours)}
    figures |= {f"scripted_{number}_errors_dedupe": value for number, value in enumerate(theirs)}
    found = comparisons("asr", figures)
    assert [one.advantage for one in found] == [2.0, 2 / 3, math.inf, 0.0]
    assert "; 2 more in the table only" in stage_plots.ratios(found)
    assert "more" not in stage_plots.ratios(found[:2])


def test_a_span_is_the_sum_of_what_the_picture_shows_and_waiting_for_speech_is_not_synthesis():
    def unit(number, end, committed, start, until):
        word = HeardWord("a", end - 0.3, end)
        return UnitRow(number, "x", (word,), end + 0.2, committed, start - 0.01, start, start, until, number)

    row = Row("u", "d", "ok", "real", 9.0, (unit(0, 1.0, 1.3, 1.5, 5.0), unit(1, 2.0, 2.4, 5.0, 6.0)))
    first, second = plots.waterfall_parts(row)
    assert sum(first.values()) == pytest.approx(0.5)
    assert first["earlier"] == 0
    assert first["speech"] == pytest.approx(0.2)
    assert sum(second.values()) == pytest.approx(3.0)
    assert second["earlier"] == pytest.approx(2.6)
    assert second["speech"] == pytest.approx(0.0)


def test_runs_are_named_by_as_many_folders_as_tell_them_apart(tmp_path):
    assert names([tmp_path / "a" / "run", tmp_path / "b" / "run"]) == ["a/run", "b/run"]
    assert names([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
