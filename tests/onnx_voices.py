"""Voice models without weights: graphs with the inputs of Kokoro and Piper that beep for each token."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.model_files import piper_voices
from models.tts.kokoro import LEAST_STREAMED
from models.tts.kokoro_graph import DURATIONS, FRAMES, SOURCE, STYLE

SAMPLES_A_TOKEN = 600
FEW = 2 + LEAST_STREAMED  # tokens of an utterance with which a synthesizer warms up


def kokoro_folder(
    root: Path, *, voices=("af_heart", "ef_dora", "ff_siwis", "hf_alpha", "if_sara", "pf_dora", "bf_emma"), **graph
):
    """A folder as Kokoro's: ``model.onnx`` and voices, each a style that is louder than the one before."""
    (root / "voices").mkdir(parents=True)
    write_kokoro(root / "model.onnx", **graph)
    for number, name in enumerate(voices, 1):
        np.full((510, 1, 256), number / 10, "<f4").tofile(root / "voices" / f"{name}.bin")
    return str(root)


def write_kokoro(file: Path, *, tokens="tokens", speed=TensorProto.FLOAT, endless=False, parts=False):
    """A graph whose token t is 600 samples of t / 500 × the style's mean, of both signs.

    With ``parts`` it has the tensors between which Kokoro's text encoder and its vocoder are parted, and normalizes.
    """
    if parts:
        _write_in_parts(file)
        return
    inputs = [
        helper.make_tensor_value_info(tokens, TensorProto.INT64, [1, "n"]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", speed, [1]),
    ]
    nodes = [
        helper.make_node("ReduceMean", ["style"], ["mean"], keepdims=0),
        helper.make_node("Cast", [tokens], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["numbers", "mean"], ["scaled"]),
        helper.make_node("Unsqueeze", ["scaled", "last"], ["column"]),
        helper.make_node("Mul", ["column", "beep"], ["beeps"]),
        helper.make_node("Reshape", ["beeps", "flat"], ["loud"]),
        helper.make_node("Cast", ["speed"], ["ignored"], to=TensorProto.FLOAT),
        *(_endless(tokens, "loud") if endless else [helper.make_node("Identity", ["loud"], ["audio"])]),
    ]
    beep = np.where(np.arange(SAMPLES_A_TOKEN) % 20 < 10, 1, -1).astype(np.float32) / 500
    constants = [
        helper.make_tensor("last", TensorProto.INT64, [1], [2]),
        helper.make_tensor("flat", TensorProto.INT64, [1], [-1]),
        helper.make_tensor("beep", TensorProto.FLOAT, [1, 1, SAMPLES_A_TOKEN], beep),
        helper.make_tensor("few", TensorProto.INT64, [], [FEW]),
        helper.make_tensor("many", TensorProto.INT64, [], [2**40]),
        helper.make_tensor("once", TensorProto.INT64, [], [1]),
        helper.make_tensor("more", TensorProto.BOOL, [], [True]),
    ]
    _save(file, nodes, inputs, constants)


def _write_in_parts(file: Path):
    """Each token is four frames of 300 samples; sound is (frame + source - mean of all frames) × the style's mean."""
    number = helper.make_tensor_value_info
    inputs = [
        number("tokens", TensorProto.INT64, [1, "n"]),
        number("style", TensorProto.FLOAT, [1, 256]),
        number("speed", TensorProto.FLOAT, [1]),
    ]
    node = helper.make_node
    nodes = [
        node("Cast", ["tokens"], ["numbers"], to=TensorProto.FLOAT),
        node("Mul", ["numbers", "zero"], ["zeros"]),
        node("Add", ["zeros", "two"], ["twos"]),
        node("Clip", ["twos", "two"], [DURATIONS]),
        node("Unsqueeze", ["numbers", "axis2"], ["column"]),
        node("Expand", ["column", "four"], ["frames4"]),
        node("Reshape", ["frames4", "row"], [FRAMES]),
        node("Unsqueeze", [FRAMES, "axis3"], ["frame_column"]),
        node("Expand", ["frame_column", "sixty"], ["sources"]),
        node("Reshape", ["sources", "row"], ["source_row"]),
        node("Concat", ["source_row", "one_zero"], [SOURCE], axis=2),
        node("ReduceMean", ["style"], ["loudness"], keepdims=1),
        node("Mul", ["loudness", "loud"], [STYLE]),
        node("ReduceMean", [FRAMES, "axis2"], ["voice/mean"]),
        node("Sub", [FRAMES, "voice/mean"], ["normal"]),
        node("Unsqueeze", ["normal", "axis3"], ["normal_column"]),
        node("Expand", ["normal_column", "samples"], ["normals"]),
        node("Reshape", ["normals", "row"], ["normal_row"]),
        node("Slice", [SOURCE, "first", "minus_one", "axis2"], ["whole_source"]),
        node("Unsqueeze", ["whole_source", "axis3"], ["source_column"]),
        node("Expand", ["source_column", "five"], ["source5"]),
        node("Reshape", ["source5", "row"], ["source_samples"]),
        node("Add", ["normal_row", "source_samples"], ["sum"]),
        node("Mul", ["sum", STYLE], ["sound"]),
        node("Reshape", ["sound", "flat"], ["audio"]),
    ]
    integers = {
        "axis2": [2], "axis3": [3], "four": [1, 1, 4], "row": [1, 1, -1], "sixty": [1, 1, 1, 60], "first": [0],
        "minus_one": [-1], "samples": [1, 1, 1, 300], "five": [1, 1, 1, 5], "flat": [-1],
    }  # fmt: skip
    constants = [helper.make_tensor(name, TensorProto.INT64, [len(values)], values) for name, values in integers.items()]
    for name, value in {"zero": 0.0, "two": 2.0, "loud": 0.002}.items():
        constants.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
    constants.append(helper.make_tensor("one_zero", TensorProto.FLOAT, [1, 1, 1], [0.0]))
    _save(file, nodes, inputs, constants, opset=18)


def write_convolution(file: Path):
    """Two convolutions of "x" [1, 5, n], quantized in 8 bits, the sum of which is "y"; no weights that saturate."""
    weights = np.random.default_rng(1).integers(0, 129, (2, 7, 5, 3), np.uint8)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["numbers", "scale", "zero"]),
        helper.make_node("ConvInteger", ["numbers", "near", "zero", "middle"], ["a"], pads=[1, 1]),
        helper.make_node("ConvInteger", ["numbers", "far", "zero", "middle"], ["b"], pads=[3, 3], dilations=[3]),
        helper.make_node("Add", ["a", "b"], ["both"]),
        helper.make_node("Cast", ["both"], ["y"], to=TensorProto.FLOAT),
    ]
    constants = [
        onnx.numpy_helper.from_array(weights[0], "near"),
        onnx.numpy_helper.from_array(weights[1], "far"),
        helper.make_tensor("middle", TensorProto.UINT8, [], [61]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 5, "n"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "convolution", [x], [y], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), file)


