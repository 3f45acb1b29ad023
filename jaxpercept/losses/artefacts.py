"""What the paper's losses leave in pictures, as losses of our own: cross-hatch, noise on even
surfaces, fine stripes, pale darks. The conventions are those of `functions`.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from jaxpercept.losses.functions import luma, same_shape, widen

HATCH_PERIOD, HATCH_WINDOW = 8, 6  # pixels per cell, for the scales 2, 4 and 8; cells per side


def hatch_loss(a: Float[Array, "n h w c"], b: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """Returns how much of a - b repeats every 8 pixels, per image, for images (N, H, W, C) of at
    least 8x8. The paper reports the cross-hatch pattern of its feature loss (section 4.2).

    a - b is averaged by position in 8×8 cells over every 6×6 cells (48 pixels; all, in a smaller
    image), and the average over the positions is subtracted. The loss is the mean square. What does
    not repeat averages out, so texture is hardly touched."""
    same_shape("hatch_loss", a, b)
    p = HATCH_PERIOD
    n, h, w, c = a.shape
    if min(h, w) < p:
        raise ValueError(
            f"hatch_loss: expected images (N, H, W, C) of at least {p}x{p}, got {a.shape}"
        )
    h, w = h // p, w // p
    difference = (widen(a) - widen(b))[:, : p * h, : p * w].reshape(n, h, p, w, p, c)
    for axis, cells in ((1, h), (3, w)):
        window = min(HATCH_WINDOW, cells)
        slices = [
            lax.slice_in_dim(difference, i, i + cells - window + 1, axis=axis)
            for i in range(window)
        ]
        difference = sum(slices[1:], slices[0]) / window
    difference = difference - difference.mean((2, 4), keepdims=True)
    return jnp.square(difference).mean((1, 2, 3, 4, 5))


FLAT_WINDOW, FLAT_DEVIATION = 9, 3.0  # pixels per side; grey values in 0-255


def flat_loss(a: Float[Array, "n h w c"], b: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """Returns `absolute_loss` where b is smooth, for RGB images (N, H, W, 3) in [0, 1].

    Each pixel of |a - b| is weighted by exp(-v / (2 · 3²)). Here v is the mean square, over the 9×9
    pixels around, of b's luma in 0-255 minus its own 9×9 mean. The weight is 1 on an even surface
    or slope and nearly 0 in texture. This removes what feature losses leave there, such as
    amplified noise."""
    _rgb_images("flat_loss", a, b, FLAT_WINDOW // 2)
    return (_smoothness(b) * jnp.abs(widen(a) - widen(b))).mean((1, 2, 3))


def weave_loss(a: Float[Array, "n h w c"], b: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """Returns how much of a - b is fine stripes along the axes where b is smooth, for RGB images
    (N, H, W, 3) in [0, 1].

    Feature losses leave a net free to draw the last bits of its input as stripes, 2 to 4 pixels
    apart. The luma of a - b is differenced twice along one axis and averaged over 9 pixels along
    the other, where stripes add up and grain does not. The absolute value is weighted as in
    `flat_loss`, averaged over the image and summed over the two axes."""
    _rgb_images("weave_loss", a, b, FLAT_WINDOW // 2)
    grey, weight = luma(widen(a) - widen(b)), _smoothness(b)

    def along(axis: int) -> Array:
        size = grey.shape[axis]
        one, two, three = (lax.slice_in_dim(grey, i, i + size - 2, axis=axis) for i in (0, 1, 2))
        stripes = _averaged((2 * two - one - three) / 4, 3 - axis)
        inner = lax.slice_in_dim(weight, 1, size - 1, axis=axis)
        return (inner * jnp.abs(stripes)).mean((1, 2, 3))

    return along(1) + along(2)


DARK_CELL, DARK_LUMA = 16, 0.2  # pixels per side; luma in [0, 1] below which a cell is dark


def dark_loss(a: Float[Array, "n h w c"], b: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """Returns how much brighter a is than b over b's dark areas, for RGB images (N, H, W, 3) in
    [0, 1].

    Both images are averaged over cells of 16×16 pixels, so that strokes within a cell are free.
    Where a's luma is above b's, the squared difference counts. Its weight is 1 - l / 0.2, but at
    least 0; l is b's luma. The loss is the mean over cells. The content and the style loss hardly
    see the mean brightness of an even area, so some styles paint black areas pale. Raises
    ValueError for images that are not RGB, or smaller than a cell."""
    _rgb_images("dark_loss", a, b, DARK_CELL)
    n, h, w = a.shape[0], a.shape[1] // DARK_CELL, a.shape[2] // DARK_CELL

    def cells(x: Array) -> Array:
        inner = luma(widen(x))[:, : DARK_CELL * h, : DARK_CELL * w]
        return inner.reshape(n, h, DARK_CELL, w, DARK_CELL).mean((2, 4))

    ours, photo = cells(a), cells(b)
    weight = jnp.clip(1 - photo / DARK_LUMA, 0, 1)
    return (weight * jnp.square(jnp.maximum(ours - photo, 0))).mean((1, 2))


def _smoothness(b: Array) -> Array:
    """Returns the weights of `flat_loss`, (N, H, W, 1)."""
    grey = 255 * luma(widen(b))
    rough = jnp.square(grey - _averaged(_averaged(grey, 1), 2))
    return jnp.exp(-_averaged(_averaged(rough, 1), 2) / (2 * FLAT_DEVIATION**2))


def _averaged(x: Array, axis: int) -> Array:
    """Returns the mean over FLAT_WINDOW pixels around each pixel along an axis, mirrored at the
    border."""
    half, size = FLAT_WINDOW // 2, x.shape[axis]
    pads = [(half, half) if i == axis else (0, 0) for i in range(4)]
    padded = jnp.pad(x, pads, mode="symmetric")
    first, *rest = (lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(FLAT_WINDOW))
    return sum(rest, first) / FLAT_WINDOW


def _rgb_images(name: str, a: Array, b: Array, least: int) -> None:
    """Checks two images whose luma is taken. `least` is their least side."""
    same_shape(name, a, b)
    if a.shape[-1] != 3 or min(a.shape[1:3]) < least:
        raise ValueError(
            f"{name}: expected images (N, H, W, 3) of at least {least}x{least}, got {a.shape}"
        )
