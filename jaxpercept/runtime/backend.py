"""Why jax cannot compute: a platform was asked for that this machine does not have."""

from __future__ import annotations

import sys


def problem() -> str | None:
    """The line for the user where $JAX_PLATFORMS names a platform that jax cannot start; None where
    it can, or where jax was never imported."""
    if (jax := sys.modules.get("jax")) is None or not (asked := jax.config.jax_platforms):
        return None
    try:
        jax.devices()
    except (RuntimeError, AssertionError):  # jax 0.10 has an assertion where no plugin is installed
        return (
            f"JAX_PLATFORMS={asked}: jax cannot start it here; unset JAX_PLATFORMS and jax takes "
            "what there is, or install jax for that device (pip install 'jaxpercept[cuda]')"
        )
    return None
