"""Writes a trained transform net as an ONNX graph from its config: opset 18, float32.

Input "image" and output "output" are as in our API: (N, H, W, 3) RGB in [0, 1], of any N, H and W
(at least `export.smallest_side`). Inside, the graph is NCHW, as ONNX needs. Parameters of several
styles, (styles, C), make a second input, "blend": (styles,) weights, divided by their sum. Only
`onnx` is imported, no jax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from jaxpercept.config import TransformNetConfig
from jaxpercept.interop.export.onnx_nodes import Builder
from jaxpercept.interop.runtimes import ENCODED, PIXELS
from jaxpercept.nets import geometry

OPSET = 18
_MEAN_BGR = (103.939, 116.779, 123.68)


def graph(
    config: TransformNetConfig,
    params: Mapping[str, Any],
    stats: Mapping[str, Any],
    about: Mapping[str, str],
) -> onnx.ModelProto:
    """Returns the checked model. `params` are those of a net of one style, or of several for the
    input "blend". `about` is the file's metadata."""
    b = Builder({**params, **stats})
    rows = [name for name, value in params.items() if np.ndim(value) == 2]
    _blended(b, rows)
    x = b("Transpose", "image", perm=[0, 3, 1, 2])
    y = _decoded(b, config, _body(b, config, _padded(b, config, _encoded(b, config, x)), x), x)
    b("Transpose", b("Clip", y, b.array(0.0), b.array(1.0)), perm=[0, 2, 3, 1], name="output")

    def image(name: str, height: str, width: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", height, width, 3])

    sizes = ("h", "w") if config.scale == 1 else ("scaled_h", "scaled_w")
    inputs = [image("image", "h", "w")]
    if rows:
        inputs += [helper.make_tensor_value_info("blend", TensorProto.FLOAT, [config.styles])]
    made = helper.make_graph(
        b.nodes, "transform_net", inputs, [image("output", *sizes)], b.constants
    )
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="jaxpercept"
    )
    model.ir_version = min(model.ir_version, 10)  # the version of opset 18's time
    helper.set_model_props(model, dict(about))
    onnx.checker.check_model(model, full_check=True)
    return model


def _blended(b: Builder, names: Sequence[str]) -> None:
    """Mixes the styles' rows of these parameters in one product, of which each parameter takes a
    part."""
    if not names:
        return
    rows = np.concatenate([np.asarray(b.weights[name], np.float32) for name in names], axis=1)
    mix = b("Div", "blend", b("ReduceSum", "blend", keepdims=1))
    mixed = b("MatMul", b("Reshape", mix, b.integers(1, -1)), b.array(rows))
    flat, start = b("Reshape", mixed, b.integers(-1)), 0
    for name in names:
        end = start + np.shape(b.weights[name])[1]
        b.blended[name] = b("Slice", flat, b.integers(start), b.integers(end), b.integers(0))
        start = end


def _encoded(b: Builder, c: TransformNetConfig, x: str) -> str:
    if c.input == "centered":
        return b("Sub", b("Mul", x, b.array(2.0)), b.array(1.0), name=PIXELS)
    if c.input == "raw":
        return b("Mul", x, b.array(255.0), name=PIXELS)
    x = b("Gather", b("Mul", x, b.array(255.0)), b.integers(2, 1, 0), axis=1)
    return b("Sub", x, _mean(b), name=PIXELS)


def _mean(b: Builder) -> str:
    return b.array(np.reshape(_MEAN_BGR, (1, 3, 1, 1)))


def _padded(b: Builder, c: TransformNetConfig, x: str) -> str:
    """Reflects the image up to a multiple of the stride, and by `start_padding`."""
    multiple = geometry.rounding(c)
    if multiple == 1 and not c.start_padding:
        return x
    m, start = b.integers(multiple), c.start_padding
    spare = [b("Mod", b("Sub", m, b("Mod", b.size(x, axis), m)), m) for axis in (2, 3)]
    after = [b("Add", s, b.integers(start)) for s in spare]
    return b(
        "Pad", x, b("Concat", b.integers(0, 0, start, start, 0, 0), *after, axis=0), mode="reflect"
    )


def _gated(b: Builder, z: str, y: str, name: str) -> str:
    """Applies the gate of `layers.ResidualBlock`."""
    gate = b.array(np.reshape(np.asarray(b.weights[f"{name}.gate"], np.float32), (1, -1, 1, 1)))
    clipped = b("Clip", y, b.array(-1.0), b.array(1.0))
    return b("Mul", z, b("Add", b("Mul", gate, clipped), b.array(1.0)))


