"""Model files: found by name or folder, downloaded from a local server that cuts the connection half way."""

import errno
import hashlib
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import faster_whisper.tokenizer
import faster_whisper.utils
import pytest

from benchmarks.random_whisper import build
from models.asr.whisper import FasterWhisper
from models.asr.whisper.language import LANGUAGES, SINCE_LARGE_V3, iso_code, whisper_code
from models.asr.whisper.model_files import REPOSITORIES, download, find, lacking, repository
from pipeline.errors import FETCH_MODELS, BadInput, ModelError, NetworkError

NAME = "team/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build(tmp_path_factory.mktemp("tiny"))


class Hub:
    """A model hub on this machine; ``cuts`` is how often it hangs up in the middle of model.bin."""

    def __init__(self, folder, cuts=0):
        self.cuts, self.ranges = cuts, []
        files = {file.name: file.read_bytes() for file in folder.iterdir()}
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def answer(self, body):
                if self.path.startswith(f"/api/models/{NAME}"):
                    siblings = [{"rfilename": name, "size": len(data)} for name, data in files.items()]
                    return self.send(json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings}).encode(), body, {})
                data = files.get(self.path.rpartition("/")[2]) if self.path.startswith(f"/{NAME}/resolve/") else None
                if data is None:
                    self.send_response(404)
                    self.send_header("X-Error-Code", "RepoNotFound")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                etag = hashlib.sha256(data).hexdigest()
                return self.send(data, body, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})

            def send(self, data, body, headers):
                begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
                self.send_response(206 if begin else 200)
                for name, value in {**headers, "Content-Length": str(len(data) - begin)}.items():
                    self.send_header(name, value)
                if begin:
                    hub.ranges.append(begin)
                    self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
                self.end_headers()
                if not body:
                    return
                cut = hub.cuts > 0 and len(data) > 100_000
                hub.cuts -= cut
                self.wfile.write(data[begin : begin + (len(data) - begin) // 2] if cut else data[begin:])
                self.close_connection = True

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def hub(folder, monkeypatch):
    import huggingface_hub.constants
    import huggingface_hub.file_download

    hub = Hub(folder)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", hub.url)
    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 4096)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(huggingface_hub.file_download.time, "sleep", lambda _: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    thread = threading.Thread(target=hub.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    hub.server.shutdown()
    thread.join()
    hub.server.server_close()


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("cuts", [0, 1])
def test_a_download_goes_on_where_the_connection_was_cut(folder, hub, tmp_path, cuts):
    hub.cuts = cuts
    told = []
    download(NAME, str(tmp_path), lambda what, share: told.append((what, share)))
    assert contents(find(NAME, str(tmp_path))) == contents(folder)
    assert told[-1] == (f"downloading {NAME}", 1.0)
    assert all(0.0 <= share <= 1.0 for _, share in told)
    assert bool(hub.ranges) == bool(cuts)


def test_a_hub_that_hangs_up_for_good_is_a_network_error_and_the_next_try_ends_it(folder, hub, tmp_path):
    hub.cuts = 1000
    with pytest.raises(NetworkError, match="goes on where it stopped"):
        download(NAME, str(tmp_path), lambda *_: None)
    assert find(NAME, str(tmp_path)) is None
    hub.cuts = 0
    download(NAME, str(tmp_path), lambda *_: None)
    assert contents(find(NAME, str(tmp_path))) == contents(folder)


def test_a_disk_that_cannot_be_written_is_no_network_error(hub, tmp_path, monkeypatch):
    import huggingface_hub

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(ModelError, match="No space left"):
        download(NAME, str(tmp_path), lambda *_: None)


def test_no_hub_and_no_such_model_are_told_apart(hub, tmp_path, monkeypatch):
    with pytest.raises(BadInput, match="no model 'team/other'"):
        download("team/other", str(tmp_path), lambda *_: None)
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(NetworkError, match=f"^the download of {NAME} failed: Connection refused; try: the same command"):
        download(NAME, str(tmp_path), lambda *_: None)


def test_a_folder_with_the_name_of_a_model_is_not_that_model(tmp_path, monkeypatch):
    (tmp_path / "small").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find("small", str(tmp_path / "cache")) is None
    assert find("./small", str(tmp_path / "cache")) == Path("small")


async def test_what_was_downloaded_is_used_offline(hub, tmp_path, monkeypatch):
    backend = FasterWhisper(NAME, cache=str(tmp_path))
    assert [item.fix for item in backend.missing()] == [FETCH_MODELS]
    with pytest.raises(ModelError, match=FETCH_MODELS):
        async with backend.load():
            pass
    backend.pull(lambda *_: None)
    assert not backend.missing()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.server.shutdown()
    async with backend.load() as recognizer:
        assert recognizer.engine.n_mels == 80


@pytest.mark.parametrize(("beam_size", "apart"), [(1, ()), (5, ("en",))])
async def test_languages_are_decoded_apart_only_where_the_search_differs(folder, beam_size, apart):
    async with FasterWhisper(str(folder), beam_size=beam_size).load() as recognizer:
        assert recognizer.options.greedy_languages == apart


def test_a_half_copied_folder_is_missing_what_it_lacks(folder, tmp_path):
    half = shutil.copytree(folder, tmp_path / "half")
    (half / "model.bin").unlink()
    assert lacking(half) == ["model.bin"]
    assert ["model.bin" in item.what for item in FasterWhisper(str(half)).missing()] == [True]
    assert not FasterWhisper(str(folder)).missing()


def test_names_are_those_of_faster_whisper():
    assert faster_whisper.utils._MODELS == REPOSITORIES
    assert repository("someone/whisper") == "someone/whisper"
    with pytest.raises(BadInput, match="did you mean 'large-v3-turbo'"):
        repository("large-v3-turbo2")
    with pytest.raises(BadInput, match="no such folder"):
        find("./nowhere")


def test_languages_are_those_of_whisper_by_their_iso_codes():
    assert {whisper_code(code) for code in LANGUAGES | SINCE_LARGE_V3} == set(faster_whisper.tokenizer._LANGUAGE_CODES)
    assert all(iso_code(whisper_code(code)) == code for code in LANGUAGES)
    assert FasterWhisper("small.en").languages() == {"en"}
    assert "yue" in FasterWhisper("large-v3-turbo").languages()
    assert "yue" not in FasterWhisper("small").languages()
