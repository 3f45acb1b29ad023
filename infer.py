"""Stylize or enlarge images: `python infer.py --help`.

Without arguments, this stylizes the sample photos in six of the shipped styles.
"""

import sys

from jaxpercept.__main__ import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:], prog="infer.py"))
