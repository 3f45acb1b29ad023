"""Train a net: `python train.py --help`.

Without arguments, this trains on the sample photos for two or three minutes.
"""

import sys

from jaxpercept.__main__ import run

if __name__ == "__main__":
    sys.exit(run(["train", *sys.argv[1:]], prog="train.py"))
