"""Reads nets of lengstrom/fast-style-transfer, src/transform.py
(https://github.com/lengstrom/fast-style-transfer), from an .npz or a TensorFlow checkpoint.
"""

from __future__ import annotations

import re
from pathlib import Path

from jaxpercept.config import TransformNetConfig
from jaxpercept.errors import InputError
from jaxpercept.interop.convert.bounds import is_npz, read_npz, reason
from jaxpercept.interop.convert.foreign_net import VECTOR, Arrays, Names, Source, layers, length

TAKES = (
    "an .npz of Variable, Variable_1 … Variable_47, or a TensorFlow checkpoint "
    "(folder, prefix or .ckpt)"
)


def read(src: Path) -> Source:
    """Reads 48 unnamed variables: weights, shift and scale of each layer. The net has TensorFlow's
    SAME padding, no biases, instance norm (eps 1e-3) also after the last convolution, raw 0-255 RGB
    in, and 150 tanh + 127.5 out."""
    named = {k.removesuffix(":0"): v for k, v in _variables(src).items()}
    state = {k: v for k, v in named.items() if not _of_training(k)}
    numbered = ["Variable", *(f"Variable_{i}" for i in range(1, 48))]
    wide = [
        length(state, numbered[i], axis, default)
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


def _variables(src: Path) -> Arrays:
    if src.is_file() and is_npz(src):
        try:
            return read_npz(src)
        except InputError:
            raise
        except Exception as e:
            raise InputError(f"{src}: a damaged npz ({reason(e)}); download it again") from e
    if not is_checkpoint(src):
        raise InputError(f"{src}: is not in a supported format; give {TAKES}")
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


def is_checkpoint(src: Path) -> bool:
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
