"""Reads the header of a weights file and checks the type of every field that the package uses.
Other fields are plain, finite JSON values, and are kept. Imports no jax.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Mapping
from typing import Any

from jaxpercept.errors import InputError

MAX_BYTES = 16 << 20  # for a safetensors file's whole header; ours take about 20,000
LONGEST = 200  # characters of a style's name
_MAX_DEPTH = 32
_COUNT, _NUMBER, _NAME = "a whole number of at least 0", "a number", "a name"
_STYLE = {"name": _NAME, "file": str, "sha256": str, "steps": _COUNT, "images": _COUNT}
# Each field has a type, one of the kinds above, a dict of fields, or a list of one kind.
_FIELDS: dict[str, Any] = {
    "kind": str,
    "task": str,
    "format": str,
    "licence": str,
    "net": dict,
    "style": _STYLE,
    "styles": [_STYLE],
    "training": {"steps": _COUNT, "images": _COUNT, "config": dict, "terms": dict, "data": dict},
    "base": {"name": str, "kernels": str},
    "channel_order": str,
    "mean": [_NUMBER],
    "std": [_NUMBER],
}
_WORDS = {str: "text", dict: "a dict"}


def parse(metadata: Mapping[str, str], source: str) -> dict[str, Any]:
    """Returns a safetensors file's metadata, which holds JSON by key, as checked values. Raises an
    InputError that names `source`."""
    try:
        header = {key: json.loads(text) for key, text in metadata.items()}
    except (ValueError, RecursionError) as e:
        raise InputError(
            f"{source}: its header is not jaxpercept's; make one with "
            "`python -m jaxpercept convert`"
        ) from e
    _plain(header, source)
    _check(header, _FIELDS, source, "header")
    return header


def is_name(text: str) -> bool:
    """Returns whether a style may have this name, which becomes part of file names and command
    lines."""
    return (
        0 < len(text) <= LONGEST
        and not set(text) & set(",=:/\\")
        and not any(unicodedata.category(c).startswith("C") for c in text)
    )


def _plain(value: Any, source: str, depth: int = 0) -> None:
    """Raises InputError for JSON values that nothing can use: numbers that are not finite or have
    more than 63 bits, halves of characters, and deeply nested values."""
    if isinstance(value, dict | list):
        if depth > _MAX_DEPTH:
            raise InputError(f"{source}: its header is nested too deeply; the file is damaged")
        for part in [*value, *value.values()] if isinstance(value, dict) else value:
            _plain(part, source, depth + 1)
    elif isinstance(value, int | float):
        if not (abs(value) < 1 << 63 if isinstance(value, int) else math.isfinite(value)):
            raise InputError(
                f"{source}: a number in its header is not finite or too large; the file is damaged"
            )
    elif isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise InputError(f"{source}: a text in its header is not Unicode; the file is damaged")


def _check(value: Any, wanted: Any, source: str, where: str) -> None:
    if isinstance(wanted, dict):
        _check(value, dict, source, where)
        for key in wanted.keys() & value.keys():
            _check(value[key], wanted[key], source, f"{where}: {key}")
    elif isinstance(wanted, list):
        if not isinstance(value, list):
            raise _wrong(value, "a list", source, where)
        for part in value:
            _check(part, wanted[0], source, where)
    elif not _fits(value, wanted):
        raise _wrong(value, _WORDS.get(wanted, wanted), source, where)


def _fits(value: Any, wanted: Any) -> bool:
    if wanted == _NAME:
        return isinstance(value, str) and is_name(value)
    if wanted == _COUNT:
        return type(value) is int and value >= 0
    if wanted == _NUMBER:
        return type(value) in (int, float)
    return isinstance(value, wanted)


def _wrong(value: Any, wanted: str, source: str, where: str) -> InputError:
    return InputError(f"{source}: its {where} is {value!r:.80}, not {wanted}; the file is damaged")
