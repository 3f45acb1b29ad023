"""The error for a user's mistake, which the command line prints as one line before it exits with
status 2.
"""

from __future__ import annotations

import difflib
import re
import sys
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

_OPTION = re.compile(r"--[a-z-]+")
_NAMED = 4  # names of a list that a message tells
_LONGEST, _TAIL = 1500, 400  # the end often names the fix
_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class Name(str):
    """The name of a config's field in a message. The command line shows the flag instead."""

    __slots__ = ()


class InputError(ValueError):
    """A mistake in the user's input. The message names the file or value, what is allowed, and the
    fix. It is given as one string, or as several of which some are a `Name`. `fixes` are several
    ways out, which end the message; the first is open to all."""

    def __init__(self, *parts: str, fixes: Sequence[str] = ()) -> None:
        self.parts, self.fixes = parts, fixes
        super().__init__("".join(parts) + _ending(fixes))

    def with_flags(self, flags: Mapping[str, str]) -> str:
        """Returns the message with each field's name replaced by its flag in `flags`, and without
        the fixes that name an option which is not among them."""
        message = "".join(flags.get(p, p) if isinstance(p, Name) else p for p in self.parts)
        known = {*flags.values()}
        open_to = [fix for fix in self.fixes if known.issuperset(_OPTION.findall(fix))]
        return message + _ending(open_to or self.fixes[:1])


def _ending(fixes: Sequence[str]) -> str:
    *most, last = fixes or [""]
    return f"; {', '.join(most)} or {last}" if most else f"; {last}" if last else ""


def reporting(main: Callable[[], object]) -> None:
    """Runs a script. An InputError ends it with one line on standard error and status 1."""
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")


def choose(what: str, value: Any, allowed: Collection[Any]) -> None:
    """Raises InputError unless `value` is one of `allowed`. The message lists the allowed values
    and suggests the nearest."""
    if value not in allowed:
        near = nearest(str(value)[:100], allowed)
        hint = f"did you mean {near[0]}? Choose" if near else "choose"
        listed = ", ".join(map(str, allowed))
        raise InputError(what, f" {value!r:.100} is not known; {hint} one of: {listed}")


def number(value: float) -> str:
    """Returns a number with enough digits to tell it from the bound that it is beyond."""
    return f"{value:.12g}"


def counted(count: int, noun: str) -> str:
    """Returns "1 size" or "2 sizes"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def some(names: Sequence[str]) -> str:
    """Returns "a, b", or of many names "a, b, c, d and 36 more"."""
    left = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {left} more" if left > 0 else "")


def problems(found: Mapping[str, Sequence[str]]) -> str:
    """Returns "missing a; …; missing d; 36 more missing; extra e" for the names of each
    kind of problem."""
    said = []
    for kind, names in found.items():
        said += [f"{kind} {name}" for name in names[:_NAMED]]
        if (left := len(names) - _NAMED) > 0:
            said.append(f"{left} more {kind.rstrip(':')}")
    return "; ".join(said)


def nearest(word: str, known: Collection[Any], count: int = 1, cutoff: float = 0.6) -> list[str]:
    """Returns up to `count` of the `known` words that `word` may be a misspelling of, nearest
    first."""
    return difflib.get_close_matches(word, list(map(str, known)), count, cutoff)


def did_you_mean(word: str, known: Collection[Any]) -> str:
    """Returns ` (did you mean WORD?)` with the nearest known word, or nothing."""
    return "".join(f" (did you mean {near}?)" for near in nearest(word, known))


def printable(text: str) -> str:
    """Returns `text` as one line of about 1,500 characters at most that is safe to print. Control
    characters and characters that change the direction of writing are escaped, since they could
    repaint the screen. The middle of a longer text is left out."""
    if (extra := len(text) - _LONGEST) > 0:
        text = f"{text[: _LONGEST - _TAIL]} … ({extra:,} characters left out) … {text[-_TAIL:]}"
    return "".join(c if _is_shown(c) else c.encode("unicode_escape").decode() for c in text)


def cell(text: str) -> str:
    """Returns a name as part of a Markdown table, which a line end or a bar in it would break."""
    return printable(text).replace("|", "\\|").replace("<", "\\<")


def _is_shown(c: str) -> bool:
    return unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") and c not in _TURNING
