"""Starts the command line: `python -m jaxpercept`, the console script `jaxpercept`, and the
scripts `train.py` and `infer.py`."""

import signal
import sys
from collections.abc import Sequence


def run(words: Sequence[str] | None = None, prog: str = "jaxpercept") -> int:
    """Runs `cli.main`, and until it sets its own handlers lets Ctrl-C end the process silently.
    Importing it takes a few tenths of a second, in which Python would print a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from jaxpercept.cli import main

    return main(words, prog)


if __name__ == "__main__":
    sys.exit(run())
