"""Runs survive what happens to them, other systems are measured as ours is, and a gate fails on regression."""

import base64
import json
import math
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import compare, report, score
from benchmarks.__main__ import main
from benchmarks.corpora.audio import CORPUS_HZ
from benchmarks.corpora.talk import join
from benchmarks.corpora.tones import tone_set
from benchmarks.metrics import speech_latency
from benchmarks.runs.folder import RunFolder, begin
from benchmarks.runs.row import Row
from benchmarks.runs.runner import Impossible, measure
from benchmarks.runs.scoring import score as scores_of_rows
from benchmarks.smoke import scripted_run
from benchmarks.systems.command import CommandSystem
from benchmarks.systems.foreign import Reception
from benchmarks.systems.in_process import SourceAudio
from benchmarks.systems.named import system_named
from benchmarks.systems.replay import row_of
from benchmarks.systems.script import ScriptSystem, translation_of
from benchmarks.systems.websocket import WebSocketSystem
from pipeline.errors import BadInput, DeviceError, ModelError, NetworkError

ABOUT = {"v": 1, "digest": "x"}


@pytest.fixture
def utterances(tmp_path):
    return tone_set(tmp_path / "data")


class Broken(ScriptSystem):
    """Fails on some utterances."""

    def __init__(self, bad):
        super().__init__()
        self._bad = bad

    async def interpret(self, utterance, audio, clock):
        if utterance.name in self._bad:
            raise ModelError("out of words")
        return await super().interpret(utterance, audio, clock)


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_a_run_killed_at_any_row_goes_on(tmp_path, utterances, kept):
    folder = scripted_run(tmp_path / "run", utterances)
    lines = folder.rows_file.read_text().splitlines(keepends=True)
    folder.rows_file.write_text("".join(lines[:kept]) + lines[kept][:25])
    assert len(folder.rows()) == kept
    resumed = scripted_run(tmp_path / "run", utterances)
    assert [row.units for row in resumed.rows()] == [row_from(line).units for line in lines]


def row_from(line):
    from benchmarks.runs.row import from_json

    return from_json(line, "test")


def test_two_runs_never_share_a_folder(tmp_path, utterances):
    begin(tmp_path / "run", ABOUT, utterances, resume=False)
    folder = begin(tmp_path / "run", ABOUT | {"digest": "z"}, utterances, resume=False)  # without a row nothing is lost
    begin(tmp_path / "run", ABOUT, utterances, resume=False)
    folder.append(Row(utterances[0].name, "d", "empty", "cu", 1.0))
    with pytest.raises(BadInput, match="--resume"):
        begin(tmp_path / "run", ABOUT, utterances, resume=False)
    with pytest.raises(BadInput, match="other settings or data"):
        begin(tmp_path / "run", ABOUT | {"digest": "y"}, utterances, resume=True)


def test_a_full_disk_keeps_the_rows_before_it(tmp_path, utterances, monkeypatch):
    folder = scripted_run(tmp_path / "run", utterances[:2])
    before = folder.rows_file.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DeviceError, match="Free space and resume"):
        measure(ScriptSystem(), utterances, folder, "virtual", exact=True)
    assert folder.rows_file.read_bytes().startswith(before)


def test_failures_stay_in_every_denominator(tmp_path, utterances):
    folder = begin(tmp_path / "run", ABOUT, utterances, resume=False)
    measure(Broken({"tones-1"}), utterances, folder, "virtual", exact=True)
    rows = folder.rows()
    assert [row.status for row in rows] == ["ok", "failed", "ok", "ok"]
    assert rows[1].error == "ModelError: out of words"
    scores = scores_of_rows(utterances, rows)
    assert scores.value("failed") == 1
    assert 0 < scores.value("wer") < 1
    assert any("1 utterances ended with an error: tones-1" in flag for flag in scores.flags)
    whole = scores_of_rows(utterances, [replace(row, units=()) for row in rows])
    assert whole.value("chrf") == 0


