"""The two functions, running in one of two ways.

`Emulated`: under cargo-lambda's emulator, behind one root URL as behind the gateway, rebuilt when their code changes.
`Plain`: the release binaries as HTTP servers.

Both publish by direct invocation, which needs no webhook and no token, and return the report to the poller.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Mapping, Optional, Protocol

from . import report
from .console import Failure
from .events import readable
from .processes import Supervisor, Tail

_REFRESH = json.dumps({"action": "refresh"})
_NOISE = (
    *("INFO spawning function instance", "INFO starting lambda function instance", "Running `", "Finished `"),
    *("AWS_LAMBDA_MAX_CONCURRENCY is set", '{"_aws"'),
)
"""Lines of the emulator, and of the runtime on its account, about each start of a function, and metrics for CloudWatch. It is in
the logs for those who want it."""

_RESTARTS = 5
"""The emulator starts a function that has ended again, for ever. After so many starts it is not going to work."""


class Publication(Protocol):
    """A refresh on its way."""

    def poll(self) -> Optional[dict[str, Any]]:
        """The report once it is there. Raises `Failure` if there will be none."""


class Emulated:
    """The functions under `cargo lambda watch`."""

    def __init__(self, supervisor: Supervisor, root: Path, logs: Path, cargo_lambda: Path):
        self._supervisor, self._root, self._logs, self._cargo_lambda = supervisor, root, logs, cargo_lambda
        self._port = 0
        self._starts = 0
        self._emulator_log = Tail(logs / "lambda.log")
        self._function_logs = {name: Tail(logs / f"{name}.log") for name in ("serve", "refresh")}

    build = ("cargo", "build", "--workspace")

    @staticmethod
    def ports(port: int) -> list[int]:
        """The ports that must be free."""
        return [port]

    def urls(self) -> list[tuple[str, str]]:
        """The addresses of the servers."""
        url = f"http://127.0.0.1:{self._port}"
        return [("serve", f"{url} (Lambda emulator)"), ("refresh", f"{url}/refresh")]

    @staticmethod
    def webhook_url(port: int, host: str) -> str:
        """The URL to which a Git host delivers its events."""
        return f"http://127.0.0.1:{port}/webhooks/{host}"

    def start(self, port: int, environment: Mapping[str, str]) -> None:
        """Starts the emulator, which starts a function when it is first asked for something."""
        self._port = port
        for name in self._function_logs:
            (self._logs / f"{name}.log").write_bytes(b"")
        # The emulator's own output does not say which function wrote a line, so each gets a log of its own: cargo runs
        # a program through the "runner" of its target.
        target = _host_target().upper().replace("-", "_")
        environment = {
            **environment,
            f"CARGO_TARGET_{target}_RUNNER": str(Path(__file__).with_name("with-log")),
            "DEV_LOGS": str(self._logs),
            "AWS_ENDPOINT_URL_LAMBDA": f"http://127.0.0.1:{port}",
        }
        command = [self._cargo_lambda, "lambda", "watch", "-A", "127.0.0.1", "-P", str(port)]
        self._supervisor.spawn(
            "cargo-lambda", command, env=environment, cwd=self._root, log=self._logs / "lambda.log"
        )

    def publish(self) -> Publication:
        """Starts a refresh."""
        self._starts = 0
        return _Invocation(self, self._port)

    def log_lines(self) -> list[tuple[str, str]]:
        """New lines of the logs, each with its origin."""
        lines = []
        for text in self._emulator_log.lines():
            self._starts += "Running `" in text
            if not any(noise in text for noise in _NOISE):
                lines.append(("lambda", text))
        for name, tail in self._function_logs.items():
            lines.extend((name, readable(text)) for text in tail.lines() if not any(noise in text for noise in _NOISE))
        return lines

    def check(self) -> None:
        """Fails if a function cannot be kept running."""
        if self._starts > _RESTARTS:
            raise Failure(f"a function ends as soon as it is started (logs: {self._logs})")


class _Invocation:
    """A call of the emulator's Invoke API. It takes as long as the refresh, so a thread waits for it."""

    def __init__(self, functions: Emulated, port: int):
        self._functions, self._port = functions, port
        self._answer: Optional[dict[str, Any]] = None
        self._failure = ""
        self._thread = threading.Thread(target=self._call, daemon=True)
        self._thread.start()

    def poll(self) -> Optional[dict[str, Any]]:
        """See `Publication`."""
        if self._thread.is_alive():
            self._functions.check()
            return None
        if self._answer is None:
            raise Failure(self._failure)
        if problem := report.problem(self._answer):
            raise Failure(problem)
        return self._answer

    def _call(self) -> None:
        # The emulator drops calls while it starts and when it restarts a function whose code has changed.
        for pause in (0.3, 1.0, 3.0, None):
            try:
                answer = self._post()
                if "outcome" in answer or report.problem(answer):
                    self._answer = answer
                    return
                self._failure = f"the Lambda emulator answered {json.dumps(answer)} instead of a report"
            except (OSError, http.client.HTTPException, ValueError) as error:
                self._failure = f"the Lambda emulator gave no report: {error}"
            if pause:
                time.sleep(pause)

    def _post(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        try:
            connection.request("POST", "/2015-03-31/functions/refresh/invocations", body=_REFRESH)
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return answer if isinstance(answer, dict) else {"answer": answer}


class Plain:
    """The release binaries, each an HTTP server on a port of its own."""

    def __init__(self, supervisor: Supervisor, root: Path, logs: Path):
        target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
        self._binaries = root / target / "release"
        self._supervisor, self._logs = supervisor, logs
        self._port = 0
        self._environment: Mapping[str, str] = {}
        self._tails = {name: Tail(logs / f"{name}.log") for name in ("serve", "refresh", "publish")}

    build = ("cargo", "build", "--release", "-p", "serve", "-p", "refresh", "-p", "devfile-registry")
    tool = ("cargo", "build", "--release", "-p", "cli")
    """The build of the command-line tool, which has both functions in it."""

    @staticmethod
    def ports(port: int) -> list[int]:
        """The ports that must be free."""
        return [port, port + 1]

    def urls(self) -> list[tuple[str, str]]:
        """The addresses of the servers."""
        return [
            ("serve", f"http://127.0.0.1:{self._port} (release binary)"),
            ("refresh", f"http://127.0.0.1:{self._port + 1}/refresh (release binary)"),
        ]

    @staticmethod
    def webhook_url(port: int, host: str) -> str:
        """The URL to which a Git host delivers its events."""
        return f"http://127.0.0.1:{port + 1}/webhooks/{host}"

    def start(self, port: int, environment: Mapping[str, str]) -> None:
        """Starts both."""
        self._port, self._environment = port, environment
        for name, own_port in zip(("serve", "refresh"), self.ports(port)):
            self._supervisor.spawn(
                name,
                [self._binaries / name],
                env={**environment, "LISTEN_ADDR": f"127.0.0.1:{own_port}"},
                log=self._logs / f"{name}.log",
            )

    def publish(self) -> Publication:
        """Starts a refresh."""
        return _OneShot(self._supervisor, self._binaries / "refresh", self._environment, self._logs)

    def log_lines(self) -> list[tuple[str, str]]:
        """New lines of the logs, each with its origin."""
        origins = {"publish": "refresh"}
        return [(origins.get(name, name), readable(text)) for name, tail in self._tails.items() for text in tail.lines()]

    def check(self) -> None:
        """Nothing to look at: the supervisor sees these processes itself."""


class _OneShot:
    """A run of `refresh invoke`, whose stdout is the report."""

    def __init__(self, supervisor: Supervisor, program: Path, environment: Mapping[str, str], logs: Path):
        self._supervisor, self._answer = supervisor, logs / "publish.json"
        command = [program, "invoke", _REFRESH]
        self._child = supervisor.spawn(
            "refresh", command, env=environment, log=logs / "publish.log", answer=self._answer, lasting=False
        )

    def poll(self) -> Optional[dict[str, Any]]:
        """See `Publication`."""
        if self._child.alive:
            return None
        self._supervisor.drop(self._child)
        try:
            answer = json.loads(self._answer.read_text())
        except ValueError:
            answer = {}
        if problem := report.problem(answer):
            raise Failure(problem)
        if self._child.process.returncode != 0 or "outcome" not in answer:
            raise Failure(self._child.how_it_ended())
        return answer


def _host_target() -> str:
    """The triple that this machine's programs are built for, such as x86_64-unknown-linux-gnu."""
    try:
        output = subprocess.run(["rustc", "-vV"], stdout=subprocess.PIPE, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise Failure("rustc does not run; install the Rust toolchain") from None
    return next(text.split()[1] for text in output.splitlines() if text.startswith("host:"))
