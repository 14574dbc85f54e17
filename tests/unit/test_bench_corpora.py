"""Loaders drop nothing in silence: every malformed case is named, and what is well-formed arrives as it is."""

import shutil
import tarfile

import numpy as np
import pytest
import soundfile
import yaml

from benchmarks import data, speak_everyday
from benchmarks.__main__ import main
from benchmarks.corpora.audio import read_audio, write_audio
from benchmarks.corpora.covost import load_covost
from benchmarks.corpora.fleurs import language_of, load_fleurs
from benchmarks.corpora.folder import load_folder
from benchmarks.corpora.segments import load_segments
from benchmarks.corpora.sets import load_manifest
from benchmarks.corpora.synthesis import synthesize
from benchmarks.corpora.talk import join
from benchmarks.corpora.tones import tone_set, tones
from benchmarks.corpora.utterance import Issues, read_manifest, write_manifest
from benchmarks.data import at_speed, harder_copies, with_noise
from benchmarks.mt_bergamot import everyday
from pipeline.errors import BadInput, DeviceError

TONE, _ = tones(3)
LENGTH = len(TONE)


def kinds(dataset):
    return Issues(list(dataset.issues)).counts()


def fleurs_row(number, name, text, count=LENGTH):
    return "\t".join([str(number), name, text, text.lower(), "x", str(count), "MALE"])


