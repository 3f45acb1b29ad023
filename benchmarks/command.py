"""What the benchmarks' commands share: how they read their options and keep their figures."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxpercept import files
from jaxpercept.config.options import Option, check
from jaxpercept.errors import InputError
from jaxpercept.files import results


def parser(about: str | None, **more: Any) -> argparse.ArgumentParser:
    """Returns a parser whose `--help` says what the module's docstring says."""
    kind = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=about, formatter_class=kind, **more)


def number(kind: type[int] | type[float], **bounds: Any) -> Callable[[str], Any]:
    """Returns argparse's `type` for a number within the bounds of an `Option`."""
    about = Option(**bounds)

    def read(text: str) -> Any:
        value = kind(text)
        try:
            check("", value, about)
        except InputError as error:
            raise argparse.ArgumentTypeError(str(error).strip()) from error
        return value

    read.__name__ = kind.__name__  # argparse says it of a text that is no number
    return read


COUNT, SIDE, SEED = (number(int, least=least) for least in (1, 16, 0))


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds the option for `keep`."""
    parser.add_argument("--json", metavar="FILE", help="where to keep the figures")


def kept(file: str | None, settings: dict[str, Any], empty: dict[str, Any]) -> dict[str, Any]:
    """Returns the figures that an earlier call kept in `file`, or `empty`, with the settings.
    Raises InputError if they were made with other settings."""
    if not (file and Path(file).exists()):
        return settings | empty
    found: dict[str, Any] = json.loads(Path(file).read_text())
    settings = json.loads(results.encoded(settings))
    if differing := [k for k in settings if found.get(k) != settings[k]]:
        raise InputError(
            f"--json {file} was made with other settings ({', '.join(differing)}); give another "
            "file, or delete it"
        )
    return found


def keep(file: str | None, figures: Any) -> None:
    """Writes the figures to `file`, if one is given, as `results` encodes them."""
    if file:
        files.write_text(Path(file), results.encoded(figures))
