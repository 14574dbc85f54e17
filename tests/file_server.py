"""Files over HTTP from this machine, as a hub or a package registry has them, with the faults of real ones."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FileServer:
    """Serves ``files`` by path; ``cuts`` is how often it hangs up half way, ``gate`` is waited for before each body."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.cuts = 0
        self.ranges = True
        self.gate: threading.Event | None = None
        self.answering = threading.Event()
        self.asked: list[str] = []
        self.begun_at: list[int] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                server.asked.append(self.path)
                self.answer(body=True)

            def answer(self, body: bool) -> None:
                data = server.files.get(self.path)
                if data is None:
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                begin = (
                    int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")) if server.ranges else 0
                )
                self.send_response(206 if begin else 200)
                self.send_header("Content-Length", str(len(data) - begin))
                if server.ranges:
                    self.send_header("Accept-Ranges", "bytes")
                if begin:
                    self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
                self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
                self.end_headers()
                if body:
                    self.send(data, begin)

            def send(self, data: bytes, begin: int) -> None:
                server.begun_at.append(begin)
                server.answering.set()
                if server.gate:
                    server.gate.wait(10)
                cut = server.cuts > 0
                server.cuts -= cut
                self.wfile.write(data[begin : (begin + len(data)) // 2 if cut else None])
                self.close_connection = True

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator["FileServer"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()
