"""The cases of blocks, whole transform nets and VGG-16."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from jax import Array

from jaxpercept.config import NET_PRESETS, VGG_LAYERS, TransformNetConfig, superres_net
from jaxpercept.evaluation.parity.case import Case, load_twin
from jaxpercept.evaluation.parity.inputs import (
    Arrays,
    part,
    picture,
    uniform,
    variables,
    vgg_inputs,
)
from jaxpercept.nets import transform_net, vgg


def net(
    depth: str, name: str, config: TransformNetConfig, size: tuple[int, int], train: bool = False
) -> Case:
    """Returns the case of one net on a picture of this (height, width), with the statistics of the
    batch if `train`."""

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
        y, stats = load_twin().nets.transform(
            config, params, stats, d["x"], train=train, mix=d.get("mix")
        )
        return {"y": y} | (stats if train else {})

    return Case(depth, name, inputs, ours, twin)


def blocks(size: tuple[int, int]) -> Iterator[Case]:
    """Yields nets of a single block between 1×1 convolutions."""
    bare = TransformNetConfig(
        stem=6, stem_size=1, head_size=1, down=(), blocks=0, up=(), norm="none"
    )
    for norm, padding, bias in (("instance", "reflect", False), ("batch", "zero", True)):
        kind = dataclasses.replace(bare, norm=norm, padding=padding, bias=bias)
        about, train = f"{norm} norm, {padding}", norm == "batch"
        yield net(
            "block", f"residual block, {about}", dataclasses.replace(kind, blocks=1), size, train
        )
        yield net(
            "block", f"down block, {about}", dataclasses.replace(kind, down=(8,)), size, train
        )
        for upsample in ("nearest", "transposed", "subpixel"):
            up = dataclasses.replace(kind, up=(5,), upsample=upsample)
            yield net("block", f"{upsample} up block, {about}", up, size, train)
    three = dataclasses.replace(bare, norm="instance", styles=3, blocks=1)
    yield net("block", "residual block, 3 styles", three, size)
    plain = dataclasses.replace(bare, blocks=1, padding="zero", bias=True)
    yield net("block", "residual block, no norm", plain, size)
    gated = dataclasses.replace(plain, gate=True)
    yield net("block", "residual block, gated", gated, size)
    unpadded = dataclasses.replace(bare, norm="instance", start_padding=2, blocks=1, bias=True)
    yield net("block", "residual block, unpadded", unpadded, size)
    for output, scale in (("linear", 0.15), ("tanh", 1.0), ("vgg_tanh", 150.0)):
        ends = dataclasses.replace(
            bare, stem_size=9, head_size=9, output=output, output_scale=scale
        )
        ends = dataclasses.replace(
            ends, input="vgg" if output == "vgg_tanh" else "centered", norm="instance"
        )
        yield net("block", f"stem, head and {output} output", ends, size)


def nets(size: tuple[int, int]) -> Iterator[Case]:
    """Yields every preset of the net."""
    for name, config in NET_PRESETS.items():
        yield net(
            "net", f"{name}, width 1/4", config.scaled(0.25), size, train=config.norm == "batch"
        )
    yield net(
        "net", "paper, width 1/4, running statistics", NET_PRESETS["paper"].scaled(0.25), size
    )
    batch = dataclasses.replace(NET_PRESETS["reference"], norm="batch").scaled(0.25)
    yield net("net", "reference with batch norm, width 1/4", batch, size, train=True)
    three = dataclasses.replace(NET_PRESETS["resize"], styles=3).scaled(0.25)
    yield net("net", "resize, 3 styles, width 1/4", three, size)
    best = dataclasses.replace(superres_net(2, "best"), stem=12)
    yield net("net", "super-resolution best x2, width 1/4", best, size)
    gated = dataclasses.replace(superres_net(4, "gated"), stem=12, blocks=3)
    yield net("net", "super-resolution gated x4, width 1/4, 3 blocks", gated, size)
    yield net(
        "net",
        "super-resolution paper x4, width 1/4",
        superres_net(4, "paper").scaled(0.25),
        size,
        train=True,
    )


def vgg16(size: tuple[int, int]) -> Case:
    """Returns the case of the loss network, at all its layers."""

    def ours(d: dict[str, Array], dtype: Any) -> dict[str, Array]:
        return vgg.vgg_features(part(d, "vgg"), d["x"].astype(dtype), VGG_LAYERS)

    return Case(
        "vgg",
        "VGG-16",
        lambda: {"x": picture(size)} | vgg_inputs(),
        ours,
        lambda d: load_twin().nets.vgg_features(part(d, "vgg"), d["x"], VGG_LAYERS),
    )
