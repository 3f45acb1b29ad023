"""Trained transform nets as functions of images, compiled once per size."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from jaxpercept.config import PRECISIONS, TransformNetConfig, choose
from jaxpercept.errors import InputError
from jaxpercept.inference import programs
from jaxpercept.nets import conv, multistyle, net_file, surgery, transform_net, weights_file

TRAINED_GRAIN = 0.01  # lowers the shipped styles' objective by 0.1 to 0.3 %; 0.02 raises it
PROGRAMS = 16  # number of compiled programs kept, 10 to 20 MB each


class Net(Protocol):
    """What `process` needs of a net in any runtime: a call on (N, H, W, 3) float32 in [0, 1] that
    returns the same size times `config.scale`, clipped to [0, 1]."""

    @property
    def name(self) -> str:
        """The name that outputs get."""
        ...

    @property
    def config(self) -> TransformNetConfig:
        """The net's geometry and scale."""
        ...

    def __call__(self, x: Any) -> Any:
        """Returns the net's output."""
        ...


@dataclass(frozen=True, eq=False)  # compared by identity, so jax.jit can hash it
class Model:
    """A trained transform net. `model(x)` maps (N, H, W, 3) in [0, 1] to the same size (times
    `config.scale`), clipped to [0, 1]. It is compiled once per shape for all nets of one config and
    all blends. The programs of the last `PROGRAMS` shapes are kept.

    `mix` holds the styles' weights in a multi-style net, (1, styles). It is None until `blend` is
    called on a net loaded with `any_blend`. `source` is the name or file, without a blend."""

    name: str
    config: TransformNetConfig
    params: transform_net.Variables = dataclasses.field(repr=False)  # a notebook shows the rest
    stats: transform_net.Variables = dataclasses.field(repr=False)
    header: dict[str, Any] = dataclasses.field(repr=False)
    dtype: Any = None
    mix: Any = dataclasses.field(default=None, repr=False)
    source: str = ""

    @property
    def styles(self) -> tuple[str, ...]:
        """The names of the styles in a multi-style net."""
        return multistyle.names(self.header)

    def blend(self, text: str) -> Model:
        """Returns this multi-style net with another blend, "wave=0.6,starry_night=0.4", without
        compiling anything. Raises InputError for what `load_model` would not take."""
        weights = multistyle.parse(self.source, text, self.styles)
        chosen = [s for s in self.header["styles"] if s["name"] in weights]
        header = self.header if len(chosen) > 1 else {**self.header, "style": chosen[0]}
        return dataclasses.replace(
            self,
            name=f"{name_of(self.source)}-{multistyle.label(weights)}",
            header=header,
            mix=jax.device_put(multistyle.row(weights, self.styles)),
        )

    @property
    def grain(self) -> float:
        """The grain that is put under an image before the net unless the user sets another: the
        header's, or that of our style trainings if the header has none. Other nets get none."""
        ours = self.config.scale == 1 and "training" in self.header
        value = self.header.get("grain", TRAINED_GRAIN if ours else 0.0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(
                f"{self.source or self.name}: its header has grain {str(value)[:40]!r}, outside "
                "0 to 1",
                fixes=["give another copy of the file", "give --grain"],
            )
        return float(value)

    def single_style(self) -> transform_net.Variables:
        """Returns the parameters of a single-style net. For a multi-style net, they are those of
        the chosen style or blend."""
        if self.mix is None:
            return dict(self.params)
        return surgery.single_style(self.config, self.params, self.mix)

    def __call__(self, x: Float[Any, "n h w 3"]) -> Float[Array, "n h2 w2 3"]:
        if not isinstance(x, Array):
            x = jax.device_put(np.asarray(x))  # jnp.asarray keeps a program for every shape
        if not jnp.issubdtype(x.dtype, jnp.floating):
            raise ValueError(f"expected images in [0, 1] as floats, got {x.dtype}; divide by 255")
        apply = _compiled(self.config, self.dtype, x.shape, self.mix is not None)
        return apply(self.params, self.stats, x.astype(jnp.float32), self.mix)


def name_of(file: str | os.PathLike[str]) -> str:
    """Returns the name of a weights file's net. That of a run, RUN/model.safetensors, also names
    the run. Otherwise, pictures made by the nets of two runs would replace each other."""
    path = Path(file)
    of_a_run = path.name == weights_file.OF_A_RUN
    return f"{path.parent.resolve().name}-{path.stem}" if of_a_run else path.stem


def in_jax(net: Net) -> Model | None:
    """Returns the net in JAX, which can be cut at its norms: a `Model`, or the `in_jax` of another
    runtime's net."""
    found = net if isinstance(net, Model) else getattr(net, "in_jax", None)
    return found if isinstance(found, Model) else None


def digest(model: Model) -> str:
    """Returns a hash of the config and the numbers that decide the net's output."""
    seen = hashlib.sha256(repr(model.config).encode())
    blend = {} if model.mix is None else {"mix": model.mix}
    for name, value in sorted({**model.params, **model.stats, **blend}.items()):
        array = np.ascontiguousarray(value)
        seen.update(f"{name} {array.dtype} {array.shape}".encode())
        seen.update(array.data)
    return seen.hexdigest()[:32]


@lru_cache(maxsize=PROGRAMS)
def _compiled(
    config: TransformNetConfig, dtype: Any, shape: tuple[int, ...], blended: bool
) -> Callable[..., Array]:
    """Compiles a function for one shape. This cache drops old programs, which `jax.jit` never
    does."""

    def apply(
        params: transform_net.Variables, stats: transform_net.Variables, x: Array, mix: Array | None
    ) -> Array:
        return jnp.clip(
            transform_net.apply(config, params, stats, x, dtype=dtype, mix=mix)[0], 0, 1
        )

    return programs.Program(apply, (config, dtype, conv.fast()))


def load_model(
    name_or_file: str | os.PathLike[str],
    *,
    kind: str | None = None,
    precision: str = "float32",
    any_blend: bool = False,
) -> Model:
    """Loads a shipped net by name, or any weights file. Of a multi-style net, it loads one style,
    "multi:wave", or a blend, "multi:wave=0.6,starry_night=0.4" (see `multistyle`).

    kind: "styles" or "superres", to allow names of that kind only.
    precision: the type that it computes in, "float32" or "bfloat16".
    any_blend: allows a multi-style net without a blend, which is chosen later.
    Raises InputError for an unknown name (and lists the known ones), a file that is not a transform
    net, or a wrong blend."""
    choose("precision", precision, PRECISIONS)
    choose("kind", kind, (None, "styles", "superres"))
    file, path, blend = multistyle.find(name_or_file, kind)
    config, params, stats, header = net_file.load(path)
    multistyle.check(header, file)
    dtype = jnp.bfloat16 if precision == "bfloat16" else None
    model = Model(name_of(path), config, params, stats, header, dtype, source=file)
    if not (any_blend and model.styles and blend is None):
        multistyle.parse(file, blend, model.styles)
    return model.blend(blend) if blend else model
