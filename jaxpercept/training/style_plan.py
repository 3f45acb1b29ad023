"""The styles of a multistyle training: which ones the net holds, the row that each starts from, and
the style that each training image gets. Imports no jax.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jaxpercept.errors import InputError
from jaxpercept.files import regular
from jaxpercept.nets import multistyle, weights_file

_NEEDS_INIT = "--only-new needs --init FILE: the net whose weights and styles stay as they are"


def plan(
    files: Sequence[str], init: str | None = None, only_new: bool = False
) -> tuple[list[multistyle.Style], list[int | None]]:
    """Plans a training on these style images. Returns the styles it will hold, by row, with their
    earlier training, and for each the row of `init` that it starts from (None for a new style).

    Raises InputError for images that cannot be read or cannot name a style and for styles given
    twice. With `only_new`, styles that are held already are an error. Without it, styles of `init`
    without their image are an error, because training would spoil them."""
    given = [_style(file) for file in files]
    for i, style in enumerate(given):
        for other in given[:i]:
            if style.name == other.name or style.sha256 == other.sha256:
                raise InputError(
                    f"--style-image: {files[i]} is the style {other.name} ({other.file}) again; "
                    "give each style once, with its own file name"
                )
    if init is None:
        if only_new:
            raise InputError(_NEEDS_INIT)
        return given, [None] * len(given)
    header = multistyle.read_header(weights_file.resolve(init, "styles"))
    earlier = multistyle.held_styles(header, init)
    known = [style.name for style in earlier]
    if only_new:
        for style, file in zip(given, files, strict=True):
            if held := next(
                (e for e in earlier if e.name == style.name or e.sha256 == style.sha256), None
            ):
                raise InputError(
                    f"--style-image {file}: {init} holds it already, as {held.name}; --only-new "
                    "takes new styles only"
                )
        return earlier + given, [*range(len(earlier)), *[None] * len(given)]
    if left := [
        name for name in multistyle.names(header) if name not in {style.name for style in given}
    ]:
        raise InputError(
            f"--init {init} also holds {', '.join(left)}, which training all weights would spoil; "
            "give these style "
            "images too, or --only-new to train only the new styles"
        )
    rows = [known.index(style.name) if style.name in known else None for style in given]
    return [
        style
        if row is None
        else dataclasses.replace(style, steps=earlier[row].steps, images=earlier[row].images)
        for style, row in zip(given, rows, strict=True)
    ], rows


def count(files: Sequence[str], init: str | None = None, only_new: bool = False) -> int:
    """Returns how many styles `plan` gives, from the header of `init` alone. Raises InputError if
    `only_new` is set without `init`."""
    if not only_new:
        return len(files)
    if init is None:
        raise InputError(_NEEDS_INIT)
    return len(files) + len(
        multistyle.held_styles(multistyle.read_header(weights_file.resolve(init, "styles")), init)
    )


def draw(
    seed: int, step: int, batch_size: int, styles: int, part: tuple[int, int] = (0, 1)
) -> NDArray[np.int32]:
    """Returns the style, 0 to styles - 1, of each image in `part` (i, n) of the step's global
    batch: (batch_size / n,). It depends only on the seed and the image's number in the whole
    training. Every run of `styles` images has each style once, in its own order. `step` counts from
    0."""
    count = batch_size // part[1]
    first = step * batch_size + part[0] * count
    rounds = range(first // styles, (first + count - 1) // styles + 1)
    orders = np.concatenate([_order(seed, number, styles) for number in rounds])
    begin = first - rounds.start * styles
    return orders[begin : begin + count].astype(np.int32)


def drawn(seed: int, steps: int, batch_size: int, styles: int) -> list[int]:
    """Returns how many images each style had in the first `steps` steps."""
    rounds, rest = divmod(steps * batch_size, styles)
    more = set(_order(seed, rounds, styles)[:rest].tolist())
    return [rounds + (i in more) for i in range(styles)]


def _order(seed: int, number: int, styles: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, number]).permutation(styles)


def _style(file: str) -> multistyle.Style:
    name = multistyle.style_name(Path(file).stem, f"--style-image {file}")
    try:
        digest = weights_file.sha256(regular(file, "an image"))
        return multistyle.Style(name, Path(file).name, digest)
    except OSError as e:
        raise InputError(f"{file}: cannot be read ({e.strerror}); give an image file") from e
