"""The user's own defaults: read by themselves, overruled by what is typed, and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.cli import parse
from pipeline.commands.config_file import config_path
from pipeline.commands.translate_options import checked
from pipeline.errors import BadInput

CONFIG = """
profile: cpu
from: [en, no]
to: es
glossary: terms.csv
devices:
  in: USB
  out: Headphones
"""


@pytest.fixture
def config(monkeypatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("TRANSLATE_LIVE_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.wav").touch()
    path = tmp_path / "translate-live" / "config.yaml"
    path.parent.mkdir()
    path.write_text(CONFIG)
    return path


def test_it_is_read_by_itself_and_told(config: Path, capsys) -> None:
    _, arguments = parse(["talk.wav"])
    assert (arguments.profile, arguments.source, arguments.to) == ("cpu", "en,no", "es")
    assert arguments.glossary == [config.parent / "terms.csv"]
    assert capsys.readouterr().err == f"settings of {config}\n"
    parse(["talk.wav", "-q"])
    assert capsys.readouterr().err == ""


def test_what_is_typed_goes_before(config: Path) -> None:
    _, arguments = parse(["talk.wav", "--to", "fr", "--from", "auto", "--profile", "auto"])
    assert (arguments.profile, arguments.source, arguments.to) == ("auto", "auto", "fr")
    options = checked(parse(["--mic", "--in-device", "webcam"])[1])
    assert (options.in_device, options.out_device) == ("webcam", "Headphones")


def test_devices_are_for_sessions_that_use_them(config: Path) -> None:
    for words, devices in (
        (["talk.wav"], (None, None)),
        (["--mic"], ("USB", "Headphones")),
        (["--mic", "--no-speech"], ("USB", None)),
        (["talk.wav", "--realtime"], (None, "Headphones")),
        (["talk.wav", "--realtime", "--out", "a.wav"], (None, None)),
        (["talk.wav", "--realtime", "--record", "kept"], (None, None)),
        (["--mic", "--record", "kept"], ("USB", "Headphones")),
        (["https://radio.example/live.mp3", "--allow-network"], (None, "Headphones")),
    ):
        options = checked(parse(words)[1])
        assert (options.in_device, options.out_device) == devices, words


def test_other_commands_take_the_profile_alone(config: Path) -> None:
    assert parse(["voices", "list"])[1].profile == "cpu"
    _, arguments = parse(["doctor"])
    assert (arguments.profile, arguments.to) == ("cpu", None)
    config.write_text("to: fr\n")
    assert parse(["doctor"])[1].to is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("profil: cpu", "unknown setting profil; did you mean 'profile'?"),
        ("devices: {input: USB}", "unknown setting devices.input; valid: in, out"),
        ("devices: USB", "devices needs lines of 'key: value'; valid: in, out"),
        ("to: [3]", r"to cannot be \[3\]; valid: a text"),
        ("profile: [cpu]", "profile cannot be"),
        ("- to", "it needs lines of 'key: value'; valid: profile, from"),
        ("to: [", "is no YAML"),
    ],
)
def test_mistakes_are_told_with_the_file(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        parse(["talk.wav"])
    assert str(config) in str(caught.value)
    with pytest.raises(SystemExit):
        parse(["--help"])


def test_the_variable_names_another_file_or_none(config: Path, monkeypatch) -> None:
    assert config_path() == config
    monkeypatch.setenv("TRANSLATE_LIVE_CONFIG", "")
    assert config_path() is None
    monkeypatch.setenv("TRANSLATE_LIVE_CONFIG", "nowhere.yaml")
    with pytest.raises(BadInput, match=r"cannot read nowhere\.yaml"):
        parse(["talk.wav"])


def test_a_server_of_ones_own_has_its_own_profile_and_can_be_left_out(config: Path) -> None:
    config.write_text(CONFIG + "server: wss://rack.example\n")
    arguments = parse(["talk.wav"])[1]
    options = checked(arguments)
    assert (options.server.url, options.profile) == ("wss://rack.example", "auto")
    assert checked(parse(["talk.wav", "--server", "", "--profile", "cpu"])[1]).server is None
    assert parse(["doctor"])[1].profile == "cpu"
