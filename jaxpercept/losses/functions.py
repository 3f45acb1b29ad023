"""The paper's losses as pure functions of arrays: Johnson, Alahi, Fei-Fei 2016, sections 3.1 and
3.2.

Every loss returns one number per image, (N,), in the units of its inputs and at least in float32.
Nothing here knows weights, layers or networks. Shapes are checked: only the batch axis of a style
target may be 1 where the other's is N. `convention="paper"` follows the printed formulas.
"reference" follows the authors' Lua code (https://github.com/jcjohnson/fast-neural-style), which
differs where the docstrings say so.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float


def feature_loss(a: Float[Array, "n h w c"], b: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """Returns ℓ_feat = ‖a - b‖² / (C H W) per image (equation 2), for activations (N, H, W, C). It
    is the same in both conventions."""
    _same_shape("feature_loss", a, b)
    return _mean_square(_widen(a) - _widen(b))


def gram_matrix(f: Float[Array, "n h w c"]) -> Float[Array, "n c c"]:
    """Returns G = ψψᵀ / (C H W), with the activations as a C × HW matrix ψ (equation 3). (N, H, W,
    C) to (N, C, C)."""
    if f.ndim != 4:
        raise ValueError(f"gram_matrix: expected activations (N, H, W, C), got {f.shape}")
    _floating("gram_matrix", f)
    n, h, w, c = f.shape
    psi = _widen(f).reshape(n, h * w, c)
    # A few images are multiplied one by one: XLA:CPU writes the batched product's gradient
    # transposed, which is slow to read.
    products = (
        jnp.stack([_self_product(p) for p in psi]) if n <= 8 else jax.vmap(_self_product)(psi)
    )
    return products / (1.0 * c * h * w)  # a float, as it may pass 2³¹


@jax.custom_jvp
def _self_product(psi: Float[Array, "p c"]) -> Float[Array, "c c"]:
    """Returns ψᵀψ. Its gradient takes one matrix product; by the product rule it would take two."""
    return psi.T @ psi


@_self_product.defjvp
def _self_product_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    half = primals[0].T @ tangents[0]
    return _self_product(*primals), half + half.T


def style_loss(
    g: Float[Array, "n c c"], g_style: Float[Array, "m c c"], *, convention: str = "paper"
) -> Float[Array, " n"]:
    """Returns ℓ_style = ‖G - G_s‖²_F per image at one layer (equation 4); "reference" divides it by
    C² (nn.MSECriterion).

    `g_style` is (1, C, C), one target for all, or (N, C, C)."""
    if (
        g.ndim != 3
        or g_style.ndim != 3
        or g.shape[1] != g.shape[2]
        or g.shape[1:] != g_style.shape[1:]
        or g_style.shape[0] not in (1, g.shape[0])
    ):
        raise ValueError(
            f"style_loss: Gram matrices {g.shape} and {g_style.shape} do not match (N or 1, C, C)"
        )
    squares = jnp.square(_widen(g) - _widen(g_style))
    return squares.mean((1, 2)) if _is_reference(convention) else squares.sum((1, 2))


def pixel_loss(a: Float[Array, "n h w c"], b: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """Returns ℓ_pixel = ‖a - b‖² / (C H W) per image (section 3.2), for images (N, H, W, C). It is
    the same in both conventions."""
    _same_shape("pixel_loss", a, b)
    return _mean_square(_widen(a) - _widen(b))


def absolute_loss(a: Float[Array, "n h w c"], b: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """Returns ‖a - b‖₁ / (C H W) per image, for images (N, H, W, C). It is not in the paper."""
    _same_shape("absolute_loss", a, b)
    return jnp.abs(_widen(a) - _widen(b)).mean((1, 2, 3))


HATCH_PERIOD, HATCH_WINDOW = 8, 6  # pixels per cell, for the scales 2, 4 and 8; cells per side


def hatch_loss(a: Float[Array, "n h w c"], b: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """Returns how much of a - b repeats every 8 pixels, per image, for images (N, H, W, C) of at
    least 8x8. It is not in the paper, which reports the cross-hatch pattern of its feature loss
    (section 4.2).

    a - b is averaged by position in 8×8 cells over every 6×6 cells (48 pixels; all, in a smaller
    image), and the average over the positions is subtracted. The loss is the mean square. What does
    not repeat averages out, so texture is hardly touched."""
    _same_shape("hatch_loss", a, b)
    p = HATCH_PERIOD
    n, h, w, c = a.shape
    if min(h, w) < p:
        raise ValueError(
            f"hatch_loss: expected images (N, H, W, C) of at least {p}x{p}, got {a.shape}"
        )
    h, w = h // p, w // p
    difference = (_widen(a) - _widen(b))[:, : p * h, : p * w].reshape(n, h, p, w, p, c)
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
    """Returns `absolute_loss` where b is smooth, for RGB images (N, H, W, 3) in [0, 1]. It is not
    in the paper.

    Each pixel of |a - b| is weighted by exp(-v / (2 · 3²)). Here v is the mean square, over the 9×9
    pixels around, of b's luma in 0-255 minus its own 9×9 mean. The weight is 1 on an even surface
    or slope and nearly 0 in texture. This removes what feature losses leave there, such as
    amplified noise."""
    _rgb_images("flat_loss", a, b, FLAT_WINDOW // 2)
    return (_smoothness(b) * jnp.abs(_widen(a) - _widen(b))).mean((1, 2, 3))


def weave_loss(a: Float[Array, "n h w c"], b: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """Returns how much of a - b is fine stripes along the axes where b is smooth, for RGB images
    (N, H, W, 3) in [0, 1]. It is not in the paper.

    Feature losses leave a net free to draw the last bits of its input as stripes, 2 to 4 pixels
    apart. The luma of a - b is differenced twice along one axis and averaged over 9 pixels along
    the other, where stripes add up and grain does not. The absolute value is weighted as in
    `flat_loss`, averaged over the image and summed over the two axes."""
    _rgb_images("weave_loss", a, b, FLAT_WINDOW // 2)
    grey, weight = luma(_widen(a) - _widen(b)), _smoothness(b)

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
    [0, 1]. It is not in the paper.

    Both images are averaged over cells of 16×16 pixels, so that strokes within a cell are free.
    Where a's luma is above b's, the squared difference counts. Its weight is 1 - l / 0.2, but at
    least 0; l is b's luma. The loss is the mean over cells. The content and the style loss hardly
    see the mean brightness of an even area, so some styles paint black areas pale. Raises
    ValueError for images that are not RGB, or smaller than a cell."""
    _rgb_images("dark_loss", a, b, DARK_CELL)
    n, h, w = a.shape[0], a.shape[1] // DARK_CELL, a.shape[2] // DARK_CELL

    def cells(x: Array) -> Array:
        inner = luma(_widen(x))[:, : DARK_CELL * h, : DARK_CELL * w]
        return inner.reshape(n, h, DARK_CELL, w, DARK_CELL).mean((2, 4))

    ours, photo = cells(a), cells(b)
    weight = jnp.clip(1 - photo / DARK_LUMA, 0, 1)
    return (weight * jnp.square(jnp.maximum(ours - photo, 0))).mean((1, 2))


