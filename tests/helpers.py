"""Helpers of many test files: noise as images, folders of noise, a PNG of any kind, a tiny style
net, and the command line's exit status.
"""

import dataclasses
import struct
import zlib
from pathlib import Path

import numpy as np

from jaxpercept import config, images
from jaxpercept.cli import main
from jaxpercept.nets import net_file, transform_net

TINY = {"stem": 4, "down": (8,), "blocks": 1, "up": (4,), "stem_size": 3, "head_size": 3}


def tiny(preset: str, **changes) -> config.TransformNetConfig:
    """Returns a preset with few channels, one block and small kernels, which compiles fast."""
    net = config.NET_PRESETS[preset]
    padding = 4 if net.start_padding else 0  # what one block without padding uses up
    return dataclasses.replace(net, **{**TINY, "start_padding": padding, **changes})


def thin(width: float = 0.1) -> config.TransformNetConfig:
    """Returns our style net with a fraction of the channels and one block, which compiles fast and
    fits images as the whole net does."""
    return dataclasses.replace(config.NET_PRESETS["resize"].scaled(width), blocks=1)


def noise(seed: int, *size: int) -> np.ndarray:
    """Returns uniform noise in [0, 1], (*size, 3)."""
    return np.random.default_rng(seed).random((*size, 3), np.float32)


def png(rows, width: int, bits: int, kind: int, before=(), after=()) -> bytes:
    """Returns a PNG, also of kinds that Pillow does not write. `rows` are each row's bytes, `kind`
    the colour type, and chunks (name, data) come before and after the pixels."""
    head = struct.pack(">IIBBBBB", width, len(rows), bits, kind, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    made = b"\x89PNG\r\n\x1a\n"
    for name, data in [(b"IHDR", head), *before, (b"IDAT", pixels), *after, (b"IEND", b"")]:
        made += struct.pack(">I", len(data)) + name + data
        made += struct.pack(">I", zlib.crc32(name + data))
    return made


def save_noise(folder: Path, names, height: int, width: int) -> Path:
    """Writes an image of noise for each name, all different, and returns `folder`."""
    for seed, name in enumerate(names):
        images.save_image(folder / name, noise(seed, height, width))
    return folder


def save_style(path: Path, width: float = 0.125) -> Path:
    """Writes an untrained style net of a fraction of the width and one block, and returns
    `path`."""
    net = thin(width)
    net_file.save(path, net, *transform_net.init(net), {"task": "style"})
    return path


def status(*argv) -> int:
    """Returns the exit status of a command line, given as arguments or as one text of several
    words."""
    words = argv[0].split() if len(argv) == 1 and isinstance(argv[0], str) else argv
    try:
        return main([str(word) for word in words]) or 0
    except SystemExit as e:
        return e.code
