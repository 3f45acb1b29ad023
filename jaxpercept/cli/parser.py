"""The tree of commands. Options of a training are made from `config`, so that a new term has its
option by itself.
"""

from __future__ import annotations

import argparse
import re
import sys
from typing import Any, NoReturn

from jaxpercept import config
from jaxpercept.cli import (
    evaluate,
    export,
    optimize,
    reproduce,
    runs,
    stylize,
    tools,
    train,
    upscale,
    web,
)
from jaxpercept.errors import nearest

_EPILOG = """commands by what they do:
  jaxpercept train style        train a net on a style image         (python train.py style)
  jaxpercept train multistyle   train one net on many styles, to blend (python train.py multistyle)
  jaxpercept train superres     train a net that enlarges images     (python train.py superres)
  jaxpercept runs               compare trainings: table and loss curves
  jaxpercept stylize            apply trained styles to images       (python infer.py stylize)
  jaxpercept upscale            enlarge images                       (python infer.py upscale)
  jaxpercept optimize           single pictures by optimisation: style, invert, texture
  jaxpercept evaluate superres  PSNR and SSIM of super-resolution on your images
  jaxpercept reproduce          the paper's experiments, resumably
  jaxpercept export             a trained net as ONNX or StableHLO
  jaxpercept web                a site that applies nets in the browser
  jaxpercept convert vgg16      the loss network from another format
  jaxpercept convert transform-net  trained style nets of other codebases
  jaxpercept prepare            pack a folder of images into a dataset
  jaxpercept parity             compare every number with PyTorch, on this device

`jaxpercept COMMAND --help` explains one."""


class Parser(argparse.ArgumentParser):
    """Errors in one line, with the nearest known word."""

    def __init__(self, **kwargs: Any):
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **kwargs
        )

    def format_help(self) -> str:
        if self.usage is None:  # the options are listed below: name only what must be given
            needed = [a for a in self._actions if a.required or not a.option_strings]
            usage = self._get_formatter()
            usage.add_usage(None, needed, [], "")
            more = " [options]" if len(self._actions) > len(needed) + 1 else ""  # 1: --help
            self.usage = usage.format_help().strip().replace("%", "%%") + more
        return super().format_help()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._given = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        known = self._reached()._options()
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
                message = f"option {self._given[0]} without a command; first choose one of: {', '.join(commands)}"
        elif unknown and unknown.startswith("-"):
            near = nearest(unknown.split("=")[0], known, 3, 0.5)
            message = f"unknown option {unknown}" + (
                f"; did you mean {' or '.join(near)}?" if near else ""
            )
            if unknown.startswith("--weights."):
                message += f" The loss terms: {', '.join(config.TERM_NAMES)}"
        elif unknown:
            message = f"unexpected argument {unknown!r}"
        message = " ".join(message.split())
        print(f"{self.prog}: error: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(2)

    def _unknown(self, known: list[str]) -> str | None:
        """The first option that does not exist: of more help than that a required one is
        missing."""
        options = (a for a in self._given if a.startswith("--") and len(a) > 2)
        return next((a for a in options if a.split("=")[0] not in known), None)

    def _reached(self) -> Parser:
        """The parser of the command that the arguments name."""
        parser = self
        for word in self._given:
            commands = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
            parser = next((a.choices[word] for a in commands if word in a.choices), parser)
        return parser

    def flags(self) -> dict[str, str]:
        """The flag of each field that the command of the last arguments sets."""
        actions = self._reached()._actions
        return {
            action.dest: action.option_strings[0] for action in actions if action.option_strings
        }

    def _options(self) -> list[str]:
        """Of this command and those below it, each once."""
        found = [option for action in self._actions for option in action.option_strings]
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                found += [option for sub in action.choices.values() for option in sub._options()]
        return list(dict.fromkeys(found))


def build_parser(prog: str) -> Parser:
    """The parser of everything; `train.py` and `infer.py` enter it at their own command."""
    is_train, is_infer = prog == "train.py", prog == "infer.py"
    parser = Parser(
        prog="python train.py" if is_train else "python infer.py" if is_infer else prog,
        description=_description(prog),
        epilog=None if is_train or is_infer else _EPILOG,
    )
    parser.set_defaults(run=lambda arguments: parser.print_help())
    if is_train:
        # train.py's arguments arrive as `train …`; its help should not say so twice
        commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
        train.add(
            commands.add_parser(
                "train", prog=parser.prog, description=train.__doc__, epilog=train.EPILOG
            )
        )
        return parser
    commands = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=Parser)
    if not is_infer:
        train.add(
            commands.add_parser(
                "train",
                help="train a transform net",
                description=train.__doc__,
                epilog=train.EPILOG,
            )
        )
        runs.add(commands)
        optimize.add(commands)
        evaluate.add(commands)
        reproduce.add(commands)
        export.add(commands)
        web.add(commands)
        tools.add(commands)
    else:
        parser.set_defaults(run=stylize.samples)
        parser.add_argument(
            "--list-styles", action="store_true", help="print the shipped styles, one a line"
        )
    stylize.add(
        commands.add_parser(
            "stylize",
            help="apply trained styles to images",
            description=stylize.__doc__,
            epilog=stylize.EPILOG,
        )
    )
    upscale.add(
        commands.add_parser(
            "upscale", help="enlarge images", description=upscale.__doc__, epilog=upscale.EPILOG
        )
    )
    return parser


def _description(prog: str) -> str:
    if prog == "infer.py":
        return (
            "Apply trained nets to images. Without a command: the sample photos in every shipped "
            "style, as single\n"
            "images and one contact sheet under outputs/."
        )
    return "Perceptual losses for real-time style transfer and super-resolution (Johnson et al. 2016) in JAX."
