"""Explains why jax cannot compute: the requested platform is missing on this machine."""

from __future__ import annotations

import sys


def problem() -> str | None:
    """Returns a line for the user if $JAX_PLATFORMS names a platform that jax cannot start. Returns
    None if it can, or if jax was never imported."""
    if (jax := sys.modules.get("jax")) is None or not (asked := jax.config.jax_platforms):
        return None
    try:
        jax.devices()
    except (RuntimeError, AssertionError):  # jax 0.10 asserts if no plugin is installed
        return (
            f"JAX_PLATFORMS={asked}: jax cannot start it here; unset JAX_PLATFORMS and jax takes "
            "what there is, or install jax for that device (pip install 'jaxpercept[cuda]')"
        )
    return None
