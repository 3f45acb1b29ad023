"""The one error type for a user's mistake. The command line prints it as one line and exits with
status 2.
"""

from __future__ import annotations

import difflib
from typing import Any


class InputError(ValueError):
    """A mistake in what the user gave. The message names the file or value, what is allowed, and
    the fix."""


def choose(what: str, value: Any, allowed: Any) -> None:
    """Raises InputError unless `value` is one of `allowed`; the message lists them and the nearest
    first."""
    if value not in allowed:
        near = difflib.get_close_matches(str(value), map(str, allowed), 1)
        hint = f"did you mean {near[0]}? Choose" if near else "choose"
        raise InputError(
            f"{what} {value!r} is not known; {hint} one of: {', '.join(map(str, allowed))}"
        )
