"""The nodes of an ONNX graph, and a net's layers as such nodes: convolution, enlarging and norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

from jaxpercept.config import TransformNetConfig


class Builder:
    """Collects nodes. A call adds one and returns its output's name. `blended` holds the names of
    the parameters that are mixed in the graph."""

    def __init__(self, weights: Mapping[str, Any]):
        self.weights = weights
        self.blended: dict[str, str] = {}
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, op: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        output = name or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def array(self, value: Any, dtype: Any = np.float32) -> str:
        """Returns a constant of the graph."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def integers(self, *values: int) -> str:
        """Returns a constant (N,), int64."""
        return self.array(values, np.int64)

    def weight(self, name: str, layout: tuple[int, ...] | None = None) -> str:
        """Returns a parameter of the net, with its axes in the order `layout`, or its blend."""
        if name in self.blended:
            return self.blended[name]
        value = np.asarray(self.weights[name], np.float32)
        return self.array(np.ascontiguousarray(value.transpose(layout)) if layout else value)

    def size(self, x: str, axis: int) -> str:
        """Returns a side of `x`, (1,) int64."""
        return self("Shape", x, start=axis, end=axis + 1)

    def reflected(self, x: str, count: int) -> str:
        """Adds so many reflected pixels on each side."""
        around = self.integers(0, 0, count, count, 0, 0, count, count)
        return self("Pad", x, around, mode="reflect")

    def conv(self, x: str, name: str, *, stride: int = 1, padding: str) -> str:
        """Applies the convolution of these parameters. `padding` is that of the net's config."""
        kernel = np.shape(self.weights[f"{name}.kernel"])[0]
        inputs = [self.weight(f"{name}.kernel", (3, 2, 0, 1))]
        inputs += [self.weight(f"{name}.bias")] if f"{name}.bias" in self.weights else []
        half = kernel // 2
        if padding == "reflect" and half:
            x = self.reflected(x, half)
        laid: dict[str, Any] = {"pads": [half * (padding == "zero")] * 4}
        if padding == "same":
            laid = {"auto_pad": "SAME_UPPER"}
        return self("Conv", x, *inputs, strides=[stride] * 2, kernel_shape=[kernel] * 2, **laid)

    def block_conv(self, x: str, name: str, *, padding: str) -> str:
        """As `conv` with reflected or zero padding, for even sides. Each step of the kernel makes
        2x2 pixels, since a convolution to 3 channels costs the runtimes as much as one to 16."""
        kernel = np.asarray(self.weights[f"{name}.kernel"], np.float32)
        half = len(kernel) // 2
        larger = [
            np.pad(kernel, [(p, 1 - p), (q, 1 - q), (0, 0), (0, 0)]) for p in (0, 1) for q in (0, 1)
        ]
        inputs = [self.array(np.concatenate(larger, -1).transpose(3, 2, 0, 1))]
        if f"{name}.bias" in self.weights:
            inputs += [self.array(np.tile(np.asarray(self.weights[f"{name}.bias"]), 4))]
        pads = [half, half, half + 1, half + 1]
        if padding == "reflect":
            x, pads = self.reflected(x, half), [0] * 4
        shape = [len(kernel) + 1] * 2
        y = self("Conv", x, *inputs, strides=[2, 2], kernel_shape=shape, pads=pads)
        return self("DepthToSpace", y, blocksize=2, mode="DCR")

    def up(self, x: str, name: str, method: str, padding: str) -> str:
        """Enlarges `x` twofold by the `upsample` of the net's config."""
        if method == "nearest":
            scales = self.array([1.0, 1.0, 2.0, 2.0])
            x = self(
                "Resize",
                x,
                "",
                scales,
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
            return self.conv(x, name, padding=padding)
        if method == "subpixel":
            return self(
                "DepthToSpace", self.conv(x, name, padding=padding), blocksize=2, mode="DCR"
            )
        inputs = [self.weight(f"{name}.kernel", (2, 3, 0, 1))]
        inputs += [self.weight(f"{name}.bias")] if f"{name}.bias" in self.weights else []
        # The kernel reaches 2n + 1 places. Torch leaves out the first, TensorFlow the last.
        pads = [0, 0, 1, 1] if padding == "same" else [1, 1, 0, 0]
        return self("ConvTranspose", x, *inputs, strides=[2, 2], kernel_shape=[3, 3], pads=pads)

    def norm(self, x: str, name: str, config: TransformNetConfig) -> str:
        """Normalises `x` as in inference: a batch norm takes its running statistics."""
        if config.norm == "none":
            return x
        scale, bias = self.weight(f"{name}.scale"), self.weight(f"{name}.bias")
        if config.norm == "instance":
            return self("InstanceNormalization", x, scale, bias, epsilon=config.norm_eps)
        mean, var = self.weight(f"{name}.mean"), self.weight(f"{name}.var")
        return self("BatchNormalization", x, scale, bias, mean, var, epsilon=config.norm_eps)