def luma(x: Float[Array, "n h w 3"]) -> Float[Array, "n h w 1"]:
    """Rec. 601's luma of RGB."""
    return x @ jnp.array([[0.299], [0.587], [0.114]], x.dtype)


def _smoothness(b: Array) -> Array:
    """Returns the weights of `flat_loss`, (N, H, W, 1)."""
    grey = 255 * luma(_widen(b))
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


def total_variation(x: Float[Array, "n h w c"], *, convention: str = "paper") -> Float[Array, " n"]:
    """Returns ℓ_TV = Σ dx² + dy² per image over the common (H-1) × (W-1) window (our reading, since
    the paper prints no formula).

    "reference" is half of it, which has the gradient of the authors' TotalVariation.lua. Their code
    sums it over the batch, which the objective does here, and leaves it out of the printed loss."""
    _floating("total_variation", x)
    if x.ndim != 4 or min(x.shape[1:3]) < 2:
        raise ValueError(
            f"total_variation: expected images (N, H, W, C) of at least 2x2, got {x.shape}"
        )
    x = _widen(x)
    corner = x[:, :-1, :-1]
    total = (jnp.square(x[:, 1:, :-1] - corner) + jnp.square(x[:, :-1, 1:] - corner)).sum((1, 2, 3))
    return 0.5 * total if _is_reference(convention) else total


def _is_reference(convention: str) -> bool:
    if convention not in ("paper", "reference"):
        raise ValueError(f"convention {convention!r} is not known; choose paper or reference")
    return convention == "reference"


def _widen(x: Array) -> Array:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _mean_square(d: Array) -> Array:
    return jnp.square(d).mean((1, 2, 3))


def _same_shape(name: str, a: Array, b: Array) -> None:
    if a.ndim != 4 or a.shape != b.shape:
        raise ValueError(
            f"{name}: expected two arrays of one shape (N, H, W, C), got {a.shape} and {b.shape}"
        )
    for x in (a, b):
        _floating(name, x)
        if x.size == 0:
            raise ValueError(f"{name}: expected arrays with values, got {x.shape}")


def _floating(name: str, x: Array) -> None:
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"{name}: expected floats, got {x.dtype}; divide uint8 images by 255")


def _rgb_images(name: str, a: Array, b: Array, least: int) -> None:
    """Checks two images whose luma is taken. `least` is their least side."""
    _same_shape(name, a, b)
    if a.shape[-1] != 3 or min(a.shape[1:3]) < least:
        raise ValueError(
            f"{name}: expected images (N, H, W, 3) of at least {least}x{least}, got {a.shape}"
        )
