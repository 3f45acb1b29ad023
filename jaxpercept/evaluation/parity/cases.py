"""The comparisons: a `Case` is one function of arrays, written once for us and once for the PyTorch
twin.

Inputs are a flat dict of float64 arrays, the same on every machine. They are drawn by a
counter-based generator that no library's version changes, or are the photographs in scikit-image.
Parameters are named "params.…" and statistics "stats.…". Each case has two sizes: an even one from
the generator, and an odd one from photographs.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from jax import Array
from numpy.typing import NDArray

from jaxpercept import losses
from jaxpercept.config import NET_PRESETS, VGG_LAYERS, TransformNetConfig, superres_net
from jaxpercept.images import samples
from jaxpercept.nets import conv, layers, transform_net, vgg

Arrays = dict[str, NDArray[Any]]
EVEN, ODD = (24, 32), (21, 27)


@dataclass(frozen=True)
class Case:
    """`ours(arrays, dtype)`, which computes in dtype, against `twin(tensors)`. Both return a dict
    of results. `inputs()` returns their arguments, float64. `depth` is "layer", "block", "net",
    "vgg" or "loss"."""

    depth: str
    name: str
    inputs: Callable[[], Arrays]
    ours: Callable[[dict[str, Array], Any], dict[str, Array]]
    twin: Callable[[dict[str, Any]], dict[str, Any]]


def uniform(
    key: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0
) -> NDArray[np.float64]:
    """Returns uniform numbers in [low, high), which depend on `key` and `shape` alone
    (splitmix64)."""
    count = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64)
    z = count * np.uint64(0x9E3779B97F4A7C15) + np.uint64(zlib.crc32(key.encode()) << 32)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (low + (high - low) * ((z >> np.uint64(11)).astype(np.float64) / 2**53)).reshape(shape)


def picture(size: tuple[int, int], count: int = 2, key: str = "image") -> NDArray[np.float64]:
    """Returns (count, *size, 3) in [0, 1]: generated if the height is even, else cut from
    photographs of a cat and a cup."""
    if size[0] % 2 == 0:
        return uniform(key, (count, *size, 3), 0.0, 1.0)
    photos, (h, w) = samples.sample_photos(), size
    pairs = [
        photos[name][90 : 90 + 5 * h : 5, 60 : 60 + 7 * w : 7] for name in ("chelsea", "coffee")
    ]
    return np.stack(pairs[:count]).astype(np.float64)


def variables(config: TransformNetConfig, key: str = "net") -> Arrays:
    """Returns a net's parameters and statistics, in sizes as Torch draws them. None has a special
    value such as 0 or 1."""
    params, stats = transform_net.shapes(config)
    out: Arrays = {}
    for name, shape in params.items():
        if name.endswith("scale"):
            out[f"params.{name}"] = uniform(key + name, shape, 0.6, 1.4)
        else:
            bound = 1 / np.sqrt(np.prod(shape[:3])) if len(shape) == 4 else 0.2
            out[f"params.{name}"] = uniform(key + name, shape, -bound, bound)
    for name, shape in stats.items():
        low, high = (-0.2, 0.2) if name.endswith("mean") else (0.3, 0.9)
        out[f"stats.{name}"] = uniform(key + name, shape, low, high)
    return out


def part(arrays: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Returns the entries under `prefix.`, without the prefix."""
    return {
        k.removeprefix(f"{prefix}."): v for k, v in arrays.items() if k.startswith(f"{prefix}.")
    }


def all_cases() -> Iterator[Case]:
    """Yields every case except the objective's gradients, shallow to deep. Each name comes once per
    size."""
    for size in (EVEN, ODD):
        yield from _convolutions(size)
        yield from _norms(size)
        yield from _blocks(size)
        yield from _nets(size)
        yield from _losses(size)
        yield _vgg(size)


