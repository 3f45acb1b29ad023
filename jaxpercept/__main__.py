"""Makes `python -m jaxpercept` the same as the console script `jaxpercept`."""

import sys

from jaxpercept.cli import main

sys.exit(main())
