"""What many test files need: noise as images, folders of it, and the command line's exit status."""

from pathlib import Path

import numpy as np

from jaxpercept import images
from jaxpercept.cli import main


def noise(seed: int, *size: int) -> np.ndarray:
    """Uniform in [0, 1], (*size, 3)."""
    return np.random.default_rng(seed).random((*size, 3), np.float32)


def save_noise(folder: Path, names, height: int, width: int) -> Path:
    """`folder`, with one image of noise for each name, each another."""
    for seed, name in enumerate(names):
        images.save_image(folder / name, noise(seed, height, width))
    return folder


def status(*argv) -> int:
    """The exit status of a command line: its arguments, or one text of several words."""
    words = argv[0].split() if len(argv) == 1 and isinstance(argv[0], str) else argv
    try:
        return main([str(word) for word in words]) or 0
    except SystemExit as e:
        return e.code
