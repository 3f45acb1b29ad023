"""All comparisons. Each case has two sizes: an even one with generated images, and an odd one with
photographs.
"""

from __future__ import annotations

from collections.abc import Iterator

from jaxpercept.evaluation.parity import layer_cases, loss_cases, net_cases
from jaxpercept.evaluation.parity.case import Case

EVEN, ODD = (24, 32), (21, 27)


def all_cases() -> Iterator[Case]:
    """Yields every case except the objective's gradients, shallow to deep. Each name comes once per
    size."""
    for size in (EVEN, ODD):
        yield from layer_cases.convolutions(size)
        yield from layer_cases.norms(size)
        yield from net_cases.blocks(size)
        yield from net_cases.nets(size)
        yield from loss_cases.cases(size)
        yield net_cases.vgg16(size)
