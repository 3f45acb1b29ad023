"""The tree of commands. Options of a training are made from `config`, so that a new term has its option by itself."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from typing import Any, NoReturn

from jaxpercept import config
from jaxpercept.cli import stylize, tools, train

_EPILOG = """commands by what they do:
  jaxpercept train style        train a net on a style image         (python train.py style)
  jaxpercept stylize            apply trained styles to images       (python infer.py stylize)
  jaxpercept convert vgg16      the loss network from another format
  jaxpercept prepare            pack a folder of images into a dataset
  jaxpercept parity             compare every number with PyTorch, on this device

`jaxpercept COMMAND --help` explains one."""


class Parser(argparse.ArgumentParser):
    """Errors in one line, with the nearest known word."""

    def __init__(self, **kwargs: Any):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        if unknown := re.search(r"unrecognized arguments: (\S+)", message):
            known = [o for a in self._walk() for o in a]
            near = difflib.get_close_matches(unknown[1].split("=")[0], known, 3, 0.5)
            message = f"unknown option {unknown[1]}" + (f"; did you mean {' or '.join(near)}?" if near else "")
            if unknown[1].startswith("--weights."):
                message += f" The loss terms: {', '.join(config.TERM_NAMES)}"
        message = " ".join(message.split())
        print(f"{self.prog}: error: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)

    def _walk(self) -> list[list[str]]:
        found = [list(a.option_strings) for a in self._actions]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += [options for sub in action.choices.values() for options in sub._walk()]
        return found


def build_parser(prog: str) -> Parser:
    """The parser of everything; `train.py` and `infer.py` enter it at their own command."""
    is_train, is_infer = prog == "train.py", prog == "infer.py"
    parser = Parser(prog="python train.py" if is_train else "python infer.py" if is_infer else prog,
                    description=_description(prog), epilog=None if is_train or is_infer else _EPILOG)  # fmt: skip
    parser.set_defaults(run=lambda arguments: parser.print_help())
    if is_train:
        # train.py's arguments arrive as `train …`; its help should not say so twice
        commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
        train.add(commands.add_parser("train", prog=parser.prog, description=train.__doc__, epilog=train.EPILOG))
        return parser
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    if not is_infer:
        train.add(commands.add_parser("train", help="train a transform net", description=train.__doc__,
                                      epilog=train.EPILOG))  # fmt: skip
        tools.add(commands)
    else:
        parser.set_defaults(run=stylize.samples)
        parser.add_argument("--list-styles", action="store_true", help="print the shipped styles, one a line")
    stylize.add(commands.add_parser("stylize", help="apply trained styles to images", description=stylize.__doc__,
                                    epilog=stylize.EPILOG))  # fmt: skip
    return parser


def _description(prog: str) -> str:
    if prog == "infer.py":
        return (
            "Apply trained nets to images. Without a command: the sample photos in every shipped style, as single\n"
            "images and one contact sheet under outputs/."
        )
    return "Perceptual losses for real-time style transfer and super-resolution (Johnson et al. 2016) in JAX."
