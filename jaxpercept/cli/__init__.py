"""The command line: one parser for `jaxpercept`, `train.py` and `infer.py`.

Nothing here imports jax before the arguments are checked. A user's mistake prints one line on
standard error and exits with status 2. A job done in part exits with 1. One that signal N stopped
exits with 128 + N (130 after Ctrl-C), and a training that then saved itself with 0.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from collections.abc import Sequence

from jaxpercept.cli.parser import build_parser
from jaxpercept.errors import InputError, printable
from jaxpercept.runtime import allocator, backend, stopping, streams

_GARBAGE = 10_000  # new objects before a collection; at Python's 700, imports collect 300 times


def main(argv: Sequence[str] | None = None, prog: str = "jaxpercept") -> int:
    """Runs a command line and returns its exit status. `prog` is the name in help and errors."""
    streams.open_missing()
    parser = build_parser(prog)
    arguments = parser.parse_args(sys.argv[1:] if argv is None else argv)
    is_program = argv is None or prog != "jaxpercept"
    if "jax" not in sys.modules:  # otherwise the process belongs to someone else
        gc.set_threshold(_GARBAGE, 10, 10)
        if is_program and arguments.trains:
            allocator.use_huge_pages()
        else:
            allocator.keep_freed_memory()
    try:
        with stopping.interrupts():
            status = int(arguments.run(arguments) or 0)
        sys.stdout.flush()  # what was printed may not fit on the disk
        return status
    except InputError as e:
        return _failed(f"{parser.prog}: error: {e.with_flags(arguments.flags)}", 2)
    except PermissionError as e:  # pathlib raises it in folders that it may not read
        reason = f"{e.filename or e}: {e.strerror}; check its permissions"
        return _failed(f"{parser.prog}: error: {reason}", 2)
    except FloatingPointError as e:
        return _failed(f"{parser.prog}: stopped: {e}", 1)
    except (RuntimeError, AssertionError, MemoryError) as e:
        if (problem := backend.problem(e)) is None:
            raise
        return _failed(f"{parser.prog}: error: {problem.with_flags(arguments.flags)}", 2)
    except KeyboardInterrupt as e:
        number = e.number if isinstance(e, stopping.Interrupted) else signal.SIGINT
        return _failed(f"{parser.prog}: interrupted", stopping.status(number))
    except BrokenPipeError:  # the reader of our output, such as `head`, has ended
        _forget_output()
        return 141
    except OSError as e:
        if e.errno == errno.ENAMETOOLONG:
            reason = f"{e.filename}: the name is too long for the file system; give a shorter one"
            return _failed(f"{parser.prog}: error: {reason}", 2)
        if e.filename is not None or e.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        _forget_output()
        reason = f"standard output: cannot be written ({e.strerror}); make room"
        return _failed(f"{parser.prog}: error: {reason}", 2)


def _forget_output() -> None:
    """Sends what is still to be printed nowhere, so that Python does not fail at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _failed(line: str, status: int) -> int:
    print(printable(line), file=sys.stderr)
    return status
