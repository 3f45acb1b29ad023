"""Controls of a stylized image that need no other network and no training: strength, colours,
grain. Outputs and contents are (H, W, 3) float32 in [0, 1].

Strength mixes the two pictures: z = (1 - s) x + s ŷ. A stylized image keeps every edge in its
place, so the mixture shows one picture, not two. It is bit for bit the content at 0 and the output
at 1, for every net. Scaling the residual branches inside the net would not do: a small s gives
nearly the whole style, and 0 does not give back the content.

Grain is faint noise under the photo. A surface of exactly one colour that is wider than the net's
reach, such as a white background or a cloudless sky, gives the net nothing to start a stroke from,
so it comes out in one flat colour. Noise too faint to see is enough for strokes everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept.errors import InputError, Name
from jaxpercept.images.scaling import Float, to_float, to_uint8

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601


def preserve_color(output: Float, content: Float) -> Float:
    """Returns the output's luma with the content's colours, all (H, W, 3), as `-original_colors` of
    jcjohnson/neural-style does, after Gatys et al. 2016, arXiv 1606.05897. Cb and Cr (BT.601) are
    the content's wherever no channel is clipped."""
    return np.clip(content + ((np.clip(output, 0, 1) - content) @ _LUMA)[..., None], 0, 1).astype(
        np.float32
    )


def check_strength(strength: float) -> None:
    """Raises InputError unless 0 ≤ strength ≤ 1."""
    if not 0 <= strength <= 1:
        raise InputError(
            Name("strength"),
            f" {strength} is not allowed; give 0 (the photo) to 1 (the whole style)",
        )


def controlled(
    output: Float, content: Float, *, strength: float = 1.0, keep_color: bool = False
) -> Float:
    """Applies the colour and strength options of `stylize` to a net's output for `content`, both
    (H, W, 3): first the colours, then the mixture. The result equals `output` by default and
    `content` at strength 0. Raises InputError unless 0 ≤ strength ≤ 1."""
    check_strength(strength)
    if output.shape != content.shape:
        raise ValueError(
            f"expected an output and its content of one shape, got {output.shape} and "
            f"{content.shape}"
        )
    output = preserve_color(output, content) if keep_color else output
    if strength == 1:
        return output
    return np.float32(1 - strength) * content + np.float32(strength) * output


def check_grain(amount: float) -> None:
    """Raises InputError unless 0 ≤ amount ≤ 1."""
    if not 0 <= amount <= 1:
        raise InputError(
            Name("grain"),
            f" {amount} is not allowed; give 0 (none) to 1 (the range from black to white)",
        )


def grain(image: NDArray[Any], amount: float, moved: tuple[int, int] = (0, 0)) -> NDArray[Any]:
    """Adds uniform noise to `image` (H, W, 3), float in [0, 1] or uint8. The noise's standard
    deviation is `amount` times the range from black to white. The result is clipped and rounded to
    8 bits; at 0 it is `image` itself. Images of one size get the same noise, so that the frames of
    a film do not flicker. It is moved by `moved` pixels to the right and down; what leaves at one
    border comes in at the other. Raises InputError unless 0 ≤ amount ≤ 1."""
    check_grain(amount)
    if not amount:
        return image
    if any(moved):
        right, down = moved
        still = grain(np.roll(image, (-down, -right), (0, 1)), amount)
        return np.roll(still, (down, right), (0, 1))
    pixels, random, width = (
        to_uint8(image),
        np.random.default_rng(0),
        np.float32(255 * amount * 12**0.5),
    )
    out = np.empty_like(pixels)
    for top in range(0, len(pixels), 64):  # strips fit in the processor's cache
        strip = pixels[top : top + 64]
        noisy = random.random(strip.shape, np.float32)
        noisy *= width
        noisy += np.float32(0.5) - width / 2
        noisy += strip
        out[top : top + 64] = np.clip(noisy, 0, 255, out=noisy)
    return out if image.dtype == np.uint8 else to_float(out)
