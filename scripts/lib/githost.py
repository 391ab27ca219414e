"""A Git host for benches: one repository behind `git http-backend`, with a count of requests and bytes."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from . import git


class GitHost:
    """Serves a work tree over Git's protocol on a loopback port, filters allowed."""

    def __init__(self, repository: Path):
        self.requests, self.sent_bytes = 0, 0
        lock = threading.Lock()
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body are two writes, and the second shall not wait for the first to be acknowledged.
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self._answer(b"")

            def do_POST(self) -> None:
                self._answer(self.rfile.read(int(self.headers.get("content-length", "0"))))

            def _answer(self, body: bytes) -> None:
                head, content = _backend(repository, self, body)
                with lock:
                    host.requests += 1
                    host.sent_bytes += len(content)
                status = int(head.pop("Status", "200 OK")[:3])
                self.send_response(status)
                for name, value in head.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/bench/registry"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def forget(self) -> None:
        """Begins to count anew."""
        self.requests, self.sent_bytes = 0, 0

    def close(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()


def _backend(repository: Path, request: BaseHTTPRequestHandler, body: bytes) -> tuple[dict[str, str], bytes]:
    """Runs `git http-backend`, a program for the Common Gateway Interface (RFC 3875): its headers and its body."""
    path, _, query = request.path.partition("?")
    variables = {
        "GIT_PROJECT_ROOT": str(repository),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        "PATH_INFO": path.removeprefix("/bench/registry"),
        "QUERY_STRING": query,
        "REQUEST_METHOD": request.command,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "CONTENT_LENGTH": str(len(body)),
    }
    command = ["git", "-c", "uploadpack.allowFilter=true", "-c", "safe.directory=*", "http-backend"]
    environment = {**git.environment(), **variables}
    output = subprocess.run(command, input=body, env=environment, stdout=subprocess.PIPE, check=True).stdout
    head, _, content = output.partition(b"\r\n\r\n")
    return dict(line.split(": ", 1) for line in head.decode().split("\r\n")), content
