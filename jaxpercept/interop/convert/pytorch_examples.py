"""Reads nets of pytorch/examples, fast_neural_style/neural_style/transformer_net.py
(https://github.com/pytorch/examples).
"""

from __future__ import annotations

from pathlib import Path

from jaxpercept.config import TransformNetConfig
from jaxpercept.errors import InputError
from jaxpercept.interop.convert.bounds import is_npz, read_npz, read_safetensors, reason
from jaxpercept.interop.convert.foreign_net import (
    CONV,
    VECTOR,
    Arrays,
    Names,
    Source,
    layers,
    length,
)
from jaxpercept.interop.convert.torch_file import read_state_dict, unprefixed

TAKES = "a state dict as .pth, .safetensors or .npz"


def read(src: Path) -> Source:
    """Reads a net with reflection padding before every convolution, nearest ×2, instance norm, and
    raw 0-255 RGB in and out."""
    state = unprefixed(_state_dict(src))
    # InstanceNorm2d before torch 0.4 kept these, and never used them.
    old = ("running_mean", "running_var", "num_batches_tracked")
    state = {k: v for k, v in state.items() if k.rpartition(".")[2] not in old}
    norms = [f"in{i}" for i in range(1, 6)]
    blocks = [(f"res{i}.conv{j}", f"res{i}.in{j}") for i in range(1, 6) for j in (1, 2)]
    starts = zip(("conv1", "conv2", "conv3"), norms[:3], strict=True)
    pairs = [*starts, *blocks, ("deconv1", "in4"), ("deconv2", "in5"), ("deconv3", "")]
    defaults = {"conv1": 32, "conv2": 64, "conv3": 128, "deconv1": 64, "deconv2": 32}
    wide = [
        length(state, f"{name}.conv2d.weight", 0, default) for name, default in defaults.items()
    ]
    config = TransformNetConfig(
        preset="pytorch-examples",
        stem=wide[0],
        down=(wide[1], wide[2]),
        up=(wide[3], wide[4]),
        bias=True,
        norm_eps=1e-5,
        input="raw",
        output="raw",
        fit="crop",
    )
    names: Names = {}
    for (conv, norm), (their_conv, their_norm) in zip(layers(config), pairs, strict=True):
        names[f"{conv}.kernel"] = f"{their_conv}.conv2d.weight", CONV
        names[f"{conv}.bias"] = f"{their_conv}.conv2d.bias", VECTOR
        if their_norm:
            names[f"{norm}.scale"] = f"{their_norm}.weight", VECTOR
            names[f"{norm}.bias"] = f"{their_norm}.bias", VECTOR
    about = "PyTorch state dict of pytorch/examples' fast_neural_style"
    return Source(
        config,
        state,
        names,
        about,
        "of the code: BSD-3-Clause; of the weights: as their publisher says",
    )


def _state_dict(src: Path) -> Arrays:
    with src.open("rb") as file:
        head = file.read(16)
    try:
        if is_npz(src):
            return read_npz(src)
        if head[8:9] == b"{":  # JSON after its length
            return read_safetensors(src)
    except InputError:
        raise
    except Exception as e:
        raise InputError(
            f"{src}: damaged, or not the format it looks like ({reason(e)}); download it again"
        ) from e
    return read_state_dict(src)