def test_a_late_feeder_makes_a_run_doubtful_and_the_most_memory_is_told(tmp_path, utterances):
    rows = scripted_run(tmp_path / "run", utterances).rows()
    punctual = [replace(one, feeder_late_p99_ms=9.0, peak_memory_mb=5.0) for one in rows]
    late = [*punctual[:-1], replace(punctual[-1], feeder_late_p99_ms=11.0, peak_memory_mb=7.0)]
    told = scores_of_rows(utterances, late)
    assert [flag for flag in told.flags if "ms late" in flag]
    assert told.value("peak_memory_mb") == 7.0
    assert not [flag for flag in scores_of_rows(utterances, punctual).flags if "ms late" in flag]


def test_a_talk_pauses_half_a_second_after_each_recording(utterances):
    talk, samples = join(utterances, "talk")
    assert len(samples) / CORPUS_HZ == pytest.approx(sum(one.duration_s + 0.5 for one in utterances), abs=0.001)
    assert talk.sentences[1].offset_s == pytest.approx(utterances[0].duration_s + 0.5, abs=0.001)


@pytest.mark.parametrize(
    ("gate", "allowed"),
    [
        ({"at_most": 2.0}, True), ({"at_most": 1.9}, False),
        ({"at_least": 2.0}, True), ({"at_least": 2.1}, False),
        ({"rise_at_most": 0.5}, True), ({"rise_at_most": 0.4}, False),
        ({"fall_at_most": 0.0}, True), ({"fall_at_most": -0.6}, False),
    ],
)  # fmt: skip
def test_a_gate_holds_at_its_bound_and_fails_beyond_it(gate, allowed):
    figures = {"wer_mean_after": 2.0, "wer_mean_difference": 0.5}
    gates = {"wer_mean": compare.Gate(**gate)}
    if allowed:
        compare.check(gates, figures)
    else:
        with pytest.raises(compare.Regression, match="wer_mean"):
            compare.check(gates, figures)
    with pytest.raises(compare.Regression, match="nan"):
        compare.check(gates, {"wer_mean_after": math.nan, "wer_mean_difference": math.nan})


def test_a_system_that_always_fails_is_given_up(tmp_path, utterances):
    many = [replace(utterances[0], name=f"u{index}") for index in range(9)]
    folder = begin(tmp_path / "run", ABOUT, many, resume=False)
    with pytest.raises(ModelError, match="5 utterances in a row failed"):
        measure(Broken({utterance.name for utterance in many}), many, folder, "virtual", exact=True)
    assert len(folder.rows()) == 5


def test_a_measurement_that_breaks_physics_is_not_kept(tmp_path, utterances):
    class Early(ScriptSystem):
        async def interpret(self, utterance, audio, clock):
            outcome = await super().interpret(utterance, audio, clock)
            units = tuple(replace(unit, committed_s=unit.heard_s - 1) for unit in outcome.row.units)
            return replace(outcome, row=replace(outcome.row, units=units))

    folder = begin(tmp_path / "run", ABOUT, utterances, resume=False)
    with pytest.raises(Impossible, match="CA < CU"):
        measure(Early(), utterances, folder, "virtual", exact=True)
    assert folder.rows() == []


def test_rows_of_two_clocks_are_not_mixed(utterances):
    rows = [
        Row(utterance.name, "d", "ok", clock, 1.0) for utterance, clock in zip(utterances, ("real", "cu"), strict=False)
    ]
    with pytest.raises(BadInput, match="several clocks"):
        scores_of_rows(utterances, rows)
    with pytest.raises(BadInput, match="not in the manifest"):
        scores_of_rows(utterances, [Row("stranger", "d", "ok", "cu", 1.0)])
    assert scores_of_rows(utterances, []).flags == ("no utterance has been measured",)


