"""Options that name the files of a command's figures, such as `--json`, `--markdown`, `--sheet`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

from jaxpercept import files
from jaxpercept.cli.writable import check_file
from jaxpercept.errors import InputError

_PICTURES = ("plot", "sheet")


def check(
    arguments: argparse.Namespace, names: Iterable[str], inputs: Iterable[str | Path] = ()
) -> None:
    """Raises InputError unless a file can be written wherever an option of these names says, and
    is none of the `inputs` and of the other files."""
    inputs, others = list(inputs), dict[str, str]()
    for name in names:
        if file := getattr(arguments, name):
            if (other := others.setdefault(os.path.realpath(file), name)) != name:
                raise InputError(f"--{other} and --{name} both name {file}; give two files")
            check_file(f"--{name}", Path(file), inputs)
            if name in _PICTURES:
                from jaxpercept import images

                images.check_writable_name(file)


def write(arguments: argparse.Namespace, **texts: str) -> None:
    """Writes each text to the file that the option of its name gives, if it is given, and makes
    folders as needed. If it cannot, raises an InputError that names the option."""
    for name, text in texts.items():
        if file := getattr(arguments, name):
            try:
                files.write_text(Path(file), text)
            except InputError as e:
                raise InputError(f"--{name} {e}") from e
