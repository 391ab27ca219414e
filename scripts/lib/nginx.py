"""nginx with the bytes of some answers on disk: the speed of an HTTP server on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Mapping

_CONFIGURATION = """\
daemon off;
{user}
pid {folder}/nginx.pid;
worker_processes auto;
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=64;
    keepalive_requests 1000000000;
    default_type application/json;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/root;
    }}
}}
"""


def prepare(program: Path, folder: Path, port: int, files: Mapping[str, bytes]) -> list[object]:
    """Writes files by their paths and a configuration that serves them; gives the command that starts nginx."""
    for name, content in files.items():
        path = folder / "root" / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    # The workers of a master that root starts run as somebody else, who cannot read our folder.
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, user=user))
    return [program, "-e", folder / "error.log", "-p", folder, "-c", configuration]
