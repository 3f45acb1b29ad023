"""The paper's losses, and L1, as pure functions of arrays: Johnson, Alahi, Fei-Fei 2016, sections
3.1 and 3.2.

Every loss returns one number per image, (N,), in the units of its inputs and at least in float32.
Nothing here knows weights, layers or networks. Shapes are checked: only the batch axis of a style
target may be 1 where the other's is N. `convention="paper"` follows the printed formulas.
"reference" follows the authors' Lua code (https://github.com/jcjohnson/fast-neural-style), which
differs where the docstrings say so.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


def feature_loss(a: Float[Array, "n h w c"], b: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """Returns ℓ_feat = ‖a - b‖² / (C H W) per image (equation 2), for activations (N, H, W, C). It
    is the same in both conventions."""
    same_shape("feature_loss", a, b)
    return _mean_square(widen(a) - widen(b))


def gram_matrix(f: Float[Array, "n h w c"]) -> Float[Array, "n c c"]:
    """Returns G = ψψᵀ / (C H W), with the activations as a C × HW matrix ψ (equation 3). (N, H, W,
    C) to (N, C, C)."""
    if f.ndim != 4:
        raise ValueError(f"gram_matrix: expected activations (N, H, W, C), got {f.shape}")
    floating("gram_matrix", f)
    n, h, w, c = f.shape
    psi = widen(f).reshape(n, h * w, c)
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
    floating("style_loss", g, g_style)
    squares = jnp.square(widen(g) - widen(g_style))
    return squares.mean((1, 2)) if _is_reference(convention) else squares.sum((1, 2))


def pixel_loss(a: Float[Array, "n h w c"], b: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """Returns ℓ_pixel = ‖a - b‖² / (C H W) per image (section 3.2), for images (N, H, W, C). It is
    the same in both conventions."""
    same_shape("pixel_loss", a, b)
    return _mean_square(widen(a) - widen(b))


def absolute_loss(a: Float[Array, "n h w c"], b: Float[Array, "n h w c"]) -> Float[Array, " n"]:
    """Returns ‖a - b‖₁ / (C H W) per image, for images (N, H, W, C). It is not in the paper."""
    same_shape("absolute_loss", a, b)
    return jnp.abs(widen(a) - widen(b)).mean((1, 2, 3))


def total_variation(x: Float[Array, "n h w c"], *, convention: str = "paper") -> Float[Array, " n"]:
    """Returns ℓ_TV = Σ dx² + dy² per image over the common (H-1) × (W-1) window (our reading, since
    the paper prints no formula).

    "reference" is half of it, which has the gradient of the authors' TotalVariation.lua. Their code
    sums it over the batch, which the objective does here, and leaves it out of the printed loss."""
    if x.ndim != 4 or min(x.shape[1:3]) < 2:
        raise ValueError(
            f"total_variation: expected images (N, H, W, C) of at least 2x2, got {x.shape}"
        )
    floating("total_variation", x)
    x = widen(x)
    corner = x[:, :-1, :-1]
    total = (jnp.square(x[:, 1:, :-1] - corner) + jnp.square(x[:, :-1, 1:] - corner)).sum((1, 2, 3))
    return 0.5 * total if _is_reference(convention) else total


def luma(x: Float[Array, "n h w 3"]) -> Float[Array, "n h w 1"]:
    """Rec. 601's luma of RGB."""
    return x @ jnp.array([[0.299], [0.587], [0.114]], x.dtype)


def _is_reference(convention: str) -> bool:
    if convention not in ("paper", "reference"):
        raise ValueError(f"convention {convention!r} is not known; choose paper or reference")
    return convention == "reference"


def widen(x: Array) -> Array:
    """Returns `x`, also an array of NumPy's, as one of JAX's and at least in float32."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _mean_square(d: Array) -> Array:
    return jnp.square(d).mean((1, 2, 3))


def same_shape(name: str, a: Array, b: Array) -> None:
    """Raises ValueError, for the loss of that name, unless both are floats (N, H, W, C) of one
    shape."""
    if a.ndim != 4 or a.shape != b.shape:
        raise ValueError(
            f"{name}: expected two arrays of one shape (N, H, W, C), got {a.shape} and {b.shape}"
        )
    floating(name, a, b)


def floating(name: str, *arrays: Array) -> None:
    """Raises ValueError, for the loss of that name, unless all arrays hold floats, and some."""
    for x in arrays:
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"{name}: expected floats, got {x.dtype}; divide uint8 images by 255")
        if x.size == 0:
            raise ValueError(f"{name}: expected arrays with values, got {x.shape}")
