"""Glossaries from an address: bounded, from none but the one named, and for a server's clients from allowed ones only."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.errors import BadInput, NetworkError
from pipeline.hints import MOST, Hints
from pipeline.sources.glossary_address import check_address, check_prefix, fetched, glossary_from, hints_from, is_allowed
from tests.unit.test_cli_translate import config, in_folder, talk, translate  # noqa: F401 - fixtures

CSV = b"source,target\nword3,TRES\nword5,CINCO\n"


class Site:
    """An HTTP server of answers by path: status, headers, body; ``asked`` is what came."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: list[tuple[str, str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                site.asked.append((self.path, self.headers.get("Authorization", "")))
                status, headers, body = site.answers.get(path, (404, {}, b""))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site():
    site = Site()
    thread = threading.Thread(target=site.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    site.server.shutdown()
    thread.join()
    site.server.server_close()


def sources(glossary) -> list[str]:
    return [entry.source for entry in glossary.entries]


def test_the_format_is_that_of_the_name_or_of_the_answer(site, tmp_path):
    site.answers = {
        "/terms.csv": (200, {}, CSV),
        "/terms": (200, {"Content-Type": "application/json; charset=utf-8"}, b'{"uno": "one"}'),
        "/page": (200, {"Content-Type": "text/html"}, b"<html>"),
    }
    mine = tmp_path / "mine.yaml"
    mine.write_text("dos: two\n")
    merged = glossary_from([f"{site.url}/terms.csv", mine, f"{site.url}/terms?x=1"], ("en",), ("es",))
    assert sources(merged) == ["word3", "word5", "dos", "uno"]
    with pytest.raises(BadInput, match="text/html"):
        fetched(f"{site.url}/page")


def test_a_server_reads_no_workbook(site):
    site.answers = {"/terms.xlsx": (200, {}, b"PK")}
    with pytest.raises(BadInput, match="a workbook is not read here"):
        glossary_from([f"{site.url}/terms.xlsx"], workbooks=False)
    with pytest.raises(BadInput, match="not a workbook that can be read"):
        glossary_from([f"{site.url}/terms.xlsx"])


def test_a_mistake_is_told_with_the_address_and_its_line_and_without_what_is_secret(site):
    site.answers = {"/terms.csv": (200, {}, b"source,target,mode\na,b,hardly\n")}
    with pytest.raises(BadInput) as error:
        glossary_from([f"{site.url}/terms.csv?token=secret"])
    assert f"{site.url}/terms.csv:2" in str(error.value)
    assert "secret" not in str(error.value)
    assert "/tmp" not in str(error.value)


def test_it_is_bounded_in_size_and_a_redirect_or_refusal_is_told(site):
    site.answers = {
        "/big.csv": (200, {}, b"x" * 20_000),
        "/moved.csv": (302, {"Location": "http://169.254.169.254/latest/meta-data?a=b"}, b""),
        "/closed.csv": (401, {}, b""),
    }
    with pytest.raises(BadInput, match="more than the 10 KiB"):
        fetched(f"{site.url}/big.csv", 10_240)
    with pytest.raises(
        NetworkError, match="leads elsewhere, which is not followed: http://169.254.169.254/latest/meta-data;"
    ):
        fetched(f"{site.url}/moved.csv")
    with pytest.raises(NetworkError, match="answers 401") as error:
        fetched(f"{site.url}/closed.csv")
    assert "TRANSLATE_LIVE_GLOSSARY_TOKEN" in error.value.hint
    with pytest.raises(NetworkError, match="answers 404"):
        fetched(f"{site.url}/none.csv")
    assert len(site.asked) == 4


def test_a_site_that_never_answers_or_is_not_there_is_given_up(monkeypatch):
    monkeypatch.setattr("pipeline.sources.glossary_address.MOST_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NetworkError, match="no answer in time"):
        fetched(f"http://127.0.0.1:{silent.getsockname()[1]}/terms.csv")
    with pytest.raises(NetworkError, match="cannot be fetched"):
        fetched("http://127.0.0.1:9/terms.csv")


def test_a_site_that_drips_is_given_up(site, monkeypatch):
    monkeypatch.setattr("pipeline.sources.glossary_address.MOST_S", 0.0)
    site.answers = {"/terms.csv": (200, {}, CSV)}
    from pipeline.sources import glossary_address

    class Answer:
        def read1(self, count: int) -> bytes:
            return b"x"

    with pytest.raises(NetworkError, match="did not come within"):
        glossary_address._read(Answer(), "https://h/x.csv", 100, -1.0)


@pytest.mark.parametrize(
    "address",
    [
        "http://terms.example/x.csv",
        "ftp://h/x.csv",
        "https://",
        "https://a:b@h/x.csv",
        "https://h:x/y",
        "file:///etc/passwd",
        "https://h/a b",
    ],
)
def test_what_is_no_address_for_a_glossary(address):
    with pytest.raises(BadInput):
        check_address(address)


def test_only_what_lies_below_an_allowed_folder_is_allowed():
    allowed = ["https://terms.example/team/", "http://127.0.0.1:8080/"]
    for address in (
        "https://terms.example/team/x.csv",
        "https://TERMS.example:443/team/a/b.csv?v=1",
        "http://127.0.0.1:8080/x",
    ):
        assert is_allowed(address, allowed), address
    for address in (
        "http://terms.example/team/x.csv",
        "https://terms.example.evil/team/x.csv",
        "https://terms.example@evil.example/team/x.csv",
        "https://evil.example/https://terms.example/team/x.csv",
        "https://terms.example/teammate/x.csv",
        "https://terms.example/team/../secret.csv",
        "https://terms.example/team/%2e%2e/secret.csv",
        "https://terms.example/team/..%2fsecret.csv",
        "https://terms.example/team/%252e%252e/secret.csv",
        "https://terms.example/team\\..\\x.csv",
        "https://terms.example:8443/team/x.csv",
        "http://127.0.0.1:8081/x",
        "http://[::1]:8080/x",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "",
    ):
        assert not is_allowed(address, allowed), address
    for prefix in (
        "https://terms.example",
        "https://terms.example/team",
        "http://terms.example/",
        "https://h/a/../",
        "https://h/?x=/",
    ):
        with pytest.raises(BadInput):
            check_prefix(prefix)


def test_the_command_fetches_a_glossary_only_if_it_may(translate, config, site, monkeypatch):  # noqa: F811
    import json

    from tests.unit.test_cli_translate import SCRIPTED

    config.write_text(json.dumps(SCRIPTED | {"translator": {"use": "tests.scripted_backends:Tagging"}}))
    site.answers = {"/terms.csv": (200, {}, CSV)}
    monkeypatch.setenv("TRANSLATE_LIVE_GLOSSARY_TOKEN", "sesame")
    address = f"{site.url}/terms.csv"
    code, _, err = translate("--glossary", address)
    assert code == 2
    assert "nothing is fetched from a network unless you allow it" in err
    assert site.asked == []
    code, out, _ = translate("--glossary", address, "--allow-network")
    assert code == 0
    assert "[TRES]" in out
    assert site.asked == [("/terms.csv", "Bearer sesame")]
    code, _, err = translate("--glossary", f"{site.url}/none.csv", "--allow-network")
    assert code == 5
    assert "answers 404" in err


def test_hints_are_lines_or_an_array_from_files_and_addresses_each_once(site, tmp_path):
    site.answers = {
        "/names": (200, {"Content-Type": "text/plain"}, "\ufeff# people\nAna  Silva\n\nZeta Kinase\n".encode()),
        "/names.json": (200, {}, b'["Zeta Kinase", "Zelkova"]'),
    }
    mine = tmp_path / "mine.txt"
    mine.write_text("Oke\n")
    found = hints_from([f"{site.url}/names", mine, f"{site.url}/names.json"], token="sesame")
    assert found == ("Ana Silva", "Zeta Kinase", "Oke", "Zelkova")
    assert {token for _, token in site.asked} == {"Bearer sesame"}


@pytest.mark.parametrize("text", ["", "# people\n", "\n \n"])
def test_hints_without_words_are_told(tmp_path, text):
    mine, told = tmp_path / "mine.txt", []
    mine.write_text(text)
    assert hints_from([mine], told.append) == ()
    assert told == [f"notice: {mine} holds no hints: it has no words, one a line"]


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("x.json", b'{"a": 1}', "holds no hints"),
        ("x.json", b'["a", 1]', "holds no hints"),
        ("x.json", b"[" * 10_000, "holds no hints"),
        ("x.txt", b"\xff\xfe", "UTF-8"),
        ("x.txt", b"x" * 201, "at most 200 characters"),
        ("x.txt", "\n".join(f"word{number}" for number in range(MOST + 1)).encode(), "1001 hints are more than"),
        ("x.txt", b"x\n" * 6000, "more than the 10 KiB"),
    ],
)
def test_what_holds_no_hints_is_told_with_its_address_only(site, name, body, said):
    site.answers = {f"/{name}": (200, {}, body)}
    with pytest.raises(BadInput) as error:
        hints_from([f"{site.url}/{name}?token=secret"], most_bytes=10_240)
    assert said in str(error.value)
    assert "secret" not in str(error.value)


def test_the_command_fetches_hints_only_if_it_may_and_they_reach_the_session(translate, site, monkeypatch, tmp_path):  # noqa: F811
    expected: list[tuple[str, ...]] = []
    watched = Hints.watched
    monkeypatch.setattr(Hints, "watched", lambda self, changed: expected.append(self.words) or watched(self, changed))
    site.answers = {"/names.txt": (200, {}, b"Zelkova\n")}
    mine = tmp_path / "mine.txt"
    mine.write_text("Oke\n")
    code, _, err = translate("--hints", f"{site.url}/names.txt")
    assert code == 2
    assert "nothing is fetched from a network unless you allow it" in err
    assert site.asked == []
    assert translate("--hints", f"{site.url}/names.txt", "--hints", mine, "--allow-network")[0] == 0
    assert expected == [("Zelkova", "Oke")]
    code, _, err = translate("--hints", tmp_path / "none.txt")
    assert code == 2
    assert "cannot read the hints" in err
    code, _, err = translate("--hints", mine, "--transcript", mine)
    assert code == 2
    assert "is read, and would be overwritten" in err
