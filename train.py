"""Train a transform net: `python train.py --help`. Without arguments: a short, real training on sample photos."""

import sys

from jaxpercept.cli import main

sys.exit(main(["train", *sys.argv[1:]], prog="train.py"))
