"""Train a net: `python train.py --help`.

Without arguments, this trains on the sample photos for two or three minutes.
"""

import sys

from jaxpercept.cli import main

sys.exit(main(["train", *sys.argv[1:]], prog="train.py"))
