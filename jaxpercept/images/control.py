"""How much of a style, whether its colours, and whether on even surfaces: what can be had of an
output and its content, (H, W, 3) float32 in [0, 1], without another network or training.

Strength mixes the two pictures: z = (1 - s) x + s ŷ. A stylized image keeps the place of every
edge, so the mixture shows one picture, not two; it is the content at 0 and the output at 1, bit for
bit, for every net. Nothing inside a trained net does that: its instance norms throw the content's
contrast away, and with the residual branches scaled by s starry_night is 12 dB away from its
content at s = 0, and has had 97 % of its effect on the style loss by s = ¼. Of the mixture, the
style loss to the painting falls all the way: 1, 0.93, 0.66, 0.26, 0.03 at s = 0, ¼, ½, ¾, 1
(scikit-image's chelsea at 256). In linear light the steps are not more even.

Grain is noise under the photo. A surface of exactly one colour that is wider than a net's reach,
the white around a product or a cloudless sky, gives it nothing to begin a stroke with: what comes
out is one flat colour, another than the surface's. Noise too faint to be seen is enough for strokes
everywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from jaxpercept.errors import InputError
from jaxpercept.images.scaling import Float, to_float, to_uint8

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601


def preserve_color(output: Float, content: Float) -> Float:
    """The output's luma with the content's colours: as `-original_colors` of
    jcjohnson/neural-style, after Gatys et al. 2016, arXiv 1606.05897. (H, W, 3) both; Cb and Cr
    (BT.601) are the content's wherever no channel is clipped."""
    return np.clip(content + ((np.clip(output, 0, 1) - content) @ _LUMA)[..., None], 0, 1).astype(
        np.float32
    )


def check_strength(strength: float) -> None:
    """InputError unless 0 ≤ strength ≤ 1."""
    if not 0 <= strength <= 1:
        raise InputError(
            f"--strength {strength} is not allowed; from 0, the photo, to 1, the whole style"
        )


def controlled(
    output: Float, content: Float, *, strength: float = 1.0, keep_color: bool = False
) -> Float:
    """What `stylize` makes of a net's output (H, W, 3) for `content`, of the same size: first the
    colours, then the mixture. Equal to `output` by default, to `content` at strength 0. InputError
    for another strength."""
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
    """InputError unless 0 ≤ amount ≤ 1."""
    if not 0 <= amount <= 1:
        raise InputError(
            f"--grain {amount} is not allowed; from 0, none, to 1, of the range from black to white"
        )


def grain(image: NDArray[Any], amount: float) -> NDArray[Any]:
    """`image` (H, W, 3), float in [0, 1] or uint8, with uniform noise of the standard deviation
    `amount` of the range from black to white, clipped and rounded to 8 bits; itself at 0. Images of
    one size get the same noise, so that the frames of a film do not flicker. InputError for another
    amount."""
    check_grain(amount)
    if not amount:
        return image
    pixels, random, width = (
        to_uint8(image),
        np.random.default_rng(0),
        np.float32(255 * amount * 12**0.5),
    )
    out = np.empty_like(pixels)
    for top in range(0, len(pixels), 64):  # a strip at a time, which stays in the cache
        strip = pixels[top : top + 64]
        noisy = random.random(strip.shape, np.float32)
        noisy *= width
        noisy += np.float32(0.5) - width / 2
        noisy += strip
        out[top : top + 64] = np.clip(noisy, 0, 255, out=noisy)
    return out if image.dtype == np.uint8 else to_float(out)
