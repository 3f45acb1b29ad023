"""The nets by name: the presets of style transfer, and the super-resolution nets."""

from __future__ import annotations

from jaxpercept.config.net import TransformNetConfig
from jaxpercept.errors import Name, choose

NET_PRESETS: dict[str, TransformNetConfig] = {
    # [P] supplementary, table 1: pad 40, 32-64-128, five blocks of unpadded 3×3, stride-1/2
    # convolutions, batch norm, scaled tanh into [0, 255]. The eps and the bias are Torch7's
    # defaults.
    "paper": TransformNetConfig(
        preset="paper",
        start_padding=40,
        padding="zero",
        upsample="transposed",
        norm="batch",
        bias=True,
        output="tanh",
    ),
    # [L] models.lua (reflect-start, u64,u32), InstanceNormalization.lua (eps 1e-5), train.lua
    # (tanh_constant 150), preprocess.lua (VGG space: BGR, 0-255, mean subtracted, at the input and
    # the output).
    "reference": TransformNetConfig(
        preset="reference",
        start_padding=40,
        padding="zero",
        upsample="transposed",
        bias=True,
        input="vgg",
        output="vgg_tanh",
        output_scale=150.0,
    ),
    # [ours] No start padding (40 pixels on each side are 72 % more pixels at 256²). No transposed
    # convolution (checkerboards: https://distill.pub/2016/deconv-checkerboard). A linear output,
    # which cannot saturate.
    "resize": TransformNetConfig(output_scale=0.15),
}

# What `--help` says of each.
NET_HELP = {
    "resize": "ours, the default: reflection padding, nearest-neighbour upsampling followed by a "
    "convolution, linear output",
    "paper": "the paper's net and losses: batch norm, transposed convolutions, scaled tanh",
    "reference": "the authors' code: instance norm, transposed convolutions, scaled tanh in "
    "VGG-16's input space, content at relu3_3",
}

SCALES = (2, 4, 8)
DEFAULT_SCALE = 4  # of `upscale`, where nothing tells another
SUPERRES_PRESETS = ("best", "gated", "paper")


def superres_net(scale: int, preset: str = "best") -> TransformNetConfig:
    """Returns the super-resolution net of a scale. Raises InputError for another scale or preset.

    "paper": [P] supplementary, table 2: c9s1-64, four residual blocks of 64, a stride-1/2 u64 per
    doubling, c9s1-3, zero padding, batch norm, scaled tanh. "best": [ours] all work at low
    resolution, as EDSR and ESPCN do (arXiv 1707.02921, 1609.05158): no norm, a sub-pixel head, the
    bicubic upsample as a global skip, 3×3 kernels only. "gated": [ours] "best" with a ninth block
    and an attention gate in each (after SPAN, arXiv 2311.12770); it can start from a trained "best"
    net."""
    choose(Name("scale"), scale, SCALES)
    choose("super-resolution preset", preset, SUPERRES_PRESETS)
    if preset != "paper":
        return TransformNetConfig(
            preset=preset,
            stem=48,
            stem_size=3,
            head_size=3,
            head_scale=scale,
            down=(),
            blocks=9 if preset == "gated" else 8,
            gate=preset == "gated",
            up=(),
            padding="zero",
            norm="none",
            output_scale=0.25,
            skip="bicubic",
        )
    return TransformNetConfig(
        preset="paper",
        stem=64,
        down=(),
        blocks=4,
        up=(64,) * (scale.bit_length() - 1),
        padding="zero",
        upsample="transposed",
        norm="batch",
        bias=True,
        output="tanh",
    )
