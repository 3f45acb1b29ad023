"""The tree of commands. A command is a module of this folder with a function `add`, and an entry of
`_COMMANDS`.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any, NoReturn

from jaxpercept.cli import (
    blend_weights,
    bulk,
    convert,
    evaluate,
    export,
    gallery,
    optimize,
    parity,
    prepare,
    reproduce,
    runs,
    samples,
    stylize,
    train,
    upscale,
    video,
    web,
)
from jaxpercept.errors import nearest, printable

# In the order of `--help`, after `train`.
_OF_INFER = (stylize, video, upscale)
_COMMANDS = (
    *_OF_INFER,
    bulk,
    gallery,
    web,
    runs,
    evaluate,
    optimize,
    reproduce,
    convert,
    export,
    blend_weights,
    prepare,
    parity,
)

_EPILOG = """In a checkout, `python train.py` is `jaxpercept train`, and `python infer.py` has
stylize, video and upscale. `jaxpercept COMMAND --help` explains a command."""


class Parser(argparse.ArgumentParser):
    """An argument parser that reports errors in one line, with the nearest known word."""

    def __init__(self, **kwargs: Any):
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **kwargs
        )

    def format_help(self) -> str:
        if self.usage is None:  # options are listed below, so name only required ones
            needed = [a for a in self._actions if a.required or not a.option_strings]
            usage = self._get_formatter()
            usage.add_usage(None, needed, [], "")
            more = " [options]" if len(self._actions) > len(needed) + 1 else ""  # 1: --help
            self.usage = usage.format_help().strip().replace("%", "%%") + more
        return super().format_help()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._given = list(args or ())
        return super().parse_known_args(args, namespace)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        found = super().parse_args(args, namespace)
        flags = self.flags()
        shown = {a.dest: str(a.metavar) for a in self._reached()._actions if not a.option_strings}
        for name, value in vars(found).items():
            if any(item == "" for item in (value if isinstance(value, list) else [value])):
                self.error(f"{(flags | shown).get(name, name)} is empty; give a value")
        found.flags = flags  # for messages
        return found

    def error(self, message: str) -> NoReturn:
        known = self._reached()._options()
        if number := re.fullmatch(r"argument (\S+): invalid (int|float) value: (.*)", message):
            option, kind, given = number.groups()
            kind = "a whole number" if kind == "int" else "a number"
            message = f"{option.split('/')[-1]} {given} is not allowed; give {kind}"
        stray = re.search(r"unrecognized arguments: (\S+)", message)
        wrong = re.search(r"invalid choice: '(.*?)'", message)
        unknown = (
            stray[1] if stray else self._unknown(known) if wrong or "required" in message else None
        )
        if wrong and not unknown:
            commands = [
                name
                for a in self._actions
                if isinstance(a, argparse._SubParsersAction)
                for name in a.choices
            ]
            near = nearest(wrong[1], commands)
            hint = f"did you mean {near[0]}? Choose" if near else "choose"
            message = f"unknown command {wrong[1]!r}; {hint} one of: {', '.join(commands)}"
            if self._given[0].startswith("-"):
                listed = ", ".join(commands)
                message = (
                    f"option {self._given[0]} without a command; first choose one of: {listed}"
                )
        elif unknown and unknown.startswith("-"):
            near = nearest(unknown.split("=")[0], known, 3, 0.5)
            message = f"unknown option {unknown}" + (
                f"; did you mean {' or '.join(near)}?" if near else ""
            )
            if unknown.startswith("--weights."):
                mark = "--weights."
                terms = [option.removeprefix(mark) for option in known if option.startswith(mark)]
                message += f" The loss terms here: {', '.join(terms)}" if terms else ""
        elif unknown:
            message = f"unexpected argument {unknown!r}"
        line = (
            f"{self.prog}: error: {' '.join(message.split())} (see {self._reached().prog} --help)"
        )
        print(printable(line), file=sys.stderr)
        raise SystemExit(2)

    def _unknown(self, known: list[str]) -> str | None:
        """Returns the first option that does not exist. Naming it helps more than naming a missing
        required option."""
        options = (a for a in self._given if a.startswith("--") and len(a) > 2)
        return next((a for a in options if a.split("=")[0] not in known), None)

    def _reached(self) -> Parser:
        """Returns the parser of the command that the arguments name."""
        parser = self
        for word in self._given:
            commands = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
            parser = next((a.choices[word] for a in commands if word in a.choices), parser)
        return parser

    def flags(self) -> dict[str, str]:
        """Returns the flag of each field that the command of the last arguments sets."""
        actions = self._reached()._actions
        return {
            action.dest: action.option_strings[0] for action in actions if action.option_strings
        }

    def _options(self) -> list[str]:
        """Returns the options of this command and the commands below it, each once."""
        found = [option for action in self._actions for option in action.option_strings]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += [option for sub in action.choices.values() for option in sub._options()]
        return list(dict.fromkeys(found))


def build_parser(prog: str) -> Parser:
    """Returns the parser of all commands. `train.py` and `infer.py` enter it at their own
    command."""
    is_train, is_infer = prog == "train.py", prog == "infer.py"
    parser = Parser(
        prog="python train.py" if is_train else "python infer.py" if is_infer else prog,
        description=_description(prog),
        epilog=None if is_train or is_infer else _EPILOG,
    )
    parser.set_defaults(run=lambda arguments: parser.print_help(), trains=False)
    if is_train:
        # train.py's arguments arrive as `train …`, which its help should not repeat.
        commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
        train.add(
            commands.add_parser(
                "train", prog=parser.prog, description=train.__doc__, epilog=train.EPILOG
            )
        )
        return parser
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    if is_infer:
        parser.set_defaults(run=samples.run)
        parser.add_argument(
            "--list-styles", action="store_true", help="print the shipped styles, one per line"
        )
    else:
        train.add(
            commands.add_parser(
                "train",
                help="train a net: style, multistyle, superres or learn",
                description=train.__doc__,
                epilog=train.EPILOG,
            )
        )
    for command in _OF_INFER if is_infer else _COMMANDS:
        command.add(commands)
    return parser


def _description(prog: str) -> str:
    if prog == "infer.py":
        return (
            "Apply trained nets to images.\n\nWithout a command, this stylizes the sample photos "
            "in six of the shipped styles and\nwrites the images and a contact sheet to outputs/."
        )
    return (
        "Style transfer and super-resolution in real time, with perceptual losses (Johnson et\n"
        "al. 2016), in JAX."
    )
