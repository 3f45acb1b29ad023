"""Colours named by the numbers of ITU-T H.273, as in the cICP of a PNG or the nclx of an AVIF."""

from __future__ import annotations

import numpy as np

from jaxpercept.images import hdr, icc

SRGB = ((0.3127, 0.3290), ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)))  # white and primaries
LEVELS = np.linspace(0, 1, 4096)
SRGB_CURVE = np.where(LEVELS <= 0.04045, LEVELS / 12.92, ((LEVELS + 0.055) / 1.055) ** 2.4)
# The chromaticities and curves by their numbers. sRGB's curve also stands for the cameras' curves
# of BT.601, 709 and 2020 (1, 6, 14 and 15), as in viewers of video.
_PRIMARIES = {
    1: SRGB,
    5: (SRGB[0], ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06))),
    6: (SRGB[0], ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))),
    9: (SRGB[0], ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))),
    12: (SRGB[0], ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))),
}
_CURVES = {
    **dict.fromkeys((1, 6, 13, 14, 15), SRGB_CURVE),
    4: LEVELS**2.2,
    5: LEVELS**2.8,
    8: LEVELS,
}


def profile(primaries: int, transfer: int, grey: bool) -> bytes | None:
    """Returns the profile of these numbers, or None if they are not known, or sRGB's."""
    if not is_known(primaries, transfer):
        return None
    curve = _CURVES[transfer]
    if curve is SRGB_CURVE and (grey or primaries == 1):
        return None
    return icc.of_grey(curve) if grey else icc.of_rgb(*_PRIMARIES[primaries], curve)


def is_known(primaries: int, transfer: int) -> bool:
    """Returns whether the numbers name colours of the ordinary range that we know."""
    return primaries in _PRIMARIES and transfer in _CURVES


def range_note(transfer: int, embedded: bytes | None) -> tuple[str, ...]:
    """Returns a note if the transfer function is one of high dynamic range. A profile `embedded`
    beside it is for readers of the ordinary range."""
    if transfer not in hdr.NAMES:
        return ()
    taken = "by its colour profile" if embedded else "as if it were sRGB"
    return (f"its high dynamic range ({hdr.NAMES[transfer]}) is read {taken}",)