@pytest.fixture
def fleurs(tmp_path):
    """A FLEURS-layout set with everything that goes wrong in real ones."""
    source, target = tmp_path / "data" / "en_us", tmp_path / "data" / "es_419"
    audio = source / "audio" / "test"
    audio.mkdir(parents=True)
    target.mkdir(parents=True)
    for name in ("a", "b", "quote", "line", "untranslated", "short", "cafe", "empty-text"):
        write_audio(audio / f"{name}.wav", TONE, 16_000)
    soundfile.write(audio / "stereo.wav", np.stack([TONE, TONE], axis=1), 48_000)
    soundfile.write(audio / "float.wav", TONE, 16_000, subtype="FLOAT")
    soundfile.write(audio / "nan.wav", np.full(16_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    (audio / "broken.wav").write_bytes(b"RIFF....WAVEgarbage")
    soundfile.write(audio / "nothing.wav", np.zeros(0, np.float32), 16_000)
    rows = [
        fleurs_row(1, "a.wav", "One reading"),
        fleurs_row(1, "b.wav", "One reading"),
        fleurs_row(2, "quote.wav", 'An "unbalanced quote'),
        fleurs_row(3, "line.wav", "Odd\u2028separator\x85inside"),
        fleurs_row(9, "untranslated.wav", "Nobody translated this"),
        fleurs_row(3, "short.wav", "Wrong length", 17),
        fleurs_row(3, "cafe.wav", "Cafe\u0301 decomposed"),
        fleurs_row(3, "stereo.wav", "Stereo at 48 kHz"),
        fleurs_row(3, "float.wav", "Float"),
        fleurs_row(3, "nan.wav", "Not a number"),
        fleurs_row(3, "broken.wav", "Broken"),
        fleurs_row(3, "nothing.wav", "Empty", 0),
        fleurs_row(3, "missing.wav", "Missing"),
        fleurs_row(3, "a.wav", "The same file again"),
        fleurs_row(3, "empty-text.wav", ""),
        "too\tfew\tcolumns",
    ]
    (source / "test.tsv").write_bytes("\n".join(rows).encode() + b"\r\n")
    translations = [(1, "Una"), (2, 'Con "comillas'), (3, "Tres"), (3, "Tres otra"), (4, "Cuatro")]
    (target / "test.tsv").write_text(
        "\n".join(fleurs_row(number, f"{index}.wav", text) for index, (number, text) in enumerate(translations))
    )
    return tmp_path


def test_fleurs_names_every_fault(fleurs):
    dataset = load_fleurs(fleurs, "en_us", "es_419")
    assert [utterance.name for utterance in dataset.utterances] == [
        "1_a", "1_b", "2_quote", "3_line", "3_short", "3_cafe", "3_stereo", "3_float",
    ]  # fmt: skip
    assert kinds(dataset) == {
        "3 columns instead of 7": 1,
        "2 channels, averaged": 1,
        "audio cannot be decoded": 1,
        "audio holds NaN or infinity": 1,
        "audio is empty": 1,
        "audio missing": 1,
        "file named twice": 1,
        "length differs from the table": 1,
        "no translation of its id": 1,
        "reference differs between readings": 1,
        "sample rate 48000 Hz, resampled": 1,
        "sentence read more than once": 2,
        "transcript is empty": 1,
        "transcript was not NFC": 1,
    }
    by_name = {utterance.name: utterance for utterance in dataset.utterances}
    assert by_name["2_quote"].transcript == 'An "unbalanced quote'
    assert by_name["3_line"].transcript == "Odd\u2028separator\x85inside"
    assert by_name["1_a"].document == by_name["1_b"].document == "1"
    assert set(dataset.sha256) == {"en_us/test.tsv", "es_419/test.tsv"}


def test_recordings_of_two_splits_are_told(fleurs):
    before = load_fleurs(fleurs, "en_us", "es_419")
    (fleurs / "data" / "en_us" / "train.tsv").write_text(
        fleurs_row(7, "a.wav", "Twice") + "\n" + fleurs_row(8, "z.wav", "Once")
    )
    dataset = load_fleurs(fleurs, "en_us", "es_419")
    assert kinds(dataset) == kinds(before) | {"recording is also in split train": 1}
    assert dataset.utterances == before.utterances


def test_data_check_fails_on_what_it_drops(fleurs, capsys):
    assert main(["data", "check", str(fleurs), "--set", "fleurs", "--from", "en_us", "--to", "es_419"]) == 2
    said = capsys.readouterr()
    assert "no translation of its id: untranslated.wav" in said.out
    assert "Traceback" not in said.err
    assert "had to be dropped" in said.err


def test_unknown_languages_and_missing_sets_are_told(fleurs, tmp_path):
    with pytest.raises(BadInput, match="it has: en_us, es_419"):
        load_fleurs(fleurs, "xx_xx", "es_419")
    with pytest.raises(BadInput, match=r"cannot read the table"):
        load_fleurs(fleurs, "en_us", "es_419", split="dev")
    with pytest.raises(BadInput, match="no folder"):
        load_folder(tmp_path / "nowhere", "en", "es")
    assert language_of("cmn_hans_cn") == "zh"


def test_covost_reads_escapes_and_other_suffixes(tmp_path):
    (tmp_path / "clips").mkdir()
    write_audio(tmp_path / "clips" / "one.wav", TONE, 16_000)
    soundfile.write(tmp_path / "clips" / "two.mp3", TONE, 16_000, format="MP3")
    rows = [
        "path\tsentence\ttranslation\tclient_id",
        'one.mp3\tHe said \\"no\tDijo \\"no\tspeaker',
        "two.mp3\ta \\\\ b\tun \\\\ b\tspeaker",
        "three.mp3\tgone\tido\tspeaker",
    ]
    (tmp_path / "covost_v2.en_zh-CN.test.tsv").write_text("\n".join(rows))
    dataset = load_covost(tmp_path, "en", "zh-CN")
    assert [utterance.transcript for utterance in dataset.utterances] == ['He said "no', "a \\ b"]
    assert dataset.utterances[0].target_language == "zh"
    assert kinds(dataset) == {"audio missing": 1}
    with pytest.raises(BadInput, match="get_covost_splits"):
        load_covost(tmp_path, "fr", "en")


def test_segment_lists_make_talks(tmp_path):
    write_audio(tmp_path / "wav" / "talk.wav", np.tile(TONE, 5), 16_000)
    segments = [{"wav": "talk.wav", "offset": 2.0, "duration": 1.0}, {"wav": "talk.wav", "offset": 0.5, "duration": 1.0}]
    (tmp_path / "dev.yaml").write_text(yaml.safe_dump(segments))
    (tmp_path / "dev.en").write_text("second\nfirst\n")
    (tmp_path / "dev.de").write_text("zweiter\nerster\n")
    dataset = load_segments(tmp_path, "en", "de", "dev")
    assert dataset.utterances[0].reference == "erster zweiter"
    assert kinds(dataset) == {"segments out of order": 1}
    (tmp_path / "dev.de").write_text("nur einer\n")
    with pytest.raises(BadInput, match="1 lines for 2 segments"):
        load_segments(tmp_path, "en", "de", "dev")
    (tmp_path / "dev.yaml").write_text("- {wav: talk.wav}")
    with pytest.raises(BadInput, match="list of segments"):
        load_segments(tmp_path, "en", "de", "dev")


def test_a_code_that_is_no_language_is_told(tmp_path):
    write_audio(tmp_path / "a.wav", TONE, 16_000)
    (tmp_path / "transcripts.tsv").write_text("file\tlanguage\ttranscript\ttranslation_spa\na.wav\ten\thello\thola\n")
    assert kinds(load_folder(tmp_path, "en", "spa")) == {"unknown language": 1}


def test_a_folder_needs_its_columns(tmp_path):
    write_audio(tmp_path / "a.wav", TONE, 16_000)
    (tmp_path / "transcripts.tsv").write_text(
        "file\tlanguage\ttranscript\ttranslation_es\na.wav\ten\thello\thola\nb.wav\tfr\tx\ty\n"
    )
    dataset = load_folder(tmp_path, "en", "es")
    assert dataset.utterances[0].reference == "hola"
    assert kinds(dataset) == {"language is fr, not en": 1}
    with pytest.raises(BadInput, match="no column 'translation_de'"):
        load_folder(tmp_path, "en", "de")
    with pytest.raises(BadInput, match="nothing in"):
        load_folder(tmp_path, "xx", "es")
    (tmp_path / "transcripts.tsv").write_bytes(b"file\tlanguage\xff")
    with pytest.raises(BadInput, match="not UTF-8 at byte 13"):
        load_folder(tmp_path, "en", "es")


@pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")
def test_the_synthetic_set_is_a_fleurs_set(tmp_path):
    synthesize(tmp_path, [("Hello there.", "Hola."), ('An "odd one.', 'Uno "raro.')])
    dataset = load_fleurs(tmp_path, "en_us", "es_419")
    assert len(dataset.utterances) == 3
    for utterance in dataset.utterances:
        assert len(utterance.word_ends_s) == len(utterance.transcript.split())
        assert utterance.word_ends_s[-1] <= utterance.duration_s
    with tarfile.open(tmp_path / "data" / "en_us" / "audio" / "test.tar.gz") as archive:
        assert "test/1000000010.wav" in archive.getnames()


@pytest.mark.parametrize("snr_db", [20.0, 10.0, 5.0])
def test_noise_is_as_loud_as_asked(snr_db):
    quiet = TONE / 4
    noise = with_noise(quiet, snr_db, seed=3) - quiet
    found_db = 10 * np.log10(np.mean(quiet.astype(float) ** 2) / np.mean(noise.astype(float) ** 2))
    assert found_db == pytest.approx(snr_db, abs=0.05)
    assert np.array_equal(with_noise(quiet, snr_db, seed=3), with_noise(quiet, snr_db, seed=3))


def test_faster_copies_keep_their_word_ends_in_place(tmp_path):
    made = tone_set(tmp_path)[:1]
    faster = harder_copies(made, tmp_path / "fast", speed=1.25)[0]
    samples, rate = read_audio(tmp_path / "fast" / f"{made[0].name}.wav")
    assert len(samples) / rate == pytest.approx(faster.duration_s)
    assert faster.duration_s == pytest.approx(made[0].duration_s / 1.25, rel=0.03)
    assert faster.word_ends_s[-1] / faster.duration_s == pytest.approx(made[0].word_ends_s[-1] / made[0].duration_s)
    assert at_speed(TONE, 16_000, 1.0) is TONE
    with pytest.raises(BadInput, match="not above 0"):
        harder_copies(made, tmp_path, speed=0)


def test_copies_are_sets_that_can_be_checked_moved_and_run(tmp_path, capsys):
    made = tone_set(tmp_path / "tones")
    write_manifest(tmp_path / "tones" / "manifest.jsonl", made)
    assert main(["data", "stress", str(tmp_path / "tones"), str(tmp_path / "out"), "--snr", "10"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"snr10", "speed1", "speed1.25", "speed1.5"}
    (tmp_path / "out").rename(tmp_path / "moved")
    for copy in (tmp_path / "moved").iterdir():
        assert main(["data", "check", str(copy)]) == 0
        assert [utterance.transcript for utterance in load_manifest(copy).utterances] == [item.transcript for item in made]
    slower, faster = (load_manifest(tmp_path / "moved" / name).utterances[0].duration_s for name in ("speed1", "speed1.5"))
    assert slower == pytest.approx(1.5 * faster, rel=0.03)
    assert slower == pytest.approx(made[0].duration_s)
    (tmp_path / "moved" / "snr10" / "tones-0.wav").unlink()
    capsys.readouterr()
    assert main(["data", "check", str(tmp_path / "moved" / "snr10")]) == 2
    assert "dropped audio missing: tones-0" in capsys.readouterr().out


def test_a_folder_that_refuses_audio_is_a_fault_of_the_disk(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DeviceError, match="Free space or choose another folder"):
        write_audio(tmp_path / "file" / "a.wav", TONE, 16_000)


def test_a_talk_repeats_its_recordings_until_it_is_long_enough(tmp_path):
    made = tone_set(tmp_path)
    talk, samples = join(made, "talk", 60.0)
    assert 60 <= talk.duration_s == len(samples) / 16_000
    assert len(talk.sentences) % len(made) == 0
    second = talk.sentences[1]
    begin = round(second.offset_s * 16_000)
    assert np.allclose(samples[begin : begin + 8000], read_audio(tmp_path / f"{made[1].name}.wav")[0][:8000])


def test_manifests_round_trip(tmp_path):
    made = tone_set(tmp_path)
    write_manifest(tmp_path / "manifest.jsonl", made)
    assert read_manifest(tmp_path / "manifest.jsonl") == made
    (tmp_path / "manifest.jsonl").write_text('{"name": 1}\n')
    with pytest.raises(BadInput, match="cannot read the manifest"):
        read_manifest(tmp_path / "manifest.jsonl")
    assert data.counts(load_set_of(tmp_path))["utterances"] == 1


def load_set_of(folder):
    write_audio(folder / "a.wav", TONE, 16_000)
    (folder / "transcripts.tsv").write_text("file\tlanguage\ttranscript\ttranslation_es\na.wav\ten\thello\thola\n")
    return load_folder(folder, "en", "es")


def test_everyday_sentences_that_were_spoken_are_a_folder_in_either_language(tmp_path, monkeypatch):
    async def spoken(texts, language):
        return [TONE for _ in texts]

    monkeypatch.setattr(speak_everyday, "_spoken", spoken)
    assert main(["speak-everyday", str(tmp_path / "new"), "--sentences", "2"]) == 0
    for source, target, said in (("en", "pt", "english"), ("pt", "en", "portuguese")):
        dataset = load_folder(tmp_path / "new", source, target)
        assert [one.name for one in dataset.utterances] == [f"{source}-00", f"{source}-01"]
        assert kinds(dataset) == {f"language is {target}, not {source}": 2}
        assert [one.sentences[0].transcript for one in dataset.utterances] == [getattr(one, said) for one in everyday()[:2]]
