"""The synthesis benchmark: what is counted as read, and peers asked in environments of their own."""

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmarks import tts, tts_measures, tts_roofline
from benchmarks.__main__ import main
from benchmarks.other_python import Peer, parse_peer
from benchmarks.tts_checkpoint import GEOMETRIES, model_config, write_checkpoint, write_tokenizer
from benchmarks.tts_measures import PEERS, Timing, measure_peer, peer_figures
from benchmarks.tts_roofline import Weights, _bytes, codec_calls, weights
from benchmarks.tts_tensors import codec_sizes, model_sizes
from models.tts.blocks.kernels import pack_linear
from models.tts.qwen3.loading import load_engine
from pipeline.errors import BadInput, ModelError

# of a model this small, a second thread only waits for the first
TINY = ["tts", "--geometry", "tiny", "--frames", "3", "--rounds", "1", "--units", "0", "--threads", "1"]
ANSWER = {"first_audio_s": [0.3, 0.1, 0.2], "per_frame_s": [0.02, 0.04, 0.03], "codes": [[1] * 16, [2] * 16]}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"), dtype=torch.bfloat16)


@pytest.fixture
def answering(tmp_path):
    """A peer whose script writes a given program's output; its input is kept beside it."""

    def make(program):
        script = tmp_path / "peer.py"
        script.write_text(
            f"import json, sys\ngiven = sys.stdin.read()\nopen({str(tmp_path / 'given')!r}, 'w').write(given)\n{program}"
        )
        return Peer("faster-qwen3-tts", sys.executable, script)

    return make


def elements(sizes, *begins):
    return sum(torch.Size(size).numel() for name, size in sizes.items() if name.startswith(begins))


def test_every_number_that_a_frame_needs_is_counted_as_often_as_it_is_read(checkpoint, tmp_path):
    engine, _, _ = load_engine(checkpoint, "cpu", "float32", 1, greedy=True)
    config = model_config("base", GEOMETRIES["tiny"], write_tokenizer(tmp_path))
    sizes, found = model_sizes(config), weights(engine)
    heads_of_norms = 3 * 16 * (4 + 2 - 2)  # the engine keeps a layer's two head norms once for each head
    assert found.talker == 4 * (elements(sizes, "talker.model.layers.", "talker.codec_head") + heads_of_norms)
    predictor = elements(sizes, "talker.code_predictor.model.layers.") + 2 * 16 * (4 + 2 - 2)
    once = elements(sizes, "talker.code_predictor.lm_head.", "talker.code_predictor.small_to_mtp_projection.")
    assert found.predictor == 4 * (15 * predictor + once)
    shape = json.loads((checkpoint / "speech_tokenizer" / "config.json").read_text())["decoder_config"]
    codec = codec_sizes(shape)
    folded = ("decoder.quantizer", "decoder.pre_transformer.norm")
    scales = sum(torch.Size(size).numel() for name, size in codec.items() if name.endswith((".scale", ".gamma")))
    assert found.codec == pytest.approx(4 * (elements(codec, "decoder.") - elements(codec, *folded) - scales), rel=0.01)


def test_weights_kept_as_half_floats_count_as_such():
    weight = torch.randn(1024, 1024)
    exact, short = pack_linear(weight.bfloat16().float()), pack_linear(weight.bfloat16())
    assert _bytes(exact) == _bytes(short) == 2 * 2**20
    assert _bytes(pack_linear(weight)) == 4 * 2**20
    assert _bytes([exact, short, exact]) == 4 * 2**20


def test_weights_in_an_unknown_form_are_not_counted_as_nothing():
    with pytest.raises(ModelError, match="no weights were found"):
        _bytes(object())


def test_codec_weights_are_shared_out_among_the_frames_of_its_calls():
    assert [codec_calls(frames) for frames in (1, 2, 3, 7, 15, 16, 23, 50)] == [1, 2, 2, 3, 4, 5, 5, 9]
    assert Weights(100, 50, 30).per_frame(3) == 100 + 50 + 30 * 2 / 3


def test_a_peer_gets_the_checkpoint_and_the_text_and_gives_medians(answering, checkpoint, tmp_path):
    _, text, _ = load_engine(checkpoint, "cpu", "auto", 1, greedy=True)
    ids = [tts_measures._FIRST_TOKEN + index % 60 for index in range(70)]
    peer = answering(f"print('noise'); print({json.dumps(json.dumps(ANSWER))})")
    timing = measure_peer(peer, checkpoint, ids, 69, 3)
    assert (timing.first_audio_s, timing.per_frame_s, timing.codes) == (0.2, 0.03, ANSWER["codes"])
    given = json.loads((tmp_path / "given").read_text())
    assert (given["checkpoint"], given["frames"], given["rounds"]) == (str(checkpoint), 69, 3)
    assert text.encode(given["text"]) == ids


def test_a_peers_figures_say_how_many_times_faster_we_are_and_how_long_the_codes_are_equal():
    ours, theirs = Timing(0.1, 0.01, [[1], [2], [3]]), Timing(0.2, 0.05, [[1], [2], [4]])
    figures = peer_figures(parse_peer("faster-qwen3-tts=python", PEERS), ours, theirs, "0.6b")
    assert figures["speedup_first_audio_vs_faster_0.6b"] == pytest.approx(2)
    assert figures["speedup_per_frame_vs_faster_0.6b"] == pytest.approx(5)
    assert figures["faster_qwen3_tts_ms_per_frame_0.6b"] == pytest.approx(50)
    assert figures["faster_qwen3_tts_first_audio_ms_0.6b"] == pytest.approx(200)
    assert figures["faster_qwen3_tts_equal_frames_0.6b"] == 2


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("sys.exit('no CUDA GPU here')", "no CUDA GPU here"),
        ("raise RuntimeError('broken')", "broken"),
        ("print('hello')", "wrote no figures"),
        ("print('[1]')", "wrote no figures"),
        ("print('{}')", "cannot be read"),
        ("print(json.dumps({'first_audio_s': [], 'per_frame_s': [1], 'codes': []}))", "cannot be read"),
    ],
)
def test_a_peer_that_fails_says_why(answering, checkpoint, program, reason):
    with pytest.raises(ModelError, match=reason):
        measure_peer(answering(program), checkpoint, [40, 41], 1, 1)


