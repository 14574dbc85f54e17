"""The command on awkward files, streams and addresses: options, hints and exit codes."""

import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from pipeline.cli import main
from tests.encoded_sound import FORMS, RATE, encoded
from tests.file_server import FileServer
from tests.unit.test_audio_files import tone, write
from tests.unit.test_cli_translate import SCRIPTED, options_of
from tests.unit.test_media_files import TRACKS, film


@pytest.fixture
def translate(tmp_path, capsys):
    """Run the command with scripted models; gives exit code, standard output and the lines of standard error."""
    config = tmp_path / "scripted.yaml"
    config.write_text(json.dumps(SCRIPTED))

    def run(*words):
        code = main([*map(str, words), "--to", "es", "--profile", "cpu", "--config", str(config)])
        said = capsys.readouterr()
        return code, said.out.split(), said.err.splitlines()

    return run


def test_of_several_tracks_the_one_that_is_heard_is_told_and_another_can_be_chosen(translate, tmp_path):
    path = film(tmp_path / "film.mkv", TRACKS, picture_s=0.4)
    _, _, said = translate(path)
    [line] = [line for line in said if "audio track" in line]
    assert line.startswith(f"notice: {path}: audio track 1 (eng, Main) of 3 is heard")
    assert line.endswith("--track N or --track LANGUAGE hears another")
    assert "audio track 2 (spa) of 3" in "".join(translate(path, "--track", "spa")[2])
    code, _, said = translate(path, "--track", "4")
    assert code == 2
    assert "no audio track 4; it has: 1 (eng, Main); 2 (spa); 3 (eng, Commentary)" in said[-1]


def test_languages_of_from_choose_a_track(translate, tmp_path):
    path = film(tmp_path / "film.mkv", TRACKS[1::-1], picture_s=0.4)
    assert "audio track 2 (eng, Main) of 2" in "".join(translate(path, "--from", "en")[2])


@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_a_silent_file_in_which_no_word_was_heard_is_an_error(translate, tmp_path, quiet):
    path = write(tmp_path / "silent.wav", np.zeros(4_000, np.float32))
    code, out, said = translate(path, *quiet)
    assert (code, out) == (2, [])
    assert f"error: {path} is silent: nothing could be heard" in said
    assert said[-1].startswith("try: ")


@pytest.mark.parametrize("quiet", [(), ("-q",)])
@pytest.mark.parametrize(("level", "told"), [(0.001, 1), (0.005, 1), (0.05, 0)])
def test_a_very_quiet_file_is_told(translate, tmp_path, quiet, level, told):
    path = write(tmp_path / "quiet.wav", tone(2, 16_000, level))
    code, out, said = translate(path, *quiet)
    assert code == 0
    assert out
    assert sum(f"{path} is very quiet (its loudest sample {20 * np.log10(level):.0f} dB)" in line for line in said) == told


def test_compressed_sound_can_be_piped_in(tmp_path):
    config = tmp_path / "scripted.yaml"
    config.write_text(json.dumps(SCRIPTED))
    kind, codec, options = FORMS["mp3 without a tag"]
    words = [sys.executable, "-m", "pipeline", "-", "--to", "es", "--profile", "cpu", "--config", config]
    data = encoded(kind, codec, **options)
    ended = subprocess.run([*map(str, words)], input=data, capture_output=True, timeout=30, check=False)
    assert ended.returncode == 0
    assert len(ended.stdout.split()) == 7  # words of 0.4 s in 3 s
    assert b"heard 3.0 s" in ended.stderr


def test_an_address_is_heard_when_that_is_allowed(translate, tmp_path):
    path = write(tmp_path / "talk.flac", tone(0.9, 16_000))
    with FileServer({"/talk.flac": path.read_bytes()}).running() as server:
        code, out, said = translate(f"{server.url}/talk.flac", "--allow-network", "--no-speech")
        assert (code, len(out)) == (0, 2)
        assert any("heard 0.9 s" in line for line in said)
        assert translate(f"{server.url}/other.flac", "--allow-network", "--no-speech")[0] == 5
        code, _, said = translate(f"{server.url}/talk.flac")
    assert code == 2
    assert said[-1] == "try: --allow-network"


def test_what_looks_like_an_address_and_is_a_file_is_a_file(translate, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "http:" / "a").mkdir(parents=True)
    soundfile.write("http:/a/b.wav", tone(1, RATE), RATE)
    code, out, _ = translate("http://a/b.wav")
    assert (code, len(out)) == (0, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["http://a/b", "c.wav", "--allow-network"], "an address cannot be one of several inputs"),
        (["http://a/b", "--allow-network", "--fast"], "--fast is faster than an address"),
        (["c.wav", "--allow-network"], "--allow-network does nothing without ADDRESS"),
        (["--mic", "--track", "2"], "--track N does nothing without FILE"),
    ],
)
def test_options_that_contradict_themselves_are_refused(translate, words, said):
    code, _, lines = translate(*words)
    assert code == 2
    assert said in lines[0]


def test_options_reach_what_is_heard():
    assert options_of("a.wav").rate_hz is None
    assert options_of("-", "--rate", "8000").rate_hz == 8_000
    assert options_of("srt://host:9", "--allow-network").realtime
    assert isinstance(options_of("a.wav", "--track", "eng").track, str)
