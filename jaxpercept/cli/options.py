"""Makes the command line's options from the fields of a config: see `config.options`."""

from __future__ import annotations

import argparse
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any

from jaxpercept import config
from jaxpercept.cli.outputs import say
from jaxpercept.config.options import GROUPS, Option, hints, options
from jaxpercept.config.options import check as allow
from jaxpercept.errors import Name

Groups = Mapping[str, argparse._ArgumentGroup]


def add_groups(parser: argparse.ArgumentParser, names: Collection[str] = tuple(GROUPS)) -> Groups:
    """Adds the titled groups of a command's help, in their order."""
    return {name: parser.add_argument_group(name, GROUPS[name]) for name in GROUPS if name in names}


def add_fields(
    groups: Groups,
    kind: Any,
    command: str,
    *,
    shown: Mapping[str, str] | None = None,
    leave_out: Collection[str] = (),
) -> None:
    """Adds an option for each field of the config `kind` that `command` has. An option that is not
    given is None in the arguments. `shown` holds defaults to show in the help instead of the
    config's own."""
    defaults = {field: getattr(kind, field, None) for field in options(kind)}
    for name, about in options(kind).items():
        if not about.help or name in leave_out or (about.only and command not in about.only):
            continue
        _, text = about.elsewhere.get(command, ("", about.help))
        default = (shown or {}).get(name, words(defaults[name]))
        groups[about.group].add_argument(
            flag(name, about, command),
            dest=name,
            required=about.required,
            help=sentence(text, about, default),
            **_reading(hints(kind)[name], about),
        )


def add_weights(
    group: argparse._ArgumentGroup,
    command: str,
    defaults: Mapping[str, float] | None,
    note: str = "",
    leave_out: Collection[str] = (),
) -> None:
    """Adds `--weights.NAME` for every term that `command` has. Without `defaults` the help shows
    `note` in their place."""
    for term in config.TERMS:
        if term.name in leave_out or (term.only and command not in term.only):
            continue
        default = note if defaults is None else f"{defaults.get(term.name, 0):g}"
        group.add_argument(
            f"--weights.{term.name}",
            *filter(None, [term.flag]),
            dest=f"weights.{term.name}",
            type=float,
            metavar="W",
            help=f"{term.help} (default: {default})",
        )


def given(arguments: argparse.Namespace, kind: Any) -> dict[str, Any]:
    """Returns the fields of the config `kind` that the command line set. Says which of them do
    nothing beside the others."""
    declared = {name: about for name, about in options(kind).items() if about.help}
    found = {name: getattr(arguments, name, None) for name in declared}
    found = {name: value for name, value in found.items() if value is not None}
    for name in found:
        other, idle = declared[name].idle_with
        if other in declared and found.get(other, getattr(kind, other)) == idle:
            ours, beside = (flag(n, declared[n]) for n in (name, other))
            say(f"note: {ours} does nothing with {beside} {idle}")
    return found


def given_weights(arguments: argparse.Namespace) -> dict[str, float]:
    """Returns the loss weights that the command line set."""
    found = {name: getattr(arguments, f"weights.{name}", None) for name in config.TERM_NAMES}
    return {name: weight for name, weight in found.items() if weight is not None}


def check(arguments: argparse.Namespace, **limits: Option) -> None:
    """Raises InputError for the first given value that its `Option` does not allow."""
    for name, about in limits.items():
        if (value := getattr(arguments, name)) is not None:
            allow(Name(name), value, about)


def words(default: Any) -> str:
    """Returns a default as the help shows it, or nothing if the help names it in words."""
    if isinstance(default, tuple):
        return " ".join(map(str, default))
    return "" if default is None or isinstance(default, bool) else str(default)


def sentence(text: str, about: Option, default: str) -> str:
    """Returns a help text with the allowed values and the default, unless it names the default
    itself."""
    if "(default:" in text:
        return text
    allowed = either(about.choices) if 1 <= len(about.choices) <= 4 else ""
    named = [allowed, f"default: {default}" if default else ""]
    return f"{text} ({'; '.join(filter(None, named))})" if any(named) else text


def flag(name: str, about: Option, command: str = "") -> str:
    """Returns the flag of the field `name`, under a command that may name it otherwise."""
    own, _ = about.elsewhere.get(command, (about.flag, ""))
    return own or f"--{name.replace('_', '-')}"


def either(choices: Collection[Any]) -> str:
    """Returns choices in words: "2, 4 or 8"."""
    *most, last = map(str, choices)
    return f"{', '.join(most)} or {last}" if most else last


def _reading(hint: Any, about: Option) -> dict[str, Any]:
    """Returns argparse's arguments for reading a value of the type `hint`."""
    if isinstance(hint, types.UnionType):  # X | None
        hint = next(kind for kind in typing.get_args(hint) if kind is not types.NoneType)
    if hint is bool:
        return {"action": argparse.BooleanOptionalAction}
    several = typing.get_origin(hint) is tuple
    kind = typing.get_args(hint)[0] if several else hint
    metavar = about.metavar or ("N" if kind is int else "X" if kind is float else "NAME")
    how = {"type": kind, "metavar": metavar}
    return how | ({"nargs": "+", "action": "extend"} if several else {})