def test_a_peer_does_not_find_our_packages(answering, checkpoint, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/our/packages")
    with pytest.raises(ModelError, match="none of ours"):
        measure_peer(
            answering("sys.exit('ours' if '/our/packages' in sys.path else 'none of ours')"), checkpoint, [40], 1, 1
        )


def test_a_python_that_is_not_there_is_said(answering, checkpoint):
    with pytest.raises(ModelError, match="cannot run /nowhere/python"):
        measure_peer(replace(answering(""), python="/nowhere/python"), checkpoint, [40, 41], 1, 1)


@pytest.mark.parametrize("wrong", ["faster-qwen3=python", "faster-qwen3-tts", "faster-qwen3-tts="])
def test_an_unknown_peer_is_refused_with_those_there_are(wrong):
    with pytest.raises(BadInput, match="faster-qwen3-tts"):
        parse_peer(wrong, PEERS)


@pytest.mark.parametrize("name", PEERS)
def test_a_peers_script_needs_nothing_of_ours_and_says_what_is_missing(name):
    without = [sys.executable, "-S", "-E", str(PEERS[name])]
    done = subprocess.run(without, input="{}", capture_output=True, text=True, check=False)
    assert "pip install faster-qwen3-tts" in done.stderr.strip().splitlines()[-1]
    assert PEERS[name].stem not in {"faster_qwen3_tts", "qwen_tts"}


def test_a_copy_counts_as_read_and_written(monkeypatch):
    monkeypatch.setattr(tts_roofline, "_CPU_BYTES", 1024)
    seconds = iter([4.0] * 10 + [2.0] * 10)
    monkeypatch.setattr(tts_roofline, "timed", lambda *_: (None, next(seconds)))
    assert tts_roofline.bandwidth("cpu") == 2 * 1024 / 2.0


def test_streams_are_timed_by_their_median_round_and_the_first_warms_up(monkeypatch):
    rounds_s = [9.0, 1.0, 5.0, 2.0]
    clock = [0.0]

    class Engine:
        """One utterance a round, spoken in a single turn that takes the round's time."""

        busy = False
        given: SimpleNamespace

        def open_stream(self):
            return 0

        def close_stream(self, stream):
            pass

        def add(self, utterance):
            self.given, self.busy = utterance, True

        def turn(self):
            clock[0] += rounds_s.pop(0)
            self.busy = False
            return [SimpleNamespace(utterance=self.given)]

    monkeypatch.setattr(tts_measures.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(tts_measures, "_utterance", lambda *_: SimpleNamespace(codes=[], taken=0, stream=0))
    served = tts_measures.measure_streams(Engine(), (1, 2, 3), count=1, frames=10, rounds=3)  # type: ignore[arg-type]
    assert served == tts_measures.Served(0.2, 2.0, 5.0)
    assert not rounds_s


def test_other_figures_stand_when_a_peer_fails(answering, tmp_path, monkeypatch, capsys):
    pytest.importorskip("qwen_tts")
    monkeypatch.setitem(tts_measures.PEERS, "faster-qwen3-tts", answering("sys.exit('not here')").script)
    command = [*TINY, "--streams", "0"]
    result = tmp_path / "tts.json"
    assert main([*command, "--peer", f"faster-qwen3-tts={sys.executable}", "--json", str(result)]) == 0
    assert "faster-qwen3-tts was not measured: not here" in capsys.readouterr().out
    figures = json.loads(result.read_text())["figures"]
    assert figures["bandwidth_gb_s"] > 0
    assert 0 < figures["roofline_share_tiny"] < 1
    least = figures["weights_mb_per_frame_tiny"] / figures["bandwidth_gb_s"]
    assert figures["roofline_ms_per_frame_tiny"] == pytest.approx(least)
    assert figures["roofline_share_tiny"] == pytest.approx(least / figures["own_ms_per_frame_tiny"])
    assert not any("faster" in name for name in figures)


def test_ours_is_measured_where_the_official_package_cannot_be_imported(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "benchmarks.tts_official", None)
    command = [*TINY, "--streams", "1"]
    result = tmp_path / "tts.json"
    assert main([*command, "--json", str(result)]) == 0
    assert "the official package was not measured" in capsys.readouterr().out
    figures = json.loads(result.read_text())["figures"]
    assert figures["own_ms_per_frame_tiny"] > 0
    assert figures["ms_per_frame_tiny_s1"] > 0
    assert not any("official" in name or "speedup" in name for name in figures)


def test_a_geometry_of_another_engine_and_a_package_that_lacks_are_told(monkeypatch, capsys):
    assert main(["tts", "--geometry", "real", "--device", "cpu"]) == 2
    assert "geometry 'real': of this engine there are" in capsys.readouterr().err
    monkeypatch.setattr(tts, "find_spec", lambda name: None)
    assert main(["tts", "--engine", "pocket"]) == 4
    assert "pip install 'translate-live[pocket]'" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("command", ["tts", "load"])
def test_a_gpu_that_is_not_there_is_refused_before_anything_is_measured(command, capsys):
    assert main([command, "--device", "cuda"]) == ModelError.exit_code
    assert "no CUDA device" in capsys.readouterr().err
