"""Converts films of high dynamic range to the standard range, PQ and HLG in BT.2020 to BT.709, and
the wide colours of BT.2020 in the standard range to those of BT.709.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = {16: "PQ", 18: "HLG"}  # transfer characteristics of ITU-T H.273
WIDE = "BT.2020"  # of the standard range
_WHITE = 203.0  # luminance of diffuse white in cd/m², ITU-R BT.2408
_KNEE = 0.8  # share of white above which highlights are compressed
# BT.2020 to BT.709 primaries, ITU-R BT.2087
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)


def to_standard(rgb: NDArray[np.uint16], transfer: str) -> NDArray[np.uint8]:
    """Converts (H, W, 3) of 16 bits, PQ, HLG or WIDE, to 8 bits of BT.709. The value 1 is diffuse
    white, and the highlights of PQ and HLG are compressed below it."""
    light: NDArray[Any] = _light(transfer)[rgb] @ _TO_709.T
    if transfer != WIDE:
        peak = np.maximum(light.max(-1, keepdims=True), 1e-6)
        over = np.maximum(peak - _KNEE, 0)
        bent = np.minimum(peak, _KNEE) + (1 - _KNEE) * over / (over + 1 - _KNEE)
        light = light * (bent / peak)
    light = np.clip(light, 0, 1)
    made = np.where(light < 0.018, 4.5 * light, 1.099 * light**0.45 - 0.099)  # BT.709
    return (made * 255 + 0.5).astype(np.uint8)


@lru_cache(maxsize=3)
def _light(transfer: str) -> NDArray[Any]:
    """Returns the linear light of each of 65,536 values, in units of diffuse white."""
    x = np.linspace(0, 1, 65536)
    if transfer == WIDE:  # the inverse of BT.709's curve, which BT.2020 shares
        return np.where(x < 0.081, x / 4.5, ((x + 0.099) / 1.099) ** (1 / 0.45)).astype(np.float32)
    if transfer == "PQ":  # SMPTE ST 2084
        root = x ** (1 / 78.84375)
        ratio = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        return (10_000 / _WHITE * ratio ** (1 / 0.1593017578125)).astype(np.float32)
    scene = np.where(x <= 0.5, x**2 / 3, (np.exp((x - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return (1000 / _WHITE * scene**1.2).astype(np.float32)  # a display of 1000 cd/m², BT.2100
