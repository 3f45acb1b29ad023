"""The `web` command: makes a web page that applies nets in the browser."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from jaxpercept.cli import options, styles
from jaxpercept.cli.outputs import say
from jaxpercept.cli.writable import check_folder
from jaxpercept.config.options import Option
from jaxpercept.errors import InputError
from jaxpercept.nets import multistyle, shipped, weights_file

DESCRIPTION = """Write a folder that is a web site: it turns photos into paintings in the
visitor's browser.

Photos never leave the visitor's machine. The folder works on any static host, below
any path, and offline after the first visit. It holds the nets as ONNX and the npm
package onnxruntime-web, which npm fetches once and the cache keeps."""

EPILOG = """examples:
  python -m jaxpercept web site/ --serve
  python -m jaxpercept web site/ --style wave multi runs/mine/model.safetensors
  python -m jaxpercept web site/ --runtime package/       # without npm: the unpacked package"""
_PORT = 8000


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `web` command."""
    parser = commands.add_parser(
        "web",
        help="make a web page that applies nets in the browser",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument(
        "out", nargs="?", default="site", metavar="OUT", help="folder to write (default: site)"
    )
    parser.add_argument(
        "--style",
        nargs="+",
        action="extend",
        metavar="STYLE",
        help="shipped names or weights files; a net of several styles gets sliders to blend "
        "them, and FILE:BLEND fixes a blend (default: all shipped nets; the camera uses their "
        "light versions)",
    )
    parser.add_argument(
        "--runtime",
        metavar="FOLDER",
        help="folder of the unpacked npm package onnxruntime-web (default: npm fetches it)",
    )
    parser.add_argument(
        "--serve", action="store_true", help="serve the site on localhost until Ctrl-C, and open it"
    )
    parser.add_argument(
        "--port",
        type=int,
        help=f"port of --serve, 0 for any free one (default: {_PORT})",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Runs `web`."""
    options.check(arguments, port=Option(least=0, most=65_535))
    if arguments.port is not None and not arguments.serve:
        say("note: --port does nothing without --serve")
    check_folder(arguments.out, "OUT")
    given = styles.chosen(arguments.style, [*shipped.singles(), *_blends()])
    for style in given:
        multistyle.find(style, "styles")
    from jaxpercept.interop.web import serve, site
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    listening: contextlib.AbstractContextManager[serve.Server | None] = contextlib.nullcontext()
    if arguments.serve:  # first, so that a taken port is named before any work
        listening = serve.server(arguments.out, _PORT if arguments.port is None else arguments.port)
    with listening as server:
        try:
            index = site.write(arguments.out, given, package=arguments.runtime, say=say)
        except ImportError as e:
            raise InputError(f"ONNX files need {e.name}: pip install 'jaxpercept[export]'") from e
        if server is not None:
            serve.run(server, _open)
        else:
            say(
                f"{index}: a browser opens it only from a server; the same command with "
                "--serve is one"
            )


def _open(url: str) -> None:
    """Prints the address, and opens it in the user's browser where there is a desktop: without one,
    Python may start a browser in the terminal."""
    say(f"{url}  (Ctrl-C ends)")
    on_linux = sys.platform.startswith("linux")
    if not on_linux or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        import webbrowser

        webbrowser.open(url)


def _blends() -> list[str]:
    """Returns the shipped multi-style nets."""
    return [name for name in weights_file.available("styles") if shipped.rows(name)]