def test_the_command_line_from_run_to_gate(tmp_path, utterances, capsys):
    rows = ["file\tlanguage\ttranscript\ttranslation_es"]
    rows += [f"{item.name}.wav\ten\t{item.transcript}\t{item.reference}" for item in utterances[:2]]
    (tmp_path / "data" / "transcripts.tsv").write_text("\n".join(rows))
    run = ["run", "--clock", "cu", str(tmp_path / "data"), "--out"]
    for name, load in (("a", "1"), ("b", "1")):
        assert main([*run, str(tmp_path / name), "--system", f"scripted:{load}", "--limit", "2"]) == 0
    assert main([*run, str(tmp_path / "a"), "--system", "scripted"]) == 2
    assert main(["score", str(tmp_path / "a"), "--scorer", "nonsense", "--scorer", "translation_quality"]) == 0
    kept = json.loads((tmp_path / "a" / "scores.json").read_text())
    assert kept["figures"]["ear_voice_span_p50_s"]["definition"] == "evs/end2start/v1/cu"
    assert set(kept["skipped_scorers"]) == {"nonsense", "translation_quality"}
    assert "skipped: scorer translation_quality" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "a")]) == 0
    gate = tmp_path / "gate.yaml"
    for text, code in (
        ("ear_voice_span_p90_s: {rise_at_most: 0.01}", 0),
        ("ear_voice_span_p90_s: {at_most: 0.001}", 1),
        ("chrf_mean: {at_least: 100.5, fall_at_most: 0}", 1),
        ("no_such: {at_most: 1}", 2),
        ("wer_mean: {at_mots: 1}", 2),
    ):
        gate.write_text(text)
        assert main(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--gate", str(gate), "--samples", "20"]) == code
    assert "Traceback" not in capsys.readouterr().err
    assert main(["score", str(tmp_path / "nowhere")]) == 2


def test_a_full_table_has_recordings_and_a_talk(tmp_path, utterances):
    rows = ["file\tlanguage\ttranscript\ttranslation_es"]
    rows += [f"{item.name}.wav\ten\t{item.transcript}\t{item.reference}" for item in utterances[2:]]
    (tmp_path / "data" / "transcripts.tsv").write_text("\n".join(rows))
    made, result = tmp_path / "made", tmp_path / "table.json"
    command = ["table", str(tmp_path / "data"), "--system", "scripted:0", "--clock", "virtual", "--talk", "10"]
    assert main([*command, "--out", str(made), "--json", str(result)]) == 0
    figures = json.loads(result.read_text())["figures"]
    assert figures["wer"] == figures["talk_wer"] == 0
    assert figures["talk_ear_voice_span_p50_s"] > 0
    table = (made / "table.md").read_text()
    assert "ear-voice span, median (s)" in table
    assert "`evs/end2start/v1`" in table
    assert {path.name for path in (made / "talk" / "plots").iterdir()} >= {"Where-the-time-goes.png"}


def test_scorers_in_other_environments(tmp_path, utterances, monkeypatch):
    folder = scripted_run(tmp_path / "run", utterances[:1])
    monkeypatch.setattr(score, "SCORERS", tmp_path)
    (tmp_path / "good.py").write_text(
        "import sys,json;print(json.dumps({'length':len(json.loads(next(sys.stdin))['hypothesis'])}))"
    )
    (tmp_path / "bad.py").write_text("import sys;sys.exit('torch is missing')")
    (tmp_path / "mute.py").write_text("")
    run = lambda name, python=sys.executable: score.run_scorer(name, python, folder, utterances)  # noqa: E731
    assert run("good") == {"length": float(len(utterances[0].reference))}
    assert run("bad") == "torch is missing"
    assert "wrote no figures" in run("mute")
    assert "cannot run /nowhere/python" in run("good", "/nowhere/python")
    assert set(score.scorer_names()) == {"good", "bad", "mute"}


def heard(duration_s=0.4):
    return SourceAudio(np.zeros(round(duration_s * 16_000), np.float32), 16_000, 0.1, duration_s)


async def test_any_program_can_be_measured(utterances):
    echo = "import sys; d=sys.stdin.buffer.read(); print('uno dos', len(d)//32000, '{target}'); print('tres')"
    outcome = await CommandSystem(f'{sys.executable} -c "{echo}"').interpret(utterances[0], heard(), "real")
    assert outcome.row.hypothesis == "uno dos 0 es tres"
    assert all(unit.committed_s >= 0.4 for unit in outcome.row.units)
    for command, message in (
        (f"{sys.executable} -c 'raise SystemExit(3)'", "exit code 3"),
        ("/no/such/program", "cannot start"),
    ):
        with pytest.raises(ModelError, match=message):
            await CommandSystem(command).interpret(utterances[0], heard(), "real")


@asynccontextmanager
async def server(handler):
    from websockets.asyncio.server import serve

    async with serve(handler, "127.0.0.1", 0) as running:
        yield f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}"


