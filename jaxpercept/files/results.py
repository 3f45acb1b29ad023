"""The text of result files: figures as JSON of six significant digits, on one line. Results that
are in the repository are exactly what a rerun with the same figures writes.
"""

from __future__ import annotations

import json
import math
from typing import Any


def encoded(figures: Any) -> str:
    """Returns the text of a result file. Floats that are not finite, which JSON lacks, become the
    strings "inf", "-inf" and "nan"."""
    return json.dumps(rounded(figures), separators=(",", ":"), allow_nan=False) + "\n"


def rounded(value: Any) -> Any:
    """Returns dicts and lists with every float in six significant digits."""
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else str(value)
