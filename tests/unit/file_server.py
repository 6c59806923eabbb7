"""A file server on this machine that misbehaves as told, for tests of downloads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Script:
    """What the server has, and how it misbehaves; `asked` collects the requests' paths and headers."""

    content: bytes
    etag: str | None = '"one"'
    ranges: bool = True
    cut: Callable[[int], int | None] = lambda number: None
    """Bytes of the body after which request `number` (from 0) is cut; None: it is not."""
    status: Callable[[int], int] = lambda number: 200
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    """Seconds of silence in the middle of each body."""
    sends_length: bool = True
    asked: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """The URL of a server that follows the script."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(script))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            number = len(script.asked)
            script.asked.append({"path": self.path, **{key.lower(): value for key, value in self.headers.items()}})
            status = script.status(number)
            if status != 200:
                self._answer(status, b"", script.headers)
                return
            start = _wanted(script, script.asked[-1])
            if start is not None and start >= len(script.content):
                self._answer(416, b"", {"Content-Range": f"bytes */{len(script.content)}"})
                return
            headers = dict(script.headers) | ({"ETag": script.etag} if script.etag else {})
            if start is not None:
                headers["Content-Range"] = f"bytes {start}-{len(script.content) - 1}/{len(script.content)}"
            self._answer(200 if start is None else 206, script.content[start or 0 :], headers, script.cut(number))

        def _answer(self, status: int, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            if script.sends_length:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            half = len(body[:cut]) // 2
            self.wfile.write(body[:half])
            self.wfile.flush()
            if body and script.pause:
                time.sleep(script.pause)
            self.wfile.write(body[half:cut])
            self.close_connection = True

    return Handler


def _wanted(script: Script, asked: dict[str, str]) -> int | None:
    """First byte asked for; None: the whole file."""
    if not script.ranges or "range" not in asked or asked.get("if-range", script.etag) != script.etag:
        return None
    return int(asked["range"].removeprefix("bytes=").removesuffix("-"))
