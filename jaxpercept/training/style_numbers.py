"""The numbers that `learn` moves, and how. Adam moves those of the style's row, each by itself and
all together towards or away from the rows of the other styles. For a whole net, Muon moves the
kernels too.
"""

from __future__ import annotations

from collections.abc import Iterable

import jax.numpy as jnp
import optax

from jaxpercept.nets import transform_net
from jaxpercept.training import optimizers

RATE, MIX_RATE = 0.06, 0.02  # Adam's, of each number and of the mix of rows
BETAS = 0.7, 0.95  # for some 50 steps; better than 0.9, 0.999 by 2 to 5 %
KERNEL_RATE = 1e-3  # Muon's; 5e-4 and 2e-3 were worse on the photos of --on or on others
MIX = "mix of the shared net's rows"


def optimizer(row: Iterable[str], kernels: Iterable[str]) -> optax.GradientTransformation:
    """Returns the optimizer of the row's numbers, of the mix and of these kernels, at their initial
    rates."""

    def adam(rate: float) -> optax.GradientTransformation:
        return optax.chain(optax.scale_by_adam(*BETAS, nesterov=True), optax.scale(-rate))

    parts = dict.fromkeys(row, "row") | {MIX: "mix"} | dict.fromkeys(kernels, "kernel")
    return optax.partition(
        {"row": adam(RATE), "mix": adam(MIX_RATE), "kernel": optimizers.muon_of(KERNEL_RATE)}, parts
    )


def of_net(
    trained: transform_net.Variables, spread: transform_net.Variables
) -> transform_net.Variables:
    """Returns a net's numbers from those that are trained. Those of the row are the sum of their
    own and of the mix of the shared net's rows, which `spread` has less their mean, (styles, C) by
    name."""
    mixed = {k: jnp.tensordot(trained[MIX], v, 1, precision="highest") for k, v in spread.items()}
    return {k: v + mixed[k] if k in mixed else v for k, v in trained.items() if k != MIX}
