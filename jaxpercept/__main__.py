"""`python -m jaxpercept` is the console script `jaxpercept`."""

import sys

from jaxpercept.cli import main

sys.exit(main())
