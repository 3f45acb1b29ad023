"""The names and shapes of a transform net's variables, as `module.TransformNet` has them. They are
known here without Flax, because weights files are checked against them before anything is computed.
"""

from __future__ import annotations

from itertools import pairwise

from jaxpercept.config import TransformNetConfig

Shapes = dict[str, tuple[int, ...]]


def shapes(config: TransformNetConfig) -> tuple[Shapes, Shapes]:
    """Returns the shapes of the parameters and of the running statistics, by name, in the order of
    the names' parts."""
    c = config
    params: Shapes = {}
    stats: Shapes = {}

    def conv(name: str, size: int, cin: int, cout: int, bias: bool = c.bias) -> None:
        params[f"{name}.kernel"] = (size, size, cin, cout)
        if bias or c.norm == "none":
            params[f"{name}.bias"] = (cout,)

    def norm(name: str, channels: int) -> None:
        if c.norm != "none":
            row = (c.styles, channels) if c.styles else (channels,)
            params.update({f"{name}.scale": row, f"{name}.bias": row})
        if c.norm == "batch":
            stats.update({f"{name}.mean": (channels,), f"{name}.var": (channels,)})

    conv("stem", c.stem_size, 3, c.stem)
    norm("stem_norm", c.stem)
    for i, (a, b) in enumerate(pairwise((c.stem, *c.down))):
        conv(f"down.{i}", 3, a, b)
        norm(f"down_norm.{i}", b)
    w = (c.stem, *c.down)[-1]
    for block in (f"blocks.{i}" for i in range(c.blocks)):
        for n in (1, 2):
            conv(f"{block}.conv{n}", 3, w, w)
            norm(f"{block}.norm{n}", w)
        if c.gate:
            params[f"{block}.gate"] = (w,)
    for i, (a, b) in enumerate(pairwise((w, *c.up))):
        conv(f"up.{i}", 3, a, 4 * b if c.upsample == "subpixel" else b)
        norm(f"up_norm.{i}", b)
    out = 3 * c.head_scale**2
    conv("head", c.head_size, (w, *c.up)[-1], out, c.bias or not c.head_norm)
    if c.head_norm:
        norm("head_norm", out)
    return _ordered(params), _ordered(stats)


def _ordered(found: Shapes) -> Shapes:
    def parts(name: str) -> list[tuple[int, str]]:
        return [(int(p), "") if p.isdigit() else (0, p) for p in name.split(".")]

    return {name: found[name] for name in sorted(found, key=parts)}