def take_for_whole(monkeypatch, folder: Path):
    """Let the table state, for the voices that are in a folder, the sizes that their files have now."""

    def sized(file):
        path = folder / file.path
        return replace(file, size=path.stat().st_size) if path.exists() else file

    known = {
        name: replace(voice, files=(sized(voice.files[0]), sized(voice.files[1]))) for name, voice in piper_voices().items()
    }
    monkeypatch.setattr("models.tts.piper.piper_voices", lambda: known)


def write_piper(file: Path, *, kind="espeak", espeak_voice="de", sample_rate=16_000, speakers=0):
    """A graph of VITS's inputs with 256 samples an id, and the JSON beside it; ``speakers`` are as loud as numbered."""
    file.parent.mkdir(parents=True, exist_ok=True)
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, [1, "n"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, [1]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    nodes = [
        helper.make_node("Cast", ["input"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "last"], ["column"]),
        helper.make_node("Mul", ["column", "beep"], ["loud" if speakers else "audio"]),
    ]
    if speakers:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, [1]))
        nodes += [
            helper.make_node("Cast", ["sid"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["loud", "number"], ["audio"]),
        ]
    beep = np.where(np.arange(256) % 20 < 10, 1, -1).astype(np.float32) / 500
    constants = [
        helper.make_tensor("last", TensorProto.INT64, [1], [2]),
        helper.make_tensor("beep", TensorProto.FLOAT, [1, 1, 256], beep),
    ]
    _save(file, nodes, inputs, constants)
    symbols = "_^$ !'(),-.:;?abcdefghijklmnopqrstuvwxyzˈˌːəɛɪɔʊŋɡ\u0327"
    config = {
        "audio": {"sample_rate": sample_rate},
        "espeak": {"voice": espeak_voice},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": kind,
        "num_speakers": max(speakers, 1),
        "phoneme_id_map": {symbol: [number] for number, symbol in enumerate(symbols)},
    }
    Path(f"{file}.json").write_text(json.dumps(config), encoding="utf-8")


def _endless(tokens: str, source: str):
    """A loop that only the runtime's flag ends where there are more than `FEW` tokens."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes_on"]),
            helper.make_node("Add", ["before", "zero"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, ["samples"]),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, ["samples"]),
        ],
        [helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0])],
    )
    return [
        helper.make_node("Size", [tokens], ["size"]),
        helper.make_node("Sub", ["size", "few"], ["over"]),
        helper.make_node("Mul", ["over", "many"], ["wanted"]),
        helper.make_node("Max", ["wanted", "once"], ["rounds"]),
        helper.make_node("Loop", ["rounds", "more", source], ["audio"], body=body),
    ]


def _save(file: Path, nodes, inputs, constants, opset=17):
    audio = helper.make_tensor_value_info("audio", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "voice", inputs, [audio], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), str(file))
