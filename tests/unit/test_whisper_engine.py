"""The CTranslate2 engine on a tiny random Whisper: batch equals single, prefixes are kept, and every fault is explained."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.random_whisper import Geometry, build
from models.asr.whisper.ctranslate2_engine import CTranslate2Engine
from models.asr.whisper.hypothesis import Job
from models.asr.whisper.loading import Placement, choose_compute_type, load_engine, warm_up
from models.asr.whisper.log_mel import LogMel
from models.asr.whisper.model_files import has_alignment_heads, with_guessed_heads
from pipeline.errors import BadInput, ModelError

CPU = Placement("cpu")
WORDS = [" one", " two", " three", " four"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("tiny"), words=WORDS)


@pytest.fixture(scope="module")
def engine(folder):
    return load_engine(folder, CPU, 0.0, 1)


@pytest.fixture
def broken(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "model")


def features(seed, seconds=2.0):
    mel = LogMel(80)
    mel.push((0.1 * np.random.default_rng(seed).standard_normal(round(16_000 * seconds))).astype(np.float32))
    return mel.matrix()


def job(engine, seed, prefix=(), **settings):
    tokens = tuple(engine.encode_text(word) for word in prefix)
    return Job(10.0, 12.0, features(seed), tokens, language="en", max_new_tokens=12, **settings)


def test_a_batch_gives_what_each_job_gives_alone(engine):
    jobs = [
        job(engine, 1, [" one"]),
        job(engine, 2, [" two", " one", " four"]),
        replace(job(engine, 3, [" three"]), language="de", detect=True, allowed=("de", "fr")),
    ]
    together = engine.decode(jobs)
    assert together == [engine.decode([one])[0] for one in jobs]
    assert engine.decode(jobs[::-1]) == together[::-1]
    assert set(together[2].languages) == {"de", "fr"}
    assert sum(together[2].languages.values()) == pytest.approx(1.0)


def test_the_prefix_is_forced_and_placed_in_the_window(engine):
    heard = engine.decode([job(engine, 1, [" one", " two"])])[0]
    assert len(heard.forced) == 2
    assert all(10.0 <= start <= end <= 12.0 for start, end in heard.forced)
    assert heard.forced[0][1] == heard.forced[1][0]
    assert all(word.start <= word.end <= 12.0 for word in heard.words)
    assert sum(len(word.tokens) for word in heard.words) <= 12


def test_context_and_undetected_language_are_taken(engine):
    context = engine.encode_text(" three four")
    heard = engine.decode([replace(job(engine, 1), context=context, language=None, allowed=("fr", "it"))])[0]
    assert heard.language in {"fr", "it"}


def test_a_window_without_frames_gives_no_time_and_does_no_harm(engine):
    empty = Job(0.0, 0.0, np.zeros((80, 0), np.float32), language="en", max_new_tokens=3)
    assert all(word.start == word.end == 0.0 for word in engine.decode([empty])[0].words)


def test_languages_are_iso_codes(engine):
    assert {"en", "de", "jv", "yue"} <= engine.languages
    assert "jw" not in engine.languages
    assert engine.decode([replace(job(engine, 1), language="jv")])[0].language == "jv"


class Exhausted:
    """A model whose GPU is full for so many calls."""

    n_mels, is_multilingual = 80, True

    def __init__(self, model, failures):
        self._model, self.failures = model, failures

    def encode(self, batch):
        self.failures -= 1
        if self.failures >= 0:
            raise RuntimeError("CUDA failed with error out of memory")
        return self._model.encode(batch)

    def __getattr__(self, name):
        return getattr(self._model, name)


@pytest.mark.parametrize("failures", [1, 2])
def test_a_full_gpu_gets_one_more_try(engine, failures):
    full = CTranslate2Engine(Exhausted(engine._model, failures), engine._tokenizer, 3000, adaptive=True)
    if failures == 1:
        assert full.decode([job(engine, 1)]) == engine.decode([job(engine, 1)])
    else:
        with pytest.raises(ModelError, match="smaller model"):
            full.decode([job(engine, 1)])


def test_a_shorter_encoder_window_is_heard_and_a_longer_one_refused(folder):
    short = load_engine(folder, CPU, 10.0, 1)
    assert short.window_s == 10.0
    warm_up(short)
    with pytest.raises(BadInput, match="at most 30"):
        load_engine(folder, CPU, 40.0, 1)


def test_half_a_download_is_named(broken):
    (broken / "model.bin").unlink()
    (broken / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"lacks model.bin, tokenizer.json.*fetch the model files"):
        load_engine(broken, CPU, 0.0, 1)


def test_a_truncated_model_is_named(broken):
    data = (broken / "model.bin").read_bytes()
    (broken / "model.bin").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match="damaged, half downloaded"):
        load_engine(broken, CPU, 0.0, 1)


def test_features_of_another_model_are_refused(broken):
    settings = json.loads((broken / "preprocessor_config.json").read_text())
    (broken / "preprocessor_config.json").write_text(json.dumps(settings | {"feature_size": 128}))
    with pytest.raises(ModelError, match="128 mel bins.*wants 80"):
        load_engine(broken, CPU, 0.0, 1)


@pytest.mark.parametrize(("text", "message"), [("{", "damaged"), ("{}", "damaged")])
def test_a_damaged_tokenizer_is_named(broken, text, message):
    (broken / "tokenizer.json").write_text(text)
    with pytest.raises(ModelError, match=message):
        load_engine(broken, CPU, 0.0, 1)


def test_a_tokenizer_of_another_model_is_named(broken):
    from tokenizers import Tokenizer, models

    Tokenizer(models.BPE()).save(str(broken / "tokenizer.json"))
    with pytest.raises(ModelError, match="no Whisper tokenizer"):
        load_engine(broken, CPU, 0.0, 1)


def test_alignment_heads_are_looked_for(folder, tmp_path):
    headless = build(tmp_path, Geometry(32, 1, 1, 2), alignment_heads=False)
    assert has_alignment_heads(folder)
    assert not has_alignment_heads(headless)
    warm_up(load_engine(headless, CPU, 0.0, 1))


def test_without_alignment_heads_the_upper_half_of_the_decoder_is_guessed(tmp_path):
    headless = build(tmp_path, Geometry(32, 1, 3, 2), alignment_heads=False)
    files = with_guessed_heads(headless)
    assert json.loads(files["config.json"])["alignment_heads"] == [[1, 0], [1, 1], [2, 0], [2, 1]]
    (headless / "model.bin").write_bytes(files["model.bin"][:200])
    with pytest.raises(ModelError, match="damaged"):
        with_guessed_heads(headless)


@pytest.mark.parametrize(("cores", "wanted", "threads"), [(2, 0, 2), (16, 0, 4), (2, 3, 3)])
def test_no_more_threads_than_cores_are_started_unless_they_are_asked_for(folder, monkeypatch, cores, wanted, threads):
    import ctranslate2

    started = []
    whisper = ctranslate2.models.Whisper
    monkeypatch.setattr("models.asr.whisper.loading.usable_cores", lambda: cores)
    monkeypatch.setattr(
        ctranslate2.models, "Whisper", lambda *args, **settings: started.append(settings) or whisper(*args, **settings)
    )
    load_engine(folder, Placement("cpu", threads=wanted), 0.0, 1)
    assert started[0]["intra_threads"] == threads


def test_devices_and_compute_types_that_are_not_there_are_named(folder):
    assert choose_compute_type("cpu", "auto") == "int8"
    with pytest.raises(BadInput, match="int8_float32"):
        choose_compute_type("cpu", "int9")
    import ctranslate2

    if not ctranslate2.get_cuda_device_count():
        with pytest.raises(ModelError, match="device=cpu"):
            load_engine(folder, Placement("cuda"), 0.0, 1)


@pytest.mark.parametrize("context", [0, 67, 192])
def test_the_context_takes_no_room_from_the_text(engine, context):
    """A model that never ends by itself must give as many tokens after a long context as after none."""

    class Endless:
        """Forbids the end of text and notes how many tokens come."""

        def __init__(self, model):
            self._model, self.lengths = model, []

        def generate(self, encoded, prompts, **settings):
            end = [engine._end]
            found = self._model.generate(
                encoded, prompts, **settings | {"suppress_tokens": settings["suppress_tokens"] + end}
            )
            self.lengths += [len(one.sequences_ids[0]) for one in found]
            return found

        def __getattr__(self, name):
            return getattr(self._model, name)

    endless = Endless(engine._model)
    told = CTranslate2Engine(endless, engine._tokenizer, 3000)
    told.decode([replace(job(engine, 1, [" one", " two"]), context=(engine.encode_text(" four")[0],) * context)])
    assert endless.lengths[0] >= 2 + 12


class Timed:
    """Notes what it was asked to begin with, and gives words between times."""

    n_mels, is_multilingual = 80, True

    def __init__(self, said):
        self._said, self.prompts, self.beams = said, [], []

    def encode(self, features):
        return None

    def generate(self, encoded, prompts, **settings):
        self.prompts += prompts
        self.beams.append(settings["beam_size"])
        return [SimpleNamespace(sequences_ids=[self._said], no_speech_prob=0.0) for _ in prompts]

    def align(self, encoded, start, rows, frames):
        return [
            SimpleNamespace(alignments=[(at, at) for at in range(1 + len(row))], text_token_probs=[0.9] * len(row))
            for row in rows
        ]


@pytest.mark.parametrize(("beam_size", "greedy", "beams"), [(1, False, 1), (5, False, 5), (5, True, 1)])
def test_a_beam_search_is_with_times_which_are_no_words(engine, beam_size, greedy, beams):
    plain = engine._splitter("en").no_timestamps
    one, two = (engine.encode_text(word)[0] for word in WORDS[:2])
    timed = Timed([one, plain + 40, plain + 40, two, plain + 90])
    told = CTranslate2Engine(timed, engine._tokenizer, 3000, beam_size)
    heard = told.decode([job(engine, 1, [" one"], greedy=greedy)])[0]
    assert [word.text for word in heard.words] == [" two"]
    assert timed.prompts[0][-2:] == [plain + (beams > 1), one]
    assert timed.beams == [beams]


class Watched:
    """Notes how many frames the encoder is given."""

    n_mels, is_multilingual = 80, True

    def __init__(self, model):
        self._model, self.frames = model, []

    def encode(self, batch):
        self.frames.append(batch.shape[2])
        return self._model.encode(batch)

    def __getattr__(self, name):
        return getattr(self._model, name)


@pytest.mark.parametrize(("seconds", "adaptive", "frames"), [(2.0, True, 1000), (12.3, True, 1400), (2.0, False, 3000)])
def test_an_update_costs_what_its_speech_costs(engine, seconds, adaptive, frames):
    watched = Watched(engine._model)
    told = CTranslate2Engine(watched, engine._tokenizer, 3000, adaptive=adaptive)
    told.decode([Job(0.0, seconds, features(1, seconds), language="en", max_new_tokens=2)])
    assert watched.frames == [frames]


def test_whatever_the_library_refuses_is_a_model_error(engine):
    class Refusing:
        n_mels, is_multilingual = 80, True

        def encode(self, batch):
            raise ValueError("The maximum decoding length must be > 0")

        def __getattr__(self, name):
            return getattr(engine._model, name)

    with pytest.raises(ModelError, match="maximum decoding length"):
        CTranslate2Engine(Refusing(), engine._tokenizer, 3000).decode([job(engine, 1)])
