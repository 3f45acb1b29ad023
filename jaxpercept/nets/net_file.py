"""The weights file of a transform net: its config, parameters and statistics."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.typing import ArrayLike

from jaxpercept.config import TransformNetConfig, net_from_dict, to_dict
from jaxpercept.errors import InputError, some
from jaxpercept.nets import learned, transform_net, weights_file


def save(
    path: Path,
    config: TransformNetConfig,
    params: Mapping[str, ArrayLike],
    stats: Mapping[str, ArrayLike],
    header: dict[str, Any],
    *,
    dtype: Any = np.float16,
) -> None:
    """Writes a weights file that describes itself: parameters in `dtype`, float32 statistics,
    `header` and the config. Raises InputError for values that are not finite in `dtype`."""
    kinds = (("params", params, dtype), ("stats", stats, np.float32))
    with np.errstate(over="ignore"):
        arrays = {
            f"{kind}.{name}": np.asarray(value).astype(dtype)
            for kind, values, dtype in kinds
            for name, value in values.items()
        }
    if bad := [name for name, value in arrays.items() if not np.isfinite(value).all()]:
        raise InputError(
            f"{path}: not written, as values are not finite in {np.dtype(dtype).name}: "
            f"{some(bad)}; go back to an earlier checkpoint, or train again with a lower "
            "--learning-rate"
        )
    weights_file.write_weights(
        path, arrays, {"kind": "transform_net", "net": to_dict(config), **header}
    )


def load(
    path: str | Path,
) -> tuple[TransformNetConfig, transform_net.Variables, transform_net.Variables, dict[str, Any]]:
    """Returns a weights file's config, parameters and statistics (float32), and header. The
    InputError names the keys that are missing, extra or misshapen."""
    arrays, header = weights_file.read_net(path, "transform_net", partial(_check, str(path)))
    config = net_from_dict(header["net"], str(path))
    arrays = learned.completed(path, arrays, header)
    weights_file.check_shapes(path, weights_file.shapes_of(arrays), _stored_shapes(config))
    split = {
        kind: {
            k.removeprefix(kind): v.astype(np.float32)
            for k, v in arrays.items()
            if k.startswith(kind)
        }
        for kind in ("params.", "stats.")
    }
    split = jax.device_put(split)  # jnp.asarray would compile a program for each shape
    return config, split["params."], split["stats."], header


def _check(path: str, header: dict[str, Any], found: weights_file.Shapes) -> None:
    """Raises InputError if a file lacks arrays that its config needs, or its part of them on top of
    a shared net. Layers are counted first, because the shapes of many layers take long to
    compute."""
    if "net" not in header:
        raise InputError(
            f"{path}: its header has no net config; train it again, or convert the original again"
        )
    config, is_part = net_from_dict(header["net"], path), learned.BASE in header
    last = ".scale" if is_part else ".kernel"
    count = 2 + len(config.down) + 2 * config.blocks + len(config.up)
    count -= is_part and not config.head_norm
    if count != (held := sum(name.endswith(last) for name in found)):
        raise InputError(
            f"{path}: does not fit its own config: {held} arrays named …{last} instead of {count}; "
            "the file is damaged"
        )
    wanted = _stored_shapes(config)
    if is_part:
        wanted = {name: shape for name, shape in wanted.items() if learned.is_norm(name)}
    weights_file.check_shapes(path, found, wanted)


def _stored_shapes(config: TransformNetConfig) -> dict[str, tuple[int, ...]]:
    params, stats = transform_net.shapes(config)
    return {f"params.{k}": v for k, v in params.items()} | {
        f"stats.{k}": v for k, v in stats.items()
    }