def _convolutions(size: tuple[int, int]) -> Iterator[Case]:
    def case(
        name: str, kernel: tuple[int, ...], ours: Any, module: Callable[[Any, int, int], Any]
    ) -> Case:
        def inputs() -> Arrays:
            shapes = {"x": (2, *size, kernel[2]), "kernel": kernel, "bias": kernel[3:]}
            return {k: uniform(name + k, s) for k, s in shapes.items()}

        def twin(d: dict[str, Any]) -> dict[str, Any]:
            from jaxpercept.evaluation.torch_twin import layers as torch_layers

            d = dict(d)
            return {"y": torch_layers.call(module(torch_layers, *kernel[2:]), d, d.pop("x"))}

        def run(d: dict[str, Array], dtype: Any) -> dict[str, Array]:
            return {"y": ours(*(d[k].astype(dtype) for k in ("x", "kernel", "bias")))}

        return Case("layer", name, inputs, run, twin)

    def plain(shape: tuple[int, ...], **options: Any) -> tuple[Any, Any]:
        return (
            lambda x, k, b: conv.conv2d(x, k, b, **options),
            lambda t, i, o: t.convolution(i, o, shape[0], **options),
        )

    for stride, padding in ((1, "zero"), (1, "reflect"), (1, "valid"), (2, "zero"), (2, "reflect")):
        shape = (3, 3, 6, 5)
        yield case(
            f"conv 3x3 stride {stride} {padding}",
            shape,
            *plain(shape, stride=stride, padding=padding),
        )
    for padding in ("zero", "reflect"):
        yield case(f"conv 9x9 from rgb {padding}", (9, 9, 3, 5), *plain((9,), padding=padding))
        yield case(f"conv 9x9 to rgb {padding}", (9, 9, 6, 3), *plain((9,), padding=padding))
        yield case(
            f"nearest x2, conv 3x3 {padding}",
            (3, 3, 6, 5),
            partial(conv.upsample_conv2d, padding=padding),
            partial(_upsampled, padding=padding),
        )
    yield case(
        "conv 3x3 stride 1/2",
        (3, 3, 6, 5),
        conv.conv_transpose2d,
        lambda t, i, o: t.transposed(i, o),
    )


def _upsampled(torch_layers: Any, cin: int, cout: int, padding: str) -> Any:
    return torch_layers.upsampled(cin, cout, padding=padding)


def _norms(size: tuple[int, int]) -> Iterator[Case]:
    def inputs() -> Arrays:
        x = uniform("norm", (2, *size, 5), -1.0, 2.0)
        bounds = {"scale": (0.5, 1.5), "bias": (-0.5, 0.5), "mean": (-1.0, 1.0), "var": (0.5, 2.0)}
        return {"x": x} | {k: uniform(k, (5,), *b) for k, b in bounds.items()}

    def ours(kind: str, train: bool) -> Callable[[dict[str, Array], Any], dict[str, Array]]:
        def fn(d: dict[str, Array], dtype: Any) -> dict[str, Array]:
            norm: Any = (
                layers.BatchNorm(5, eps=1e-5, momentum=0.9)
                if kind
                else layers.InstanceNorm(5, eps=1e-5)
            )
            for name in ("scale", "bias", "mean", "var") if kind else ("scale", "bias"):
                getattr(norm, name)[...] = d[name]
            y = norm(d["x"].astype(dtype), train=train)
            return {"y": y, "mean": norm.mean[...], "var": norm.var[...]} if train else {"y": y}

        return fn

    def twin(kind: str, train: bool) -> Callable[[dict[str, Any]], dict[str, Any]]:
        def fn(d: dict[str, Any]) -> dict[str, Any]:
            from jaxpercept.evaluation import torch_twin

            return torch_twin.nets.norm(kind or "instance", d, train=train)

        return fn

    for name, kind, train in (
        ("instance norm", "", False),
        ("batch norm, running", "batch", False),
        ("batch norm, training", "batch", True),
    ):
        yield Case("layer", name, inputs, ours(kind, train), twin(kind, train))
    yield _conditional(size)
    yield Case(
        "layer",
        "max pool 2x2",
        lambda: {"x": uniform("pool", (2, *size, 5))},
        lambda d, dtype: {"y": conv.max_pool2x2(d["x"].astype(dtype))},
        lambda d: {"y": _twin().nets.max_pool(d["x"])},
    )


