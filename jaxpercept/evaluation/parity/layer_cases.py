"""The cases of convolutions, norms and pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from jax import Array

from jaxpercept.evaluation.parity.case import Case, load_twin
from jaxpercept.evaluation.parity.inputs import Arrays, uniform
from jaxpercept.nets import conv, layers


def convolutions(size: tuple[int, int]) -> Iterator[Case]:
    """Yields every kind of convolution, on images of this (height, width)."""

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


def norms(size: tuple[int, int]) -> Iterator[Case]:
    """Yields every norm, on activations of this (height, width)."""

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
        lambda d: {"y": load_twin().nets.max_pool(d["x"])},
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
        lambda d: load_twin().nets.norm("conditional", d, train=False),
    )
