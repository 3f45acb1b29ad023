"""Serves a folder on this machine's own address, to look at it."""

from __future__ import annotations

import functools
import http.server
import io
import os
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, BinaryIO

from jaxpercept.errors import InputError


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = {  # noqa: RUF012  a class's in http.server too
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",  # Windows' registry may hold another type
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        """Answers an address that no file can have, such as /%00, as one that does not exist."""
        try:
            return super().send_head()
        except ValueError:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """A server on localhost."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Prints what went wrong, unless the browser has ended a request, as it does when a page
        is loaded again."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def server(folder: str | os.PathLike[str], port: int) -> Server:
    """Returns a server of `folder` on localhost, not running yet. A `port` of 0 takes any free one.
    Raises InputError if the port is taken."""
    handler = functools.partial(_Handler, directory=os.fspath(folder))
    try:
        return Server(("127.0.0.1", port), handler)
    except OSError as e:
        raise InputError(f"--port {port}: {e.strerror}; give another port") from e


def run(server: Server, ready: Callable[[str], None]) -> None:
    """Runs the server until interrupted. `ready` gets the address."""
    ready(f"http://localhost:{server.server_address[1]}/")
    server.serve_forever()
