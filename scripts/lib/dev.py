"""The command `scripts/dev`: a whole registry on this machine, live."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import secrets
import shlex
import shutil
import time
from pathlib import Path
from typing import Any, Mapping, NoReturn, Optional, Union

from . import console, report, servers, tools
from .console import Failure, Stopped, step, warn
from .functions import Emulated, Plain, Publication
from .processes import Supervisor, exclusive, free_ports, port_is_free
from .servers import Bucket
from .snapshot import Watcher, describe

BUCKET = "devfile-registry"
_ACCESS_KEY = "devfile"
_FIRST_ANSWER_SECONDS = 60.0

_DELIVER = """curl "$HOST_CONTROL/deliver" -d '{"url": "'$WEBHOOK_URL'", "secret": "'$WEBHOOK_SECRET'"}'"""
"""Has the stand-in deliver the push of the branch head, with the proof of its host."""

HELP = """\
Runs a devfile registry on this machine: an S3 server, an OCI registry, and both functions.
Publishes a registry repository from a folder, and again whenever a file in it changes.
Prints `ready URL` once the registry answers, then follows the logs until it is told to end.
"""
MORE_HELP = """\
environment:
  DEV_SOURCE     the registry repository's folder (default: tests/fixtures/registry)
  DEV_PORT       the port of the registry (default: 9000)
  DEV_DIR        where data, logs and secrets are kept (default: .dev)
  OCI_REGISTRY   an OCI registry to use instead of starting one, host:port
  NO_COLOR       no colours

The tools it needs are fetched into .tools/ the first time. Data is kept between runs, so a restart is quick.
`. .dev/env` gives a shell the environment that the functions run in.

