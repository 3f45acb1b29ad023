"""Declares a config's options. A field holds the default, help, allowed values, bounds, and whether
a resumed run must keep the value.

    steps: int = option(40_000, "training steps", group="optimizer", least=1)

`settle` converts and checks the values. The command line, the resume check and a run's first line
are derived from the same fields. To add an option, add a field.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jaxpercept.errors import InputError, Name, choose, number

# The titles under which `--help` lists options, in this order, and their descriptions.
GROUPS: dict[str, str] = {
    "data": "The images that go in.",
    "net": "The net and its initial weights.",
    "objective": "The loss to minimise. Each term is reported times its weight; 0 turns it off.",
    "optimizer": "How the loss is minimised.",
    "run": "The output, the reports, and how the work is spread over the machine.",
}


WHOLE = 2**31 - 1  # the most that a whole number may be if no bound says more: jax counts so far


@dataclass(frozen=True, kw_only=True)
class Option:
    """The properties of a field besides its name, type and default."""

    help: str = ""  # empty keeps it off the command line
    group: str = "run"  # a key of GROUPS
    choices: Collection[Any] = ()  # allowed values, or allowed items of a tuple
    least: float = -math.inf  # bounds of a number, or of each item of a tuple
    most: float = math.inf
    above: float = -math.inf  # the same, excluding the bound itself
    below: float = math.inf
    zero: str = ""  # what 0 means, if it is allowed below `least`
    fixed: bool = False  # whether a resumed run must keep the value
    only: tuple[str, ...] = ()  # the commands that have it; empty means all
    flag: str = ""  # the flag; empty means --field-name
    metavar: str = ""
    required: bool = False  # whether the command line requires it
    idle_with: tuple[str, Any] = ("", None)  # another field, and its value that makes this one idle
    elsewhere: Mapping[str, tuple[str, str]] = dataclasses.field(default_factory=dict)
    """Flag and help under the commands that name it otherwise."""

    def allows(self, value: Any) -> bool:
        """Returns whether a value, or an item of a tuple, is within choices and bounds."""
        if self.choices:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        inside = self.least <= value <= self._most(value) and self.above < value < self.below
        return inside or (bool(self.zero) and value == 0)

    def _most(self, value: float) -> float:
        return WHOLE if isinstance(value, int) and self.most == math.inf else self.most

    def bounds(self, value: float) -> str:
        """Returns the bounds in words, for a value that is beyond them."""
        most = self._most(value) if value > WHOLE else self.most
        words = [
            f"{word} {number(bound)}"
            for word, bound in (
                ("at least", self.least),
                ("more than", self.above),
                ("at most", most),
                ("less than", self.below),
            )
            if math.isfinite(bound)
        ]
        kind = "a finite number of " if words and value == self.most == math.inf else ""
        return kind + " and ".join(words) + (f", or 0 for {self.zero}" if self.zero else "")


def option(default: Any, help: str = "", **known: Any) -> Any:
    """Returns a dataclass field with an `Option` of these properties. A dict is copied for each
    config."""
    metadata = {"option": Option(help=help, **known)}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def options(kind: Any) -> dict[str, Option]:
    """Returns the `Option` of each field that has one, for a config's class or instance."""
    return {
        field.name: field.metadata["option"]
        for field in dataclasses.fields(kind)
        if "option" in field.metadata
    }


@functools.cache
def hints(kind: type) -> dict[str, Any]:
    """Returns the types of a config's fields."""
    found = typing.get_type_hints(kind)
    return {field.name: found[field.name] for field in dataclasses.fields(kind)}


def settle(config: Any) -> None:
    """Converts each value to its field's form (a list to a tuple, a path to a string, a NumPy
    number to a number), for `__post_init__`. Raises InputError for a value that its field does not
    allow."""
    for name, hint in hints(config.__class__).items():
        object.__setattr__(config, name, _kept(Name(name), hint, getattr(config, name)))
    for name, about in options(config).items():
        for part, item in _items(name, getattr(config, name)):
            check(part, item, about)


def _items(name: str, value: Any) -> list[tuple[Name, Any]]:
    """Returns the parts that an option's choices and bounds apply to, with their names in
    messages."""
    if isinstance(value, dict):
        return [(Name(f"{name}.{key}"), item) for key, item in value.items()]
    items = value if isinstance(value, tuple) else () if value is None else (value,)
    return [(Name(name), item) for item in items]


def check(name: str, value: Any, about: Option) -> None:
    """Raises InputError unless the option allows the value, or the item of a tuple."""
    if about.choices:
        choose(name, value, about.choices)
    elif not about.allows(value):
        raise InputError(
            name,
            f" {number(value)} is not allowed; give {about.bounds(value) or 'a finite number'}",
        )


def _kept(name: Name, hint: Any, value: Any) -> Any:
    """Returns `value` in the form that a field of the type `hint` keeps."""
    if isinstance(hint, types.UnionType):  # X | None
        if value is None:
            return None
        (hint,) = (kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    kind, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif getattr(value, "shape", None) == ():  # a NumPy number
        value = value.item()
    if kind is tuple:
        several = isinstance(value, Iterable) and not isinstance(value, str)
        return tuple(_kept(name, inner[0], item) for item in (value if several else (value,)))
    if kind is dict and isinstance(value, dict):
        return {k: _kept(Name(f"{name}.{k}"), inner[1], item) for k, item in value.items()}
    if kind in (int, float):
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and (kind is float or value % 1 == 0):
            return kind(value)
    elif isinstance(value, kind):
        return value
    wanted = {int: "a whole number", float: "a number", bool: "True or False", str: "a text"}
    raise InputError(
        name, f" {value!r} is not allowed; give {wanted.get(kind, f'a {kind.__name__}')}"
    )


def fixed(kind: Any) -> list[str]:
    """Returns the fields that a resumed run must not change."""
    return [name for name, about in options(kind).items() if about.fixed]


def summary(config: Any, command: str) -> str:
    """Returns the settings that define a run, in words: the command's fixed options that are
    set and do something."""
    said = []
    for name, about in options(config).items():
        value, words = getattr(config, name), name.replace("_", " ")
        other, idle = about.idle_with
        if other and getattr(config, other) == idle:
            continue
        if not about.fixed or not about.help or (about.only and command not in about.only):
            continue
        if value is True:
            said.append(words)
        elif value is not None and value is not False and value != ():
            shown = " ".join(value) if isinstance(value, tuple) else value
            said.append(f"{words} {shown:g}" if isinstance(shown, float) else f"{words} {shown}")
    return ", ".join(said)
