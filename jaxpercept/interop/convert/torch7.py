"""Reads the nets in Torch7's `.t7` files of the authors' fast-neural-style. A checkpoint is a table
with `model`, a tree of nn modules, and `opt`, the training options with the architecture string
(train.lua, models.lua).
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept.config import NET_PRESETS, TransformNetConfig
from jaxpercept.errors import InputError
from jaxpercept.interop.convert import torch7_file

_ARCH = re.compile(r"c(\d)s1-(\d+)((?:,d\d+)*)((?:,R\d+)*)((?:,u\d+)*),c(\d)s1-3")
_NORMS = {"InstanceNormalization": "instance", "SpatialBatchNormalization": "batch"}
_CONVS = ("SpatialConvolution", "SpatialFullConvolution")
_MAX_MODULES, _MAX_DEPTH = 2_000, 32  # a net of 5 blocks has 70 modules, 6 deep
_KEPT = (
    "arch",
    "padding_type",
    "tanh_constant",
    "preprocessing",
    "use_instance_norm",
    "task",
    "style_image",
)


@dataclass(frozen=True)
class Net:
    """The net's config; the names of each layer's modules (a convolution and usually a norm);
    arrays by MODULE.NAME in Torch's layouts; the architecture string; and the options that describe
    the net."""

    config: TransformNetConfig
    modules: list[tuple[str, ...]]
    arrays: dict[str, np.ndarray]
    arch: str
    options: dict[str, Any]


def read_net(path: Path) -> Net:
    """Reads a trained net. Raises InputError for another format or an architecture unlike the
    paper's."""
    table = torch7_file.read(path)
    if (
        not isinstance(table, dict)
        or not isinstance(table.get("opt"), dict)
        or "model" not in table
    ):
        raise InputError(
            f"{path}: is a Torch7 file, but not a checkpoint of fast-neural-style with model and "
            "opt"
        )
    try:
        plain = {
            k: v
            for k, v in table["opt"].items()
            if isinstance(v, str | bool) or (isinstance(v, float) and abs(v) < 1e15)
        }  # NaN means no value, and a header holds no larger ones
        options = {k: _whole(v) for k, v in plain.items()}
        return _net(path, options, list(_modules(table["model"], "model", itertools.count())))
    except InputError:
        raise
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as e:
        raise InputError(
            f"{path}: its modules are not those of fast-neural-style ({e}); train.lua did not "
            "write it"
        ) from e


def _net(path: Path, options: dict[str, Any], modules: list[tuple[str, str, Any]]) -> Net:
    arch = str(options.get("arch"))
    config = _config(path, arch, options, modules)
    layers: list[tuple[str, ...]] = []
    arrays: dict[str, np.ndarray] = {}
    inverses: dict[str, np.ndarray] = {}
    for name, kind, module in modules:
        if kind in _CONVS:
            layers.append((name,))
        elif kind in _NORMS:
            layers[-1] += (name,)
        else:
            continue
        fields = (
            ("weight", "bias", "running_mean", "running_var")
            if config.norm == "batch"
            else ("weight", "bias")
        )
        for key in fields:
            if isinstance(value := module[key], np.ndarray):
                arrays[f"{name}.{key}"] = value
        inverse = module["running_std"]  # nn before 2016 stored 1 / √(var + eps)
        if isinstance(inverse, np.ndarray):
            inverses[f"{name}.running_var"] = inverse
    count = 2 + len(config.down) + 2 * config.blocks + len(config.up)
    if [len(names) for names in layers] != [2] * (count - 1) + [1]:
        raise InputError(
            f"{path}: its modules do not match its architecture {arch}; train.lua did not write it"
        )
    for key, inverse in inverses.items():  # only now, since a damaged file may hold very many
        with np.errstate(all="ignore"):  # values that are not finite are refused later, by name
            arrays.setdefault(key, inverse**-2.0 - config.norm_eps)
    kept = {k: options[k] for k in _KEPT if k in options}
    return Net(config, layers, arrays, arch, kept)


def _config(
    path: Path, arch: str, options: dict[str, Any], modules: list[tuple[str, str, Any]]
) -> TransformNetConfig:
    found = _ARCH.fullmatch(arch)
    if found is None:
        raise InputError(
            f"{path}: its architecture is {arch}; supported are architectures like "
            "c9s1-32,d64,d128,R128,…,u64,u32,c9s1-3"
        )
    down, blocks, up = ([int(n) for n in re.findall(r"\d+", found[i])] for i in (3, 4, 5))
    stem = int(found[2])
    if set(blocks) - {(down or [stem])[-1]}:
        raise InputError(
            f"{path}: its architecture is {arch}; residual blocks of another width are not "
            "supported"
        )
    if options.get("preprocessing", "vgg") != "vgg":
        raise InputError(
            f"{path}: its preprocessing is {options['preprocessing']!r}; only vgg is supported"
        )
    padding = options.get("padding_type", "reflect-start")
    start = {"reflect-start": 2 * len(blocks) * 2 ** len(down), "zero": 0}.get(padding)
    first = modules[0][2] if modules[0][1] == "SpatialReflectionPadding" else None
    padded = 0 if first is None else float(first["pad_l"])
    if start is None or padded != start:
        raise InputError(
            f"{path}: its padding is {padding!r}, {padded:g} pixels at the start; supported are "
            f"reflect-start ({2 * len(blocks) * 2 ** len(down)} pixels for {arch}) and zero"
        )
    kinds = {_NORMS[kind] for _, kind, _ in modules if kind in _NORMS}
    if len(kinds) != 1:
        raise InputError(
            f"{path}: it has norms of {len(kinds)} kinds; a net must have one kind "
            f"of {', '.join(_NORMS)}"
        )
    (constant,) = (
        module["constant_scalar"] for _, kind, module in modules if kind == "MulConstant"
    )
    (eps,) = {float(module["eps"]) for _, kind, module in modules if kind in _NORMS}
    return dataclasses.replace(
        NET_PRESETS["reference"],
        stem=stem,
        stem_size=int(found[1]),
        head_size=int(found[6]),
        down=tuple(down),
        blocks=len(blocks),
        up=tuple(up),
        start_padding=start,
        norm=kinds.pop(),
        norm_eps=eps,
        output_scale=float(constant),
        fit="crop",
    )


def _modules(module: Any, name: str, visits: Iterator[int]) -> Iterator[tuple[str, str, Any]]:
    """Yields every module without children, in the order in which data passes: its name, its class
    without the package, and the module. Visits are counted, because modules that share children may
    have any number of paths."""
    if next(visits) > _MAX_MODULES or name.count(".") > _MAX_DEPTH:
        raise ValueError(f"more than {_MAX_MODULES:,} modules, or {_MAX_DEPTH} inside each other")
    children = module["modules"]
    if children is None:
        yield name, module.kind.rpartition(".")[2], module
    else:
        for i in sorted(children):
            yield from _modules(children[i], f"{name}.{_whole(i)}", visits)


def _whole(value: Any) -> Any:
    """Converts a whole number to an integer, since all of Lua's numbers are floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