def _conditional(size: tuple[int, int]) -> Case:
    """Returns a case of three styles with a blend for each of two images."""

    def inputs() -> Arrays:
        rows = {
            "scale": uniform("scale", (3, 5), 0.5, 1.5),
            "bias": uniform("bias", (3, 5), -0.5, 0.5),
        }
        return {
            "x": uniform("norm", (2, *size, 5), -1.0, 2.0),
            "mix": uniform("mix", (2, 3), 0.0, 1.0),
            **rows,
        }

    def ours(d: dict[str, Array], dtype: Any) -> dict[str, Array]:
        norm = layers.ConditionalInstanceNorm(3, 5, eps=1e-5)
        norm.scale[...], norm.bias[...] = d["scale"], d["bias"]
        return {"y": norm(d["x"].astype(dtype), mix=d["mix"])}

    return Case(
        "layer",
        "conditional instance norm",
        inputs,
        ours,
        lambda d: _twin().nets.norm("conditional", d, train=False),
    )


def _net(
    depth: str, name: str, config: TransformNetConfig, size: tuple[int, int], train: bool = False
) -> Case:
    def inputs() -> Arrays:
        mix = {"mix": uniform("mix", (2, config.styles), 0.0, 1.0)} if config.styles else {}
        return {"x": picture(size)} | variables(config) | mix

    def ours(d: dict[str, Array], dtype: Any) -> dict[str, Array]:
        y, stats = transform_net.apply(
            config,
            part(d, "params"),
            part(d, "stats"),
            d["x"],
            train=train,
            dtype=dtype,
            mix=d.get("mix"),
        )
        return {"y": y} | (stats if train else {})

    def twin(d: dict[str, Any]) -> dict[str, Any]:
        params, stats = part(d, "params"), part(d, "stats")
        y, stats = _twin().nets.transform(
            config, params, stats, d["x"], train=train, mix=d.get("mix")
        )
        return {"y": y} | (stats if train else {})

    return Case(depth, name, inputs, ours, twin)


def _blocks(size: tuple[int, int]) -> Iterator[Case]:
    """Yields nets of a single block between 1×1 convolutions."""
    bare = TransformNetConfig(
        stem=6, stem_size=1, head_size=1, down=(), blocks=0, up=(), norm="none"
    )
    for norm, padding, bias in (("instance", "reflect", False), ("batch", "zero", True)):
        kind = dataclasses.replace(bare, norm=norm, padding=padding, bias=bias)
        about, train = f"{norm} norm, {padding}", norm == "batch"
        yield _net(
            "block", f"residual block, {about}", dataclasses.replace(kind, blocks=1), size, train
        )
        yield _net(
            "block", f"down block, {about}", dataclasses.replace(kind, down=(8,)), size, train
        )
        for upsample in ("nearest", "transposed", "subpixel"):
            up = dataclasses.replace(kind, up=(5,), upsample=upsample)
            yield _net("block", f"{upsample} up block, {about}", up, size, train)
    three = dataclasses.replace(bare, norm="instance", styles=3, blocks=1)
    yield _net("block", "residual block, 3 styles", three, size)
    plain = dataclasses.replace(bare, blocks=1, padding="zero", bias=True)
    yield _net("block", "residual block, no norm", plain, size)
    unpadded = dataclasses.replace(bare, norm="instance", start_padding=2, blocks=1, bias=True)
    yield _net("block", "residual block, unpadded", unpadded, size)
    for output, scale in (("linear", 0.15), ("tanh", 1.0), ("vgg_tanh", 150.0)):
        ends = dataclasses.replace(
            bare, stem_size=9, head_size=9, output=output, output_scale=scale
        )
        ends = dataclasses.replace(
            ends, input="vgg" if output == "vgg_tanh" else "centered", norm="instance"
        )
        yield _net("block", f"stem, head and {output} output", ends, size)


