"""Completion and the manual page, which are made from the parsers and so name every option."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from pipeline.cli import main
from pipeline.commands.parser import LISTED, actions_of, options_of, parser_of

OPTIONS = sorted(
    {name for command in (None, *LISTED) for option in options_of(parser_of(command)) for name in option.option_strings}
)


def printed(capsys, *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def completed(script: str, *words: str, shell: tuple[str, ...] = ("bash",), first: str = "") -> set[str]:
    """Ask a shell that has loaded the script for what completes the last of the words."""
    line = " ".join(f"'{word}'" for word in ("translate-live", *words))
    show = "printf '%s\\n' \"${COMPREPLY[@]}\""
    asked = f"{script}\n{first}\nCOMP_WORDS=({line}); COMP_CWORD={len(words)}; _translate_live; {show}"
    return set(subprocess.run([*shell, "-c", asked], capture_output=True, text=True, check=True).stdout.split())


def test_bash_completes_commands_options_values_and_files(capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talk.wav").touch()
    script = printed(capsys, "completion", "bash")
    assert completed(script, "") == {*LISTED, "talk.wav", *(o for o in completed(script, "--"))}
    assert completed(script, "voi") == {"voices"}
    assert completed(script, "talk.wav", "--captions") == {"--captions", "--captions-language", "--captions-time"}
    assert completed(script, "talk.wav", "--captions-language", "") == {"source", "target", "both"}
    assert completed(script, "voices", "a") == {"add", "audit"}
    assert completed(script, "voices", "add", "--cons") == {"--consent", "--consent-text"}
    assert completed(script, "doctor", "--to") == {"--to"}
    assert completed(script, "talk") == {"talk.wav"}
    assert "translate" not in completed(script, "t")


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")
def test_zsh_completes_as_its_own_bashcompinit_calls_it(capsys, tmp_path) -> None:
    script = f"autoload -U compinit; compinit -D -u\n{printed(capsys, 'completion', 'zsh')}"
    zsh = {"shell": ("zsh", "-f"), "first": "setopt ksh_arrays"}
    # which of them begin with what is typed, zsh finds by itself
    assert completed(script, "", **zsh) >= {*LISTED, "--to"}
    assert completed(script, "talk.wav", "--captions-language", "s", **zsh) == {"source", "target", "both"}
    adding = completed(script, "voices", "add", "--", **zsh)
    assert "--consent-text" in adding
    assert "--captions" not in adding


@pytest.mark.parametrize(("shell", "syntax"), [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])])
def test_each_shell_gets_every_option_in_its_syntax(capsys, tmp_path, shell, syntax) -> None:
    script = printed(capsys, "completion", shell)
    for name in OPTIONS:
        if name.startswith("--"):
            assert (f"-l {name[2:]}" if shell == "fish" else name) in script
    path = tmp_path / "script"
    path.write_text(script)
    if shutil.which(shell):
        subprocess.run([*syntax, str(path)], check=True)


def test_another_shell_is_refused(capsys) -> None:
    assert main(["completion", "csh"]) == 2
    assert "'csh'" in capsys.readouterr().err


def test_the_manual_names_all_options_and_commands(capsys) -> None:
    page = printed(capsys, "man")
    plain = page.replace("\\-", "-")
    for name in OPTIONS:
        assert name in plain
    for command in LISTED:
        assert f".SS translate-live {command}" in plain
    for action in actions_of(parser_of("voices")):
        assert f".SS translate-live voices {action}" in plain
    assert all(
        line.startswith((".TH ", ".SH", ".SS", ".TP", ".B ", ".PP", ".nf", ".fi"))
        for line in page.split("\n")
        if line[:1] == "."
    )
    if shutil.which("groff"):
        said = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True, text=True, check=True)
        assert said.stderr == ""
