"""Converts trained transform nets of other projects to our weights files, which every command
takes.

Each source has its layers in our order, but its own names, layouts and options of the net:
  pytorch-examples  https://github.com/pytorch/examples,
                    fast_neural_style/neural_style/transformer_net.py
  lengstrom         https://github.com/lengstrom/fast-style-transfer, src/transform.py
  johnson           https://github.com/jcjohnson/fast-neural-style,
                    fast_neural_style/models.lua (see `torch7`)
Arrays stay float32, so the net computes what the original computes, on images of any size.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept.config import TransformNetConfig, choose
from jaxpercept.errors import InputError
from jaxpercept.interop.convert.bounds import read_npz, read_safetensors, reason
from jaxpercept.interop.convert.torch_file import read_state_dict, unprefixed
from jaxpercept.nets.weights_file import sha256

Arrays = dict[str, np.ndarray]
Names = dict[str, tuple[str, tuple[int, ...]]]  # our name: their name, and the order of their axes
CONV, TRANSPOSED, VECTOR = (2, 3, 1, 0), (2, 3, 0, 1), (0,)  # from Torch's OIHW and IOHW to HWIO


@dataclass(frozen=True)
class Source:
    """What a reader found: their arrays by their names (possibly incomplete), their names for ours,
    and the net."""

    config: TransformNetConfig
    arrays: Arrays
    names: Names
    format: str
    licence: str
    about: dict[str, Any] = field(default_factory=dict)  # further entries for the header


def convert_transform_net(src: str | Path, dst: str | Path, source: str) -> dict[str, Any]:
    """Reads a net of `source` (one of FORMATS) from `src`, writes our file to `dst`, and returns
    its header.

    pytorch-examples: a state dict as .pth, .safetensors or .npz, of any width. lengstrom: an .npz
    of `Variable`, `Variable_1` … `Variable_47`, or a TensorFlow checkpoint. johnson: a .t7. Raises
    InputError for anything else, with all missing, extra and misshapen keys in one message."""
    choose("--from", source, FORMATS)
    src = Path(src)
    if not (src.is_file() or (source == "lengstrom" and _is_checkpoint(src))):
        wrong = "is a folder" if src.is_dir() else "no such file"
        raise InputError(f"{src}: {wrong}; give a net of {source}: {_TAKES[source]}")
    if Path(dst).exists() and os.path.samefile(src if src.exists() else src.parent, dst):
        raise InputError(
            f"{dst}: is the source itself, which would be overwritten; give another file to write"
        )
    try:
        found = _READERS[source](src)
    except InputError as e:
        raise e if str(src) in str(e) else InputError(f"{src}: {e}") from e
    from jaxpercept.nets import transform_net

    params, stats = transform_net.shapes(found.config)
    arrays = _checked(src, source, found, {**params, **stats})
    header = {
        "task": "style" if found.config.scale == 1 else "superres",
        "format": found.format,
        "carrier": src.name,
        "carrier_sha256": sha256(src) if src.is_file() else None,
        "licence": found.licence,
        **found.about,
    }
    own, running = ({k: arrays[k].astype(np.float32) for k in shapes} for shapes in (params, stats))
    transform_net.save(Path(dst), found.config, own, running, header, dtype=np.float32)
    return header


def layers(config: TransformNetConfig) -> Iterator[tuple[str, str]]:
    """Yields our names of every convolution and of the norm after it, in order. The last
    convolution has a norm only with `head_norm`."""
    yield "stem", "stem_norm"
    yield from ((f"down.{i}", f"down_norm.{i}") for i in range(len(config.down)))
    yield from (
        (f"blocks.{i}.conv{j}", f"blocks.{i}.norm{j}") for i in range(config.blocks) for j in (1, 2)
    )
    yield from ((f"up.{i}", f"up_norm.{i}") for i in range(len(config.up)))
    yield "head", "head_norm"


def _checked(src: Path, source: str, found: Source, shapes: dict[str, tuple[int, ...]]) -> Arrays:
    """Returns our arrays. The InputError lists everything that is wrong, in their names and
    layouts."""
    known = {theirs for theirs, _ in found.names.values()}
    if not known & found.arrays.keys():
        some = ", ".join(list(found.arrays)[:3])
        raise InputError(
            f"{src}: not a net of {source}: none of its {len(found.arrays)} arrays ({some}, …) "
            "has one of its names; try another --from"
        )
    problems, arrays = [], {}
    for ours, (theirs, axes) in found.names.items():
        shape = shapes[ours]
        expected = tuple(shape[axes.index(i)] for i in range(len(axes)))
        value = found.arrays.get(theirs)
        if value is None:
            problems.append(f"missing {theirs}")
        elif value.shape != expected:
            problems.append(f"misshapen {theirs}: {value.shape}, expected {expected}")
        elif value.dtype.kind != "f":
            problems.append(f"not floating point: {theirs} ({value.dtype})")
        elif not np.isfinite(value.astype(np.float32)).all():
            problems.append(f"not finite: {theirs}")
        else:
            arrays[ours] = value.transpose(axes)
    problems += [f"extra {theirs}" for theirs in found.arrays if theirs not in known]
    if problems:
        raise InputError(f"{src}: not a net of {source}: {'; '.join(problems)}")
    return arrays


def _pytorch_examples(src: Path) -> Source:
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
        _length(state, f"{name}.conv2d.weight", 0, default) for name, default in defaults.items()
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


def _lengstrom(src: Path) -> Source:
    """Reads 48 unnamed variables: weights, shift and scale of each layer. The net has TensorFlow's
    SAME padding, no biases, instance norm (eps 1e-3) also after the last convolution, raw 0-255 RGB
    in, and 150 tanh + 127.5 out."""
    named = {k.removesuffix(":0"): v for k, v in _variables(src).items()}
    state = {k: v for k, v in named.items() if not _of_training(k)}
    numbered = ["Variable", *(f"Variable_{i}" for i in range(1, 48))]
    wide = [
        _length(state, numbered[i], axis, default)
        for i, axis, default in ((0, 3, 32), (3, 3, 64), (6, 3, 128), (39, 2, 64), (42, 2, 32))
    ]
    config = TransformNetConfig(
        preset="lengstrom",
        stem=wide[0],
        down=(wide[1], wide[2]),
        up=(wide[3], wide[4]),
        padding="same",
        fit="crop",
        upsample="transposed",
        norm_eps=1e-3,
        head_norm=True,
        input="raw",
        output="tanh",
        output_scale=150 / 127.5,
    )
    names: Names = {}
    for i, (conv, norm) in enumerate(layers(config)):
        weights, shift, scale = numbered[3 * i : 3 * i + 3]
        names[f"{conv}.kernel"] = weights, (0, 1, 3, 2) if conv.startswith("up") else (0, 1, 2, 3)
        names[f"{norm}.bias"], names[f"{norm}.scale"] = (shift, VECTOR), (scale, VECTOR)
    licence = (
        "of the code, and of its author's weights: Copyright (c) 2016 Logan Engstrom, free for "
        "research use, as long "
        "as proper attribution is given and this copyright notice is retained; of others' "
        "weights: as they say"
    )
    return Source(config, state, names, "variables of lengstrom/fast-style-transfer", licence)


def _johnson(src: Path) -> Source:
    from jaxpercept.interop.convert import torch7

    model = torch7.read_net(src)
    names: Names = {}
    for (conv, norm), modules in zip(layers(model.config), model.modules, strict=True):
        axes = TRANSPOSED if conv.startswith("up") else CONV
        names[f"{conv}.kernel"], names[f"{conv}.bias"] = (
            (f"{modules[0]}.weight", axes),
            (f"{modules[0]}.bias", VECTOR),
        )
        if len(modules) > 1:
            theirs = {"scale": "weight", "bias": "bias"}
            if model.config.norm == "batch":
                theirs |= {"mean": "running_mean", "var": "running_var"}
            names |= {
                f"{norm}.{our}": (f"{modules[1]}.{their}", VECTOR) for our, their in theirs.items()
            }
    licence = (
        "as their publisher says; of the authors' nets: personal or research use, commercial use "
        "on request"
    )
    about = {"arch": model.arch, "options": model.options}
    return Source(
        model.config,
        model.arrays,
        names,
        "Torch7 file of jcjohnson/fast-neural-style",
        licence,
        about,
    )


def _length(state: Arrays, name: str, axis: int, default: int) -> int:
    """Returns the width of a layer, or `default` if its kernel is missing or misshapen, which is
    reported later."""
    value = state.get(name)
    return value.shape[axis] if value is not None and value.ndim == 4 and value.size else default


def _state_dict(src: Path) -> Arrays:
    with src.open("rb") as file:
        head = file.read(16)
    try:
        if _is_npz(src):
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


def _variables(src: Path) -> Arrays:
    if src.is_file() and _is_npz(src):
        try:
            return read_npz(src)
        except InputError:
            raise
        except Exception as e:
            raise InputError(f"{src}: a damaged npz ({reason(e)}); download it again") from e
    if not _is_checkpoint(src):
        raise InputError(f"{src}: is not in a supported format; give {_TAKES['lengstrom']}")
    try:
        import tensorflow as tf
    except ImportError as e:
        raise InputError(
            f"{src}: reading a TensorFlow checkpoint needs tensorflow; pip install tensorflow, or "
            "give an .npz of its "
            "variables, made where TensorFlow is (docs/import.md has the line)"
        ) from e
    try:
        reader = tf.train.load_checkpoint(str(_prefix(src)))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except Exception as e:  # TensorFlow raises errors of several classes
        advice = (
            "give the checkpoint in it by its file or prefix"
            if src.is_dir()
            else "download it again"
        )
        raise InputError(
            f"{src}: TensorFlow cannot read this checkpoint ({reason(e)}); {advice}"
        ) from e


def _of_training(name: str) -> bool:
    """Returns whether the name is one of Adam's slots and counters, which training checkpoints also
    hold."""
    return name.endswith(("/Adam", "/Adam_1")) or name in (
        "beta1_power",
        "beta2_power",
        "global_step",
    )


def _is_checkpoint(src: Path) -> bool:
    """Returns whether `src` is a folder with a checkpoint, the prefix of one, one of its files
    (NAME.index, NAME.data-…), or one of the older single files, a table whose last bytes say so."""
    if src.is_dir():
        return (src / "checkpoint").is_file() or any(src.glob("*.index"))
    if Path(f"{_prefix(src)}.index").is_file():
        return True
    return src.is_file() and (".ckpt" in src.name or _end(src) == bytes.fromhex("57fb808b247547db"))


def _end(src: Path) -> bytes:
    """Returns a file's last 8 bytes."""
    with src.open("rb") as file:
        file.seek(max(src.stat().st_size - 8, 0))
        return file.read()


def _prefix(src: Path) -> Path:
    """Returns what TensorFlow takes: the prefix of the checkpoint that a file is part of, or of the
    only one in a folder. The folder's `checkpoint` file often names the original place instead."""
    if src.is_dir():
        found = list(src.glob("*.index"))
        return found[0].with_suffix("") if len(found) == 1 else src
    prefix = src.with_name(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", src.name))
    return prefix if Path(f"{prefix}.index").is_file() else src


def _is_npz(src: Path) -> bool:
    if not zipfile.is_zipfile(src):
        return False
    with zipfile.ZipFile(src) as archive:
        names = archive.namelist()
    return bool(names) and all(n.endswith(".npy") for n in names)


_READERS: dict[str, Callable[[Path], Source]] = {
    "pytorch-examples": _pytorch_examples,
    "lengstrom": _lengstrom,
    "johnson": _johnson,
}
_TAKES = {
    "pytorch-examples": "a state dict as .pth, .safetensors or .npz",
    "lengstrom": "an .npz of Variable, Variable_1 … Variable_47, or a TensorFlow checkpoint "
    "(folder, prefix or .ckpt)",
    "johnson": "a Torch7 .t7",
}
FORMATS = tuple(_READERS)