def _nets(size: tuple[int, int]) -> Iterator[Case]:
    for name, config in NET_PRESETS.items():
        yield _net(
            "net", f"{name}, width 1/4", config.scaled(0.25), size, train=config.norm == "batch"
        )
    yield _net(
        "net", "paper, width 1/4, running statistics", NET_PRESETS["paper"].scaled(0.25), size
    )
    batch = dataclasses.replace(NET_PRESETS["reference"], norm="batch").scaled(0.25)
    yield _net("net", "reference with batch norm, width 1/4", batch, size, train=True)
    three = dataclasses.replace(NET_PRESETS["resize"], styles=3).scaled(0.25)
    yield _net("net", "resize, 3 styles, width 1/4", three, size)
    best = dataclasses.replace(superres_net(2, "best"), stem=12)
    yield _net("net", "super-resolution best x2, width 1/4", best, size)
    yield _net(
        "net",
        "super-resolution paper x4, width 1/4",
        superres_net(4, "paper").scaled(0.25),
        size,
        train=True,
    )


def _vgg(size: tuple[int, int]) -> Case:
    def ours(d: dict[str, Array], dtype: Any) -> dict[str, Array]:
        return vgg.vgg_features(part(d, "vgg"), d["x"].astype(dtype), VGG_LAYERS)

    return Case(
        "vgg",
        "VGG-16",
        lambda: {"x": picture(size)} | vgg_inputs(),
        ours,
        lambda d: _twin().nets.vgg_features(part(d, "vgg"), d["x"], VGG_LAYERS),
    )


@cache
def vgg_inputs() -> Arrays:
    """Returns the shipped loss network's arrays."""
    return {f"vgg.{k}": np.asarray(v, np.float64) for k, v in vgg.load_vgg16().items()}


def _losses(size: tuple[int, int]) -> Iterator[Case]:
    def inputs() -> Arrays:
        a, b = uniform("a", (2, *size, 7), -1.0, 2.0), uniform("b", (2, *size, 7), -1.0, 2.0)
        return {
            "a": a,
            "b": b,
            "g": uniform("g", (2, 7, 7)),
            "target": uniform("target", (1, 7, 7)),
        }

    def case(name: str, ours: Any, twin: Any) -> Case:
        def run(d: dict[str, Array], dtype: Any) -> dict[str, Array]:
            return {"y": ours({k: v.astype(dtype) if k in "ab" else v for k, v in d.items()})}

        return Case("loss", name, inputs, run, lambda d: {"y": twin(_twin().objective, d)})

    yield case(
        "feature",
        lambda d: losses.feature_loss(d["a"], d["b"]),
        lambda t, d: t.feature_loss(d["a"], d["b"]),
    )
    yield case(
        "pixel",
        lambda d: losses.pixel_loss(d["a"], d["b"]),
        lambda t, d: t.feature_loss(d["a"], d["b"]),
    )
    yield case(
        "l1",
        lambda d: losses.absolute_loss(d["a"], d["b"]),
        lambda t, d: t.absolute_loss(d["a"], d["b"]),
    )
    yield case(
        "hatch",
        lambda d: losses.hatch_loss(d["a"], d["b"]),
        lambda t, d: t.hatch_loss(d["a"], d["b"]),
    )
    for name in ("flat", "weave"):  # these take RGB
        yield case(
            name,
            lambda d, n=name: getattr(losses, f"{n}_loss")(d["a"][..., :3], d["b"][..., :3]),
            lambda t, d, n=name: getattr(t, f"{n}_loss")(d["a"][..., :3], d["b"][..., :3]),
        )
    yield case(
        "Gram matrix", lambda d: losses.gram_matrix(d["a"]), lambda t, d: t.gram_matrix(d["a"])
    )
    for kind in ("paper", "reference"):
        yield case(
            f"style, {kind}",
            lambda d, c=kind: losses.style_loss(d["g"], d["target"], convention=c),
            lambda t, d, c=kind: t.style_loss(d["g"], d["target"], c),
        )
        yield case(
            f"total variation, {kind}",
            lambda d, c=kind: losses.total_variation(d["a"], convention=c),
            lambda t, d, c=kind: t.total_variation(d["a"], c),
        )


def _twin() -> Any:
    from jaxpercept.evaluation import torch_twin

    return torch_twin