exit status: 130 after Ctrl-C, 143 after TERM, 1 if it could not go on; the reason is then on stderr.
At any end it takes along everything that it started.
"""


_HOSTS = {"github": "GitHub", "gitlab": "GitLab"}

_STAND_IN = ("cargo", "build", "--workspace", "--bin", "github-stand-in")


def main(root: Path, arguments: list[str]) -> int:
    """Runs until something ends it."""
    parser = argparse.ArgumentParser(
        prog="scripts/dev", description=HELP, epilog=MORE_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--release", action="store_true", help="run release binaries as HTTP servers, no emulator")
    hosts = parser.add_mutually_exclusive_group()
    for name, title in _HOSTS.items():
        hosts.add_argument(
            f"--{name}",
            dest="host",
            action="store_const",
            const=name,
            help=f"take the folder, a Git work tree, for a repository on {title}: publish the committed state, when a push is"
            " delivered, and preview proposals",
        )
    parser.add_argument("--fresh", action="store_true", help="start with an empty bucket and an empty OCI registry")
    options = parser.parse_args(arguments)

    port = _port()
    source = _source(root)
    if options.host and not (source / ".git").exists():
        raise Failure(f"{source} is no Git work tree, which --{options.host} needs; set DEV_SOURCE to a clone")
    home = root / os.environ.get("DEV_DIR", ".dev")
    kind = Plain if options.release else Emulated
    for wanted in kind.ports(port):
        if not port_is_free(wanted):
            raise Failure(f"port {wanted} is taken; end the process that listens there, or set DEV_PORT to another port")
    tools.require_toolchain()
    with exclusive(home / "lock", lambda holder: _other_run(home, holder)) as lock, Supervisor(lock) as supervisor:
        try:
            development = Development(supervisor, root, home, source, port)
            development.run(release=options.release, fresh=options.fresh, host=options.host)
        except Stopped:
            step("stop", "ending all that was started")
            raise


def _port() -> int:
    text = os.environ.get("DEV_PORT", "9000")
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65534:
        raise Failure(f"DEV_PORT is {text!r}, which is no port number")
    return int(text)


def _source(root: Path) -> Path:
    given = os.environ.get("DEV_SOURCE")
    source = Path(given).expanduser().resolve() if given else root / "tests/fixtures/registry"
    if not source.is_dir():
        raise Failure(f"there is no folder {source} to publish; set DEV_SOURCE to a registry repository")
    if not (source / "stacks").is_dir() and not (source / "extraDevfileEntries.yaml").is_file():
        raise Failure(f"{source} is no registry repository: it has neither stacks/ nor extraDevfileEntries.yaml")
    return source


def _other_run(home: Path, holder: str) -> None:
    """The reason of a taken lock: a run that is alive keeps it, one that was killed is still being cleaned up."""
    if holder.isdigit() and Path(f"/proc/{holder}").exists():
        raise Failure(f"scripts/dev is running already in {home} (process {holder}); end it, or set DEV_DIR")
    step("start", "waiting for the processes of an earlier run to end")


class Development:
    """One run of `scripts/dev`."""

    def __init__(self, supervisor: Supervisor, root: Path, home: Path, source: Path, port: int):
        self._supervisor, self._root, self._home = supervisor, root, home
        self._source, self._port = source, port
        self._logs = home / "logs"

    def run(self, release: bool, fresh: bool, host: Optional[str]) -> NoReturn:
        """Brings everything up, then follows."""
        if fresh:
            for part in ("s3", "oci"):
                shutil.rmtree(self._home / part, ignore_errors=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        own_registry = not os.environ.get("OCI_REGISTRY")
        binaries = tools.ensure(
            self._root / ".tools",
            ["weed", *(["docker-registry"] if own_registry else []), *([] if release else ["cargo-lambda"])],
        )
        functions: Union[Emulated, Plain]
        if release:
            functions = Plain(self._supervisor, self._root, self._logs)
        else:
            functions = Emulated(self._supervisor, self._root, self._logs, binaries / "cargo-lambda")
        self._build(functions.build)
        if host and release:
            # A program of the tests, which the release build leaves out.
            self._build(_STAND_IN)

        step("start", "SeaweedFS" + (" and Distribution" if own_registry else ""))
        bucket = servers.start_s3(
            self._supervisor,
            binaries / "weed",
            self._home / "s3",
            self._logs / "s3.log",
            BUCKET,
            _ACCESS_KEY,
            self._secret("s3-secret"),
        )
        registry = os.environ.get("OCI_REGISTRY") or servers.start_oci(
            self._supervisor, binaries / "docker-registry", self._home / "oci", self._logs / "oci.log"
        )

        own = self._settings(bucket, registry)
        if host:
            own.update(self._host(host, functions.webhook_url(self._port, host)))
        self._write_environment(own)
        # Before the first look of refresh, so that no change falls between the two. A Git host reports pushes itself.
        watcher = None if host else Watcher(self._source)
        functions.start(self._port, _environment(own))
        self._supervisor.on_tick = lambda: _show(functions)
        console.table(
            [
                *functions.urls(),
                ("bucket", f"{BUCKET} at {bucket.endpoint} (SeaweedFS)"),
                ("registry", f"{registry} ({'Distribution' if own_registry else 'OCI_REGISTRY'})"),
                ("source", f"{self._source}{f' on {_HOSTS[host]}' if host else ''} ({own['REGISTRY_REPO_URL']})"),
                ("logs", f"{self._logs} (environment: {self._home / 'env'})"),
            ]
        )
        self._publish_first(functions)
        self._await_answer(functions)
        console.good(f"ready http://127.0.0.1:{self._port}")
        if host:
            step("push", f"commit in {self._source}, then deliver the push: `. {self._home / 'env'}; {_DELIVER}`")
        self._follow(functions, watcher)

    def _build(self, command: tuple[str, ...]) -> None:
        step("build", f"{' '.join(command)} (minutes on a new machine, seconds later)")
        if self._supervisor.run("cargo", command, cwd=self._root) != 0:
            raise Failure(f"the build failed; see the messages of the compiler above ({' '.join(command)})")

    def _settings(self, bucket: Bucket, registry: str) -> dict[str, str]:
        """The configuration of both functions."""
        return {
            **bucket.environment(),
            "AWS_ENDPOINT_URL_S3": bucket.endpoint,
            "CACHE_BUCKET": bucket.name,
            "OCI_REGISTRY": registry,
            "REGISTRY_REPO_URL": str(self._source),
            "WEBHOOK_SECRET": self._secret("webhook-secret"),
            "REVALIDATE_SECONDS": "1",
            "REGISTRY_NAME": "Development registry",
        }

    def _host(self, host: str, webhook: str) -> dict[str, str]:
        """Starts the stand-in for a Git host over the folder, and gives the settings that lead there."""
        port = free_ports(1)[0]
        target = Path(os.environ.get("CARGO_TARGET_DIR", "target"))
        program = self._root / target / "debug/github-stand-in"
        command = [program, "--repo", self._source, "--listen", f"127.0.0.1:{port}"]
        self._supervisor.spawn(_HOSTS[host], command, log=self._logs / f"{host}.log")
        url = f"http://127.0.0.1:{port}"
        self._supervisor.wait(
            lambda: _get(port, "/repos/example/registry")[0] == 200,
            limit=_FIRST_ANSWER_SECONDS,
            what=f"the stand-in for {_HOSTS[host]} did not get ready (log: {self._logs / f'{host}.log'})",
        )
        settings = {
            "REGISTRY_REPO_URL": f"{url}/example/registry",
            "HOST_CONTROL": f"{url}/_control",
            "WEBHOOK_URL": webhook,
            "PREVIEWS": "labelled",
            "PUBLIC_URL": f"http://127.0.0.1:{self._port}",
        }
        if host == "gitlab":
            return {**settings, "STATUS_TOKEN": "gitlab:a-token-that-writes"}
        return {
            **settings,
            "GITHUB_API_URL": url,
            "GITHUB_TOKEN": "ghp_development",
            "OIDC_ISSUER": f"{url}/_services/token",
            "OIDC_AUDIENCE": f"http://127.0.0.1:{self._port}",
            "OIDC_REPOSITORY_ID": str(json.loads(_get(port, "/repos/example/registry")[1])["id"]),
        }

    def _secret(self, name: str) -> str:
        """A random secret that stays the same as long as the data does."""
        path = self._home / name
        if not path.exists():
            _write_private(path, secrets.token_hex(32))
        return path.read_text().strip()

    def _write_environment(self, settings: Mapping[str, str]) -> None:
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()]
        _write_private(self._home / "env", "".join(lines))

    def _publish_first(self, functions: Union[Emulated, Plain]) -> None:
        step("publish", f"{self._source.name}: publishing")
        begin, publication = time.monotonic(), functions.publish()
        result: list[dict[str, Any]] = []

        def arrived() -> bool:
            answer = publication.poll()
            result.extend([answer] if answer is not None else [])
            return bool(result)

        try:
            self._supervisor.wait(arrived)
        except Failure as failure:
            self._supervisor.on_tick()
            raise Failure(f"publishing {self._source} failed: {failure}") from None
        _tell(result[0], begin, in_detail=False)

    def _await_answer(self, functions: Union[Emulated, Plain]) -> None:
        """Waits until serve answers with the index."""
        answer: list[tuple[int, bytes]] = []

        def answered() -> bool:
            functions.check()
            answer[:] = [_get(self._port, "/v2index/all")]
            return answer[0][0] == 200

        try:
            self._supervisor.wait(answered, limit=_FIRST_ANSWER_SECONDS, what="serve did not answer")
        except Failure as failure:
            status, body = answer[0] if answer else (0, b"")
            said = f"; it said {status} {body[:200].decode(errors='replace').strip()}" if status else ""
            raise Failure(f"{failure}{said}") from None
        entries = json.loads(answer[0][1])
        versions = sum(len(entry.get("versions") or []) for entry in entries)
        step("serve", f"answers with {len(entries)} entries, {versions} versions")

    def _follow(self, functions: Union[Emulated, Plain], watcher: Optional[Watcher]) -> NoReturn:
        """Shows logs and publishes changes, one after the other, for ever."""
        publication: Optional[Publication] = None
        begin = 0.0

        def tick() -> bool:
            nonlocal publication, begin
            if publication is None:
                if changed := watcher.poll() if watcher else []:
                    step("change", describe(changed))
                    begin, publication = time.monotonic(), functions.publish()
                return False
            try:
                answer = publication.poll()
            except Failure as failure:
                warn("publish", f"failed, the last release stays: {failure}")
                publication = None
                return False
            if answer is not None:
                publication = None
                _tell(answer, begin, in_detail=True)
            return False

        self._supervisor.wait(tick)
        raise AssertionError("only a failure or a signal ends this wait")


def _tell(answer: dict[str, Any], begin: float, in_detail: bool) -> None:
    """Shows a report."""
    step("publish", report.headline(answer, (time.monotonic() - begin) * 1000))
    if in_detail:
        for text in report.details(answer):
            step("", text)
    for text in report.quarantined(answer):
        warn("", text)


def _show(functions: Union[Emulated, Plain]) -> None:
    for origin, text in functions.log_lines():
        console.log(origin, text)


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The functions' environment: ours, without the settings that would lead an AWS client to other servers."""
    foreign = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_LAMBDA_RUNTIME_API")
    ours = {name: value for name, value in os.environ.items() if name not in foreign}
    # All servers are on this machine; a proxy must not be asked for them.
    direct = ",".join(filter(None, [ours.get("NO_PROXY") or ours.get("no_proxy"), "127.0.0.1,localhost"]))
    return {**ours, "NO_PROXY": direct, "no_proxy": direct, **settings}


def _write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, from the first moment on."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)


def _get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of a GET, or status 0 without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return 0, b""
    finally:
        connection.close()
