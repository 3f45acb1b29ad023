"""Serves a folder on this machine's own address, to look at it."""

from __future__ import annotations

import functools
import http.server
import os
from collections.abc import Callable

from jaxpercept.errors import InputError


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012  a class's in http.server too
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",  # Windows' registry may hold another type
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, format: str, *args: object) -> None:
        pass


def server(folder: str | os.PathLike[str], port: int) -> http.server.ThreadingHTTPServer:
    """Returns a server of `folder` on localhost, not running yet. A `port` of 0 takes any free one.
    Raises InputError if the port is taken."""
    handler = functools.partial(_Handler, directory=os.fspath(folder))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as e:
        raise InputError(f"--port {port}: {e.strerror}; give another port") from e


def serve(folder: str | os.PathLike[str], port: int, ready: Callable[[str], None]) -> None:
    """Runs `server` until interrupted. `ready` gets the address."""
    with server(folder, port) as running:
        ready(f"http://localhost:{running.server_address[1]}/")
        running.serve_forever()