async def test_a_realtime_translations_server_can_be_measured(utterances):
    pytest.importorskip("websockets")
    seen = []

    async def translate(connection):
        async for message in connection:
            event = json.loads(message)
            seen.append(event["type"])
            if event["type"] == "session.close":
                speech = base64.b64encode((np.full(2400, 8000)).astype("<i2").tobytes()).decode()
                for delta in ("ho", "la mun", "do"):
                    await connection.send(json.dumps({"type": "session.output_transcript.delta", "delta": delta}))
                await connection.send(
                    json.dumps({"type": "session.output_audio.delta", "delta": speech, "sample_rate": 24000})
                )
                await connection.send(json.dumps({"type": "session.closed"}))

    async with server(translate) as url:
        outcome = await WebSocketSystem(url).interpret(utterances[0], heard(), "real")
    assert outcome.row.hypothesis == "hola mundo"
    assert seen[0] == "session.update"
    assert seen.count("session.input_audio_buffer.append") == 20
    assert outcome.speech_hz == 24_000
    assert speech_latency.end_lag_s(outcome.row) > 0.09
    with pytest.raises(NetworkError, match="is the server running"):
        await WebSocketSystem("ws://127.0.0.1:9").interpret(utterances[0], heard(0.1), "real")


def test_words_of_foreign_systems_count_when_they_are_whole():
    now = iter([1.0, 2.0, 3.0])
    reception = Reception(lambda: next(now), 10.0)
    for delta in ("Guten ", "Mor", "gen zu", "sam"):
        reception.text(delta)
    reception.finish()
    assert [(unit.text, unit.committed_s) for unit in reception.units] == [("Guten", 1.0), ("Morgen", 2.0), ("zusam", 3.0)]


async def test_a_recorded_log_gives_the_figures_of_its_session(tmp_path, utterances):
    from benchmarks.systems.in_process import interpret
    from benchmarks.systems.script import script_of
    from benchmarks.systems.scripted import ScriptedRecognizer, ScriptedSynthesizer, ScriptedTranslator
    from pipeline.clock import LoopClock
    from pipeline.session import Models, SessionOptions
    from pipeline.sinks.event_log import EventLog, read_events

    utterance = utterances[3]
    models = Models(
        ScriptedRecognizer(script_of(utterance)), ScriptedTranslator(translation_of(utterance)), ScriptedSynthesizer()
    )
    audio = heard(1.2)
    log = tmp_path / "log.jsonl"

    def sinks(session):
        return [EventLog(log, {}, LoopClock(), session.clock_time)]

    outcome = await interpret(models, SessionOptions(("en",), ("es",), "es"), audio, "real", sinks)
    replayed = row_of(read_events(log), audio, "es")
    assert replayed.hypothesis == outcome.row.hypothesis == "gracias"
    found, wanted = speech_latency.figures([replayed]), speech_latency.figures([outcome.row])
    for name in ("ear_voice_span_p50_s", "policy_p50_s", "end_lag_s"):
        assert found[name] == pytest.approx(wanted[name], abs=0.05)
    with pytest.raises(BadInput, match="no session line"):
        row_of([], audio, "es")


@pytest.mark.parametrize("name", ["profle:cpu", "command", "websocket:http://x", "scripted:fast", "replay:/nowhere"])
def test_unknown_systems_are_told(name):
    with pytest.raises(BadInput):
        system_named(name)


def test_pages_and_scores_of_what_is_no_run_are_refused(tmp_path):
    for command in (score, report):
        with pytest.raises(BadInput, match="is no run"):
            command.run(SimpleNamespace(run=tmp_path, paths=[tmp_path], beside=[], samples=1, scorer=[], out=None))
    with pytest.raises(BadInput, match="no gate file"):
        compare.read_gates(tmp_path / "none.yaml")
    assert RunFolder(tmp_path).rows() == []
