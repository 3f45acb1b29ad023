"""The loss network φ: the 13 convolutions of VGG-16 (Simonyan and Zisserman 2014, arXiv 1409.1556),
frozen.

Images go in as RGB in [0, 1], NHWC. The ImageNet preprocessing (0-255 units, mean, standard
deviation) happens inside, with values from the weights file. Activations come out by name,
`relu1_1` … `relu5_3`, each (N, H_j, W_j, C_j) with H_j = H // 2^(block - 1). Layers deeper than the
deepest requested one are not computed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float

from jaxpercept.config import VGG_BLOCKS, VGG_LAYERS, choose
from jaxpercept.errors import InputError
from jaxpercept.nets import conv, weights_file

Params = dict[str, Array]
Features = dict[str, Float[Array, "n _hj _wj _cj"]]


class VGG16(nnx.Module):
    """The convolutions as a Flax module. Its variables are the arrays of `load_vgg16`, or of
    `prepared`."""

    def __init__(self, params: Params):
        for name, value in params.items():
            if not name.startswith("preprocess."):
                setattr(self, name.replace(".", "_"), nnx.Param(value))
        self.mean, self.std = (
            nnx.Variable(params["preprocess.mean"]),
            nnx.Variable(params["preprocess.std"]),
        )

    def __call__(self, x: Float[Array, "n h w 3"], layers: Collection[str]) -> Features:
        mean, std = (v[...].astype(x.dtype).reshape(1, 1, 1, 3) for v in (self.mean, self.std))
        x = (255 * x - mean) / std
        features: Features = {}
        deepest = max((VGG_LAYERS.index(name) for name in layers), default=-1)
        for name in VGG_LAYERS[: deepest + 1]:
            block, index = name.removeprefix("relu").split("_")
            if index == "1" and block != "1":
                x = conv.max_pool2x2(x)
            kernel, bias = (
                getattr(self, f"conv{block}_{index}_{p}")[...].astype(x.dtype)
                for p in ("kernel", "bias")
            )
            taps = self._taps(f"conv{block}_{index}", x.dtype)
            x = jax.nn.relu(conv.conv2d(x, kernel, bias, padding="zero", taps=taps))
            if name in layers:
                features[name] = x
        return features

    def _taps(self, layer: str, dtype: Any) -> conv.Taps | None:
        found = [getattr(self, f"{layer}_tap{i}", None) for i in range(conv.TAPS)]
        taps = tuple(tap[...] for tap in found if tap is not None and tap.dtype == dtype)
        return taps or None


def vgg_features(params: Params, x: Float[Array, "n h w 3"], layers: Iterable[str]) -> Features:
    """Returns φ_j(x) for each name in `layers`, which may be one name. x is in [0, 1]; the result
    has x's dtype. Pure and jittable.

    Raises InputError for an unknown layer or images too small for one, and ValueError for another
    shape than (N, H, W, 3) or for integers."""
    layers = (layers,) if isinstance(layers, str) else tuple(layers)
    for layer in layers:
        choose("VGG-16 layer", layer, VGG_LAYERS)
    if x.ndim != 4 or x.shape[-1] != 3:
        raise ValueError(f"expected images (N, H, W, 3), got {x.shape}")
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"expected images in [0, 1] as floats, got {x.dtype}; divide by 255")
    fits = [name for name in VGG_LAYERS if min(x.shape[1:3]) >= smallest_side(name)]
    if too_deep := [name for name in layers if name not in fits]:
        raise InputError(
            f"images of {x.shape[1]}x{x.shape[2]} are too small for {', '.join(too_deep)}; "
            f"the layers that fit: {', '.join(fits) or 'none'}"
        )
    return VGG16(params)(x, layers)


def prepared(params: Params, layers: Collection[str]) -> Params:
    """Returns the parameters for many calls of `vgg_features` with these layers: on the CPU with
    deep kernels in the form that its convolutions multiply by, 77 MiB more up to relu4_3, so that
    no call transforms them. Values differ from those of the others by rounding at most. Computing
    in another type ignores the form, and a gradient by the parameters belongs to the kernels."""
    if not conv.fast():
        return params
    deepest = max((VGG_LAYERS.index(name) for name in layers), default=-1)
    names = [f"conv{name.removeprefix('relu')}" for name in VGG_LAYERS[: deepest + 1]]
    return params | _taps_of({name: params[f"{name}.kernel"] for name in names})


@jax.jit
def _taps_of(kernels: Params) -> Params:
    forms = {name: conv.transformed(kernel) or () for name, kernel in kernels.items()}
    return {f"{name}.tap{i}": tap for name, taps in forms.items() for i, tap in enumerate(taps)}


def smallest_side(layer: str) -> int:
    """Returns the shortest side, in pixels, for which `layer` is not empty."""
    return int(2 ** (int(layer[4]) - 1))


def shapes() -> dict[str, tuple[int, ...]]:
    """Returns the shapes (HWIO) of the 26 arrays of a VGG-16 weights file."""
    out: dict[str, tuple[int, ...]] = {}
    cin = 3
    for b, block in enumerate(VGG_BLOCKS, start=1):
        for i, cout in enumerate(block, start=1):
            out[f"conv{b}_{i}.kernel"], out[f"conv{b}_{i}.bias"] = (3, 3, cin, cout), (cout,)
            cin = cout
    return out


def source(path: str | Path | None = None, net: str = "") -> Path:
    """Returns the loss network's file: `path`, or the shipped one. Raises InputError if it is
    missing, which says so of the `net` whose header names it."""
    try:
        return weights_file.resolve(str(path or "vgg16-imagenet"), "vgg")
    except InputError as e:
        if not net:
            raise
        raise InputError(
            f"{net}: was trained with the loss network {path}, which is not here ({e})"
        ) from e


def load_vgg16(path: str | Path | None = None) -> Params:
    """Returns the loss network's parameters, float32, for RGB input: `conv1_1.kernel` (3, 3, 3,
    64), … and `preprocess.mean`, `preprocess.std` (3,) in 0-255 units. The default file is the
    shipped ImageNet weights. Raises InputError for a file that is not VGG-16."""
    file = source(path)
    arrays, header = weights_file.read_net(
        file, "vgg16", lambda header, found: weights_file.check_shapes(file, found, shapes())
    )
    if missing := [key for key in ("channel_order", "mean", "std") if key not in header]:
        raise InputError(
            f"{file}: its header has no {', '.join(missing)}; convert the original again"
        )
    choose(f"{file}: the channel order", header["channel_order"], ("RGB", "BGR"))
    if len(header["mean"]) != 3 or len(header["std"]) != 3 or min(header["std"]) <= 0:
        raise InputError(
            f"{file}: its mean and std have to be three numbers each, std above 0; convert the "
            "original again"
        )
    rgb = slice(None, None, -1 if header["channel_order"] == "BGR" else 1)
    arrays["conv1_1.kernel"] = arrays["conv1_1.kernel"][:, :, rgb]
    arrays["preprocess.mean"] = np.asarray(header["mean"])[rgb]
    arrays["preprocess.std"] = np.asarray(header["std"])[rgb]
    # jnp.asarray would compile a program for each shape.
    return jax.device_put({name: value.astype(np.float32) for name, value in arrays.items()})
