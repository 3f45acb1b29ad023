"""Describes what a bulk job does to every input, as plain values that are pickled to every
process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from jaxpercept import files
from jaxpercept.config import BATCH
from jaxpercept.errors import InputError
from jaxpercept.inference import sharpness, upscaling
from jaxpercept.inference.model import Model, Net, digest, load_model
from jaxpercept.inference.treatment import Treatment
from jaxpercept.interop import exported_net
from jaxpercept.nets import learned, multistyle, weights_file

_LIMITS = ("max_pixels", "tile")  # fields of a treatment that change no picture


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A net, and the treatment of the images beside it.

    `net`: a shipped name, or a file whose bytes are in `weights`, so that other machines need not
    have it; may end in a blend (`multi:wave=1`).
    `scale`: factor of a super-resolution net, 0 for a style net.
    `digest`: hash of the net's numbers.
    `label`: names the net in the outputs' names.
    `suffix`: suffix of the outputs, None for the input's.
    `batch_size`: images per batch; None means `config.BATCH`, and 1 for super-resolution on a CPU,
    which gains nothing from more."""

    net: str
    how: Treatment
    scale: int = 0
    precision: str = "float32"
    runtime: str = "jax"
    sharpness: float | None = None
    ensemble: bool = False
    batch_size: int | None = None
    suffix: str | None = None
    label: str = ""
    digest: str = ""
    weights: bytes | None = dataclasses.field(default=None, repr=False)

    def load(self) -> Net:
        """Loads the net. Raises InputError if it is not the net that the job began with, because
        another version is shipped here."""
        model = self._model()
        if self.digest and digest(model) != self.digest:
            raise InputError(
                f"{self.net}: this machine has another net of this name; install the same version "
                "of jaxpercept on every machine"
            )
        net: Net = model
        if self.runtime != "jax":
            (net,) = exported_net.nets([model], self.runtime, self.precision)
        return sharpness.Ensemble(net) if self.ensemble else net

    def _model(self) -> Model:
        with self._file() as name:
            if self.scale == 0:
                return load_model(name, precision=self.precision)
            return sharpness.chosen(
                name or None, self.scale, self.sharpness, precision=self.precision
            )

    @contextlib.contextmanager
    def _file(self) -> Iterator[str]:
        """Yields the name or file by which `load_model` finds the net on this machine."""
        if self.weights is None:
            yield self.net
            return
        file, blend = multistyle.split(self.net)
        with files.scratch(tempfile.gettempdir()) as folder:
            copy = folder / Path(file).parent.resolve().name / Path(file).name  # both name the net
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(self.weights)
            yield f"{copy}:{blend}" if blend else str(copy)

    @property
    def batch(self) -> int:
        """Returns how many images of one size the net takes at once on this machine."""
        return self.batch_size or (1 if self.scale and jax.default_backend() == "cpu" else BATCH)

    @property
    def settings(self) -> str:
        """Returns a hash of everything besides the input that decides what an output is."""
        how = {k: v for k, v in dataclasses.asdict(self.how).items() if k not in _LIMITS}
        own = [self.digest, self.precision, self.runtime, self.ensemble, self.suffix]
        return hashlib.sha256(json.dumps([how, own], sort_keys=True).encode()).hexdigest()[:32]


def stylizing(style: str, how: Treatment, *, name: str | None = None, **more: Any) -> Recipe:
    """Returns the recipe of a style net. `name` is the net's name in outputs, by default its own.
    Raises InputError for a missing net or one of another kind."""
    recipe = Recipe(net=style, how=how, weights=_weights(style, "styles"), **more)
    model = recipe._model()
    if model.config.scale != 1:
        raise InputError(f"{style}: a super-resolution net; choose a style net")
    return dataclasses.replace(recipe, label=name or model.name, digest=digest(model))


def upscaling_by(model: str | None, how: Treatment, **more: Any) -> Recipe:
    """Returns the recipe of a super-resolution net: `model`, or else the net for `sharpness`, or
    else the first that enlarges as `how` says. Raises InputError if there is none."""
    factor = how.factor if how.width is None else None
    precision = more.get("precision", "float32")
    chosen = sharpness.chosen(model, factor, more.get("sharpness"), precision=precision)
    net = "" if more.get("sharpness") is not None else chosen.source
    weights = _weights(net, "superres") if net else None
    recipe = Recipe(net=net, how=how, scale=chosen.config.scale, weights=weights, **more)
    named = sharpness.Ensemble(chosen) if recipe.ensemble else chosen
    label = upscaling.label(named, how.factor, how.width)
    return dataclasses.replace(recipe, label=label, digest=digest(chosen))


def _weights(net: str, kind: str) -> bytes | None:
    """Returns the bytes of a net's file, or None for a shipped net, which every machine has. A file
    that needs the file of another net is made whole."""
    file, _ = multistyle.split(net)
    if file in weights_file.available("styles") or file in weights_file.available("superres"):
        return None
    path = weights_file.resolve(file, kind)
    arrays, header = weights_file.read_weights(path)
    if learned.BASE not in header:
        return path.read_bytes()
    whole = learned.completed(path, arrays, header)
    return weights_file.encoded(whole, {k: v for k, v in header.items() if k != learned.BASE})
