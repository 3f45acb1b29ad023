"""Stylize or enlarge images: `python infer.py --help`.

Without arguments, this stylizes the sample photos in every shipped style.
"""

import sys

from jaxpercept.cli import main

sys.exit(main(sys.argv[1:], prog="infer.py"))