def _body(b: Builder, c: TransformNetConfig, z: str, image: str) -> str:
    """Adds every layer, and crops to the image's size times the scale."""
    before = z

    def relu_norm(x: str, name: str, output: str = "") -> str:
        return b("Relu", b.norm(x, name, c), name=output)

    strided = len(c.down)
    z = relu_norm(b.conv(z, "stem", padding=c.padding), "stem_norm", "" if strided else ENCODED)
    for i in range(strided):
        y = b.conv(z, f"down.{i}", stride=2, padding=c.padding)
        z = relu_norm(y, f"down_norm.{i}", ENCODED if i == strided - 1 else "")
    inner = "valid" if c.start_padding else c.padding
    for i in range(c.blocks):
        name = f"blocks.{i}"
        y = relu_norm(b.conv(z, f"{name}.conv1", padding=inner), f"{name}.norm1")
        y = b.norm(b.conv(y, f"{name}.conv2", padding=inner), f"{name}.norm2", c)
        if inner == "valid":
            z = b("Slice", z, b.integers(2, 2), b.integers(-2, -2), b.integers(2, 3))
        z = b("Add", y, z)
        z = _gated(b, z, y, name) if c.gate else z
    for i in range(len(c.up)):
        z = relu_norm(b.up(z, f"up.{i}", c.upsample, c.padding), f"up_norm.{i}")
    even = c.padding != "same" and geometry.rounding(c) % 2 == 0
    in_blocks = even and c.head_scale == 1 and c.head_size > 1
    z = (b.block_conv if in_blocks else b.conv)(z, "head", padding=c.padding)
    z = b.norm(z, "head_norm", c) if c.head_norm else z
    z = b("DepthToSpace", z, blocksize=c.head_scale, mode="DCR") if c.head_scale > 1 else z
    wanted = [b("Mul", b.size(image, axis), b.integers(c.scale)) for axis in (2, 3)]
    first = [b.integers(0)] * 2
    if c.padding == "same" and c.fit == "crop":  # see transform_net.apply
        first = [
            b("Sub", b.size(z, a), b("Mul", b.size(before, a), b.integers(c.scale))) for a in (2, 3)
        ]
    last = [b("Add", f, w) for f, w in zip(first, wanted, strict=True)]
    return b("Slice", z, b("Concat", *first, axis=0), b("Concat", *last, axis=0), b.integers(2, 3))


def _decoded(b: Builder, c: TransformNetConfig, z: str, image: str) -> str:
    if c.skip == "bicubic":
        return b("Add", _enlarged(b, image, c.scale), b("Mul", z, b.array(c.output_scale)))
    if c.output == "vgg_tanh":
        y = b(
            "Div",
            b("Add", b("Mul", b("Tanh", z), b.array(c.output_scale)), _mean(b)),
            b.array(255.0),
        )
        return b("Gather", y, b.integers(2, 1, 0), axis=1)
    if c.output == "tanh":
        return b("Add", b("Mul", b("Tanh", z), b.array(0.5 * c.output_scale)), b.array(0.5))
    if c.output == "raw":
        return b("Div", z, b.array(255.0))
    return b("Add", b("Mul", z, b.array(c.output_scale)), b.array(0.5))


def _enlarged(b: Builder, x: str, scale: int) -> str:
    """Computes MATLAB's bicubic imresize: Keys' kernel with a = -0.5. For mirrored borders, the
    first two and the last two rows and columns are put around the image in reverse."""
    for axis in (2, 3):
        at = b.integers(axis)

        def cut(start: int, end: int, x: str = x, at: str = at) -> str:
            return b("Slice", x, b.integers(start), b.integers(end), at)

        last = 2**31
        x = b("Concat", cut(1, 2), cut(0, 1), x, cut(-1, last), cut(-2, -1), axis=axis)
    scales = b.array([1.0, 1.0, scale, scale])
    x = b(
        "Resize",
        x,
        "",
        scales,
        mode="cubic",
        cubic_coeff_a=-0.5,
        coordinate_transformation_mode="half_pixel",
    )
    return b(
        "Slice",
        x,
        b.integers(2 * scale, 2 * scale),
        b.integers(-2 * scale, -2 * scale),
        b.integers(2, 3),
    )
