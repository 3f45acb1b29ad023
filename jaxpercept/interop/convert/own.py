"""Our own weights files: what takes them, and that they need no conversion."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxpercept.errors import InputError
from jaxpercept.nets import weights_file


def command(path: str | Path, header: Mapping[str, Any]) -> str:
    """Returns the command that takes the weights file `path` with this header."""
    if header.get("kind") == "vgg16":
        start = "train.py style --style-image PAINTING --data PHOTOS --vgg"
    elif header.get("task") == "superres":
        start = "infer.py upscale PHOTO --model"
    else:
        start = "infer.py stylize PHOTO --style"
    return f"{start} {shlex.quote(str(path))}"


def refuse(path: Path) -> None:
    """Raises InputError if `path` is one of our weights files."""
    header: Mapping[str, Any] = {}
    with contextlib.suppress(InputError):  # another format, which its reader knows
        header = weights_file.read_header(path)
    if weights_file.is_ours(header):
        raise InputError(
            f"{path}: is a weights file of this project already and needs no conversion; use it "
            f"with: {command(path, header)}"
        )
