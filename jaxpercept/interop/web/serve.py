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


def serve(folder: str | os.PathLike[str], port: int, ready: Callable[[str], None]) -> None:
    """Serves `folder` on localhost until interrupted. A `port` of 0 takes any free one. `ready`
    gets the address. Raises InputError if the port is taken."""
    handler = functools.partial(_Handler, directory=os.fspath(folder))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as e:
        raise InputError(f"--port {port}: {e.strerror}; give another port") from e
    with server:
        ready(f"http://localhost:{server.server_address[1]}/")
        server.serve_forever()
