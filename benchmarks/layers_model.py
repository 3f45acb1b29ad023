"""Runs a net in the layers format of TensorFlow.js, as packages for browsers hold it: model.json
with its graph, and files of float32 weights. Only the layers of residual dense nets are known.
TensorFlow's own reader would bring all of TensorFlow with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def load(model: Path) -> tuple[Callable[[NDArray[Any]], Array], int]:
    """Returns the net of that model.json as a function of a batch (n, h, w, channels), float32, and
    its number of weights. Raises ValueError for layers that are not known."""
    found = json.loads(model.read_text())
    graph = found["modelTopology"]["model_config"]["config"]
    layers = {layer["name"]: layer for layer in graph["layers"]}
    weights: dict[str, NDArray[np.float32]] = {}
    for group in found["weightsManifest"]:
        raw = b"".join((model.parent / path).read_bytes() for path in group["paths"])
        values = np.frombuffer(raw, "<f4")
        for entry in group["weights"]:
            size = int(np.prod(entry["shape"]))
            weights[entry["name"]] = values[:size].reshape(entry["shape"])
            values = values[size:]

    @jax.jit
    def run(batch: Array) -> Array:
        done: dict[str, Array] = {}

        def value(name: str) -> Array:
            if name not in done:
                layer = layers[name]
                nodes = layer["inbound_nodes"]
                inputs = [value(source[0]) for source in nodes[0]] if nodes else [batch]
                done[name] = _apply(layer, inputs, weights)
            return done[name]

        return value(graph["output_layers"][0][0])

    return run, sum(v.size for v in weights.values())


def _apply(layer: dict[str, Any], inputs: list[Array], weights: dict[str, Any]) -> Array:
    kind, config, x = layer["class_name"], layer["config"], inputs[0]
    match kind, config.get("activation", "linear"):
        case "InputLayer", _:
            return x
        case "Conv2D", "linear":
            kernel = weights[f"{layer['name']}/kernel"]
            y = jax.lax.conv_general_dilated(
                x, kernel, config["strides"], config["padding"].upper(), dimension_numbers=_LAYOUT
            )
            return y + weights[f"{layer['name']}/bias"].reshape(1, 1, 1, -1)
        case "Activation", "relu":
            return jax.nn.relu(x)
        case "Concatenate", _:
            return jax.numpy.concatenate(inputs, config["axis"])
        case "Add", _:
            return sum(inputs[1:], x)
        case "UpSampling2D", _ if config["interpolation"] == "nearest":
            down, right = config["size"]
            return x.repeat(down, 1).repeat(right, 2)
    raise ValueError(f"layer {layer['name']}: {kind} with these settings is not known")
