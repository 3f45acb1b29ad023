"""The `prepare` command: packs a folder of images into a dataset."""

from __future__ import annotations

import argparse

from jaxpercept.cli.outputs import say, tell
from jaxpercept.errors import counted

_ABOUT = """Pack the images under FOLDER, with its subfolders, into a TFDS dataset.

The dataset consists of ArrayRecord files and needs no TensorFlow. Train on it with
--data OUT."""

_EPILOG = """example:
  jaxpercept prepare photos/ packed/ --max-side 640
  python train.py style --style-image wave.jpg --data packed/ --out runs/wave"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `prepare` command."""
    parser = commands.add_parser(
        "prepare",
        help="pack a folder of images into a dataset",
        description=_ABOUT,
        epilog=_EPILOG,
    )
    parser.add_argument("folder", metavar="FOLDER", help="folder of images")
    parser.add_argument("out", metavar="OUT", help="folder of the dataset")
    parser.add_argument(
        "--max-side", type=int, metavar="N", help="shrink larger images to this longer side"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> None:
    from jaxpercept import images
    from jaxpercept.data import packing

    done = packing.prepare(arguments.folder, arguments.out, max_side=arguments.max_side)
    if line := images.left_out_line(done["other"]):
        say(line)
    for name, reason in done["left_out"].items():
        say(f"left out: {name}: {reason}")
    held = counted(done["count"], "image")
    tell(f"{done['path']}: {held}. Train on it with --data {arguments.out}")
