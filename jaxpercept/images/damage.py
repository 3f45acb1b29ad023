"""What small pictures from the web have suffered: blur, then shrinking, noise and JPEG compression.

The order is that of real pictures and of K. Zhang et al., "Designing a Practical Degradation Model
for Deep Blind Image Super-Resolution", 2021, in its first stage alone. All is drawn from a
generator. Without one, each strength is the middle of its range, and the noise is always the same.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIGMA = (0.0, 2.0)  # the blur's, in pixels of the large picture
NOISE = (0.0, 6.0)  # standard deviation, in grey values of 255
QUALITY = (30, 95)  # JPEG, half of the pictures with halved chroma
Uint8 = NDArray[np.uint8]


def blur_sigma(rng: np.random.Generator | None) -> float:
    """Returns the blur's standard deviation in tenths of a pixel, so that its taps can be kept."""
    return round(float(rng.uniform(*SIGMA) if rng else np.mean(SIGMA)), 1)


def worsen(x: Uint8, rng: np.random.Generator | None) -> Uint8:
    """Adds noise to a picture (H, W, 3) or to each of several (…, H, W, 3), then compresses it as a
    JPEG file does."""
    if x.ndim > 3:
        return np.stack([worsen(part, rng) for part in x])
    draw = rng or np.random.default_rng(0)
    deviation = draw.uniform(*NOISE) if rng else np.mean(NOISE)
    quality = int(draw.integers(QUALITY[0], QUALITY[1] + 1)) if rng else sum(QUALITY) // 2
    halved = bool(draw.integers(2)) if rng else True
    noisy = np.clip(x + draw.normal(0, deviation, x.shape) + 0.5, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=quality, subsampling=2 if halved else 0)
    return np.array(Image.open(file))
