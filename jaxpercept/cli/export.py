"""The `export` command: a trained net for other runtimes."""

from __future__ import annotations

import argparse

from jaxpercept.cli.outputs import say

DESCRIPTION = """Writes a trained net, clipped to [0, 1] as `load_model` gives it, for other runtimes, by OUT's suffix:

  .onnx       ONNX, opset 18; any batch, height and width
  .stablehlo  StableHLO of jax.export, for CPU, CUDA and TPU; any batch, and any size that the net's strides divide
              (a multiple of 4 for styles), or the one of --size

Images go in and out as float32 RGB in [0, 1], (N, H, W, 3). A net of several styles takes a second input, `blend`:
one weight for each style, float32, which it divides by their sum; FILE:BLEND fixes the blend instead. The file is run back before it is kept, ONNX in ONNX
Runtime, and must equal the net within 1/255."""

EPILOG = """examples:
  python -m jaxpercept export starry_night starry_night.onnx
  python -m jaxpercept export x4-pixel x4.stablehlo
  python -m jaxpercept export multi multi.onnx
  python -m jaxpercept export multi:wave=0.6,starry_night=0.4 blend.onnx

to run one:
  session = onnxruntime.InferenceSession("starry_night.onnx")
  (y,) = session.run(["output"], {"image": x})                  # of several styles: {"image": x, "blend": weights}

  y = jax.jit(jax.export.deserialize(bytearray(open("x4.stablehlo", "rb").read())).call)(x)"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `export` command."""
    parser = commands.add_parser(
        "export", help="a trained net as ONNX or StableHLO", description=DESCRIPTION, epilog=EPILOG
    )
    parser.add_argument(
        "model", metavar="MODEL", help="a shipped style or super-resolution net, or a weights file"
    )
    parser.add_argument("out", metavar="OUT", help="FILE.onnx or FILE.stablehlo")
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        metavar=("H", "W"),
        help="of a .stablehlo file: this size alone",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """`export`."""
    from pathlib import Path

    from jaxpercept.config import choose

    choose("kind of export", Path(arguments.out).suffix, (".onnx", ".stablehlo"))
    from jaxpercept.inference.model import load_model
    from jaxpercept.interop.export import export
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    model = load_model(arguments.model, any_blend=True)
    worst = export(model, arguments.out, size=tuple(arguments.size) if arguments.size else None)
    say(f"{arguments.out}: {model.name}, run back: at most {255 * worst:.2g}/255 from it")
