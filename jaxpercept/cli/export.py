"""The `export` command: writes a trained net for other runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxpercept.cli.outputs import say, suffix_of
from jaxpercept.cli.writable import check_file
from jaxpercept.config import EXPORTED
from jaxpercept.errors import InputError, choose
from jaxpercept.nets import multistyle

DESCRIPTION = """Write a trained net for other runtimes. OUT's suffix or --format names the
format:
  .onnx       ONNX, opset 18, for any batch, height and width
  .stablehlo  StableHLO of jax.export, for CPU, CUDA and TPU: any batch, and any size
              that the net's strides divide (for styles, a multiple of 4), or the one
              of --size

Images go in and out as float32 RGB in [0, 1], (N, H, W, 3); the output is clipped.
A net of several styles takes a second input, `blend`: one float32 weight for each
style, which the net divides by their sum. FILE:BLEND fixes the blend instead.

Before the file is kept, it is run (an ONNX file in ONNX Runtime) and must equal the
net within 1/255."""

EPILOG = """examples:
  jaxpercept export starry_night starry_night.onnx
  jaxpercept export x4-pixel x4.stablehlo
  jaxpercept export multi multi.onnx
  jaxpercept export multi:wave=0.6,starry_night=0.4 blend.onnx

to run one, with {"image": x, "blend": weights} for a net of several styles:
  session = onnxruntime.InferenceSession("starry_night.onnx")
  (y,) = session.run(["output"], {"image": x})

  data = bytearray(open("x4.stablehlo", "rb").read())
  y = jax.jit(jax.export.deserialize(data).call)(x)"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `export` command."""
    parser = commands.add_parser(
        "export",
        help="write a trained net as ONNX or StableHLO",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a shipped style or super-resolution net, or a weights file"
    )
    parser.add_argument(
        "out", metavar="OUT", help="FILE.onnx, FILE.stablehlo, or any file with --format"
    )
    parser.add_argument(
        "--format",
        metavar="F",
        help="onnx or stablehlo, for an OUT whose name ends in neither (default: by OUT's suffix)",
    )
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        metavar=("H", "W"),
        help="make a .stablehlo file for this size only",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Runs `export`."""
    own = suffix = Path(arguments.out).suffix
    if arguments.format is not None:
        suffix = suffix_of(arguments.format, EXPORTED)
        if own in EXPORTED and own != suffix:
            raise InputError(
                f"{arguments.out} names another format than --format {suffix[1:]}; leave out one"
            )
    choose("suffix of OUT", suffix, EXPORTED)
    check_file("OUT", Path(arguments.out), [multistyle.find(arguments.model).path])
    from jaxpercept.inference.model import load_model
    from jaxpercept.interop.export import export
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    model = load_model(arguments.model, any_blend=True)
    size = tuple(arguments.size) if arguments.size else None
    worst = export(model, arguments.out, size=size, suffix=suffix)
    say(f"{arguments.out}: checked; differs from {model.name} by at most {255 * worst:.2g}/255")
