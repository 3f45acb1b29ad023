"""What the units of measurement share: the photos, the trained styles, and the store of results.

A unit is kept under `out` as JSON, with its picture. A unit that exists and was made with the same
settings is not run again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept import files, images
from jaxpercept.config import ObjectiveConfig, train_config_from_dict
from jaxpercept.errors import InputError, Name
from jaxpercept.evaluation.reproduce.settings import ReproduceConfig
from jaxpercept.images import Float, samples
from jaxpercept.inference import naming
from jaxpercept.inference.model import Model, load_model
from jaxpercept.nets import shipped, vgg, weights_file
from jaxpercept.synthesis.run import check_memory

Unit = dict[str, Any]


@dataclass(frozen=True)
class Style:
    """A trained net, the image it was trained on, the objective, and the file of its loss
    network."""

    name: str
    model: Model
    image: Float
    objective: ObjectiveConfig
    batch: int
    style_size: int
    vgg: Path


class Lab:
    """What the units share, and their store."""

    def __init__(self, config: ReproduceConfig, say: Callable[[str], None] = lambda line: None):
        self.config, self.say, self.folder = config, say, Path(config.out)
        self.photos, self._short = photos_by_name(config.data), dict[str, int]()
        self._phi: dict[Path, vgg.Params] = {}
        names = config.styles or tuple(shipped.singles())
        if config.reads_styles and not names:
            raise InputError(
                "no style is shipped here; train one, and give its weights file: --styles FILE"
            )
        self.styles = (
            [trained_style(name, config.style_images) for name in names]
            if config.reads_styles
            else []
        )
        found = [style.name for style in self.styles]
        if twice := [name for name in found if found.count(name) > 1]:
            raise InputError(f"--styles: two nets are called {twice[0]}; rename one of the files")

    def phi(self, style: Style | None = None) -> vgg.Params:
        """Returns the loss network of the style's training, or the shipped one."""
        file = style.vgg if style else vgg.source()
        if file not in self._phi:  # only the last one is kept, for the memory
            self._phi = {file: vgg.load_vgg16(file)}
        return self._phi[file]

    def check_size(self, option: str, size: tuple[int, int]) -> None:
        """Raises InputError for a height and width of the field `option` that are far too large for
        the memory."""
        check_memory(size, "smaller ", Name(option))

    def squares(self, option: str, size: int, count: int) -> list[tuple[str, Float]]:
        """Returns the first photos that are large enough, then enlarged smaller ones. Raises
        InputError as `check_size` does."""
        self.check_size(option, (size, size))
        large: list[tuple[str, Float]] = []
        small: list[tuple[str, Float]] = []
        for name, photo in self.photos.items():
            if len(large) == count:
                break
            picture = images.load_image(photo) if isinstance(photo, Path) else photo
            group = small if min(picture.shape[:2]) < size else large
            if len(group) < count:
                group.append((name, images.square(picture, size)))
            self._short[name] = min(picture.shape[:2])
        return (large + small)[:count]

    def enlarged(self, name: str, size: int) -> bool:
        """Returns whether the photo that `squares` returned was smaller than that size."""
        return self._short[name] < size

    def kept(
        self, name: str, settings: Unit, measure: Callable[[], tuple[Unit, Float | None]]
    ) -> Unit:
        """Returns the unit's stored result, or runs `measure` and stores its result. Raises
        InputError if the stored one was made with other settings."""
        path = self.folder / f"{name}.json"
        settings = json.loads(json.dumps(settings))
        if path.exists():
            unit = _stored(path)
            if unit["settings"] == settings:
                return unit
            then = unit["settings"]
            differing = [k for k in then | settings if then.get(k) != settings.get(k)]
            raise InputError(
                f"{path} was made with other settings ({', '.join(differing)}); give another "
                "--out, or delete it"
            )
        begun = time.monotonic()
        self.say(f"{name}: compiling and measuring")
        result, picture = measure()
        unit = {"settings": settings, **result}
        if picture is not None:
            images.save_image(self.folder / f"{name}.png", np.clip(picture, 0, 1))
        files.write_text(path, json.dumps(unit) + "\n")
        self.say(f"{name}: {time.monotonic() - begun:.0f} s")
        return unit

    def picture(self, name: str) -> Float:
        """Returns the picture that a unit kept."""
        return images.load_image(self.folder / f"{name}.png")

    def show(self, name: str, picture: Float) -> None:
        """Saves a picture of the report."""
        images.save_image(Path(self.config.results) / name, picture, quality=75)


def _stored(path: Path) -> Unit:
    try:
        unit = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        unit = None
    if not isinstance(unit, dict) or not isinstance(unit.get("settings"), dict):
        raise InputError(f"{path}: is not a measurement of `reproduce`; delete it")
    return unit


def photos_by_name(data: tuple[str, ...]) -> Mapping[str, Float | Path]:
    """Returns photos by name, not read yet, without those that the shipped nets were trained on."""
    if not data:
        return samples.sample_photos()
    listed = weights_file.weights_dir() / "training-photos.csv"
    seen = (
        {line.split(",")[0] for line in listed.read_text("utf-8").splitlines()}
        if listed.exists()
        else set()
    )
    found: dict[str, Float | Path] = {}
    for path in images.list_images(data):
        stem = name = naming.shortened(path.stem)  # units' names hold the style's too
        number = 2
        while name in found:
            name, number = f"{stem}-{number}", number + 1
        if path.name not in seen:
            found[name] = path
    if not found:
        raise InputError(
            f"--data {' '.join(data)}: the styles were trained on all of these photos; give "
            "other photos"
        )
    return found


def trained_style(name: str, folders: tuple[str, ...]) -> Style:
    """Returns the net of this name or file, with its style image, see `style_image`. Raises
    InputError if its header does not say how it was trained, or its loss network is missing."""
    model = load_model(name)
    header = model.header
    known = {"config", "steps"} <= header.get("training", {}).keys()
    if not known or "sha256" not in header.get("style", {}):
        raise InputError(
            f"{name}: its weights file does not say how it was trained; give one that train.py "
            "wrote"
        )
    made = train_config_from_dict(header["training"]["config"], name)
    return Style(
        model.name,
        model,
        style_image(model.name, header["style"], folders),
        made.objective,
        made.batch_size,
        made.style_size,
        vgg.source(made.vgg, name),
    )


def style_image(net: str, style: Mapping[str, str], folders: tuple[str, ...]) -> Float:
    """Returns the image that `net` was trained on, which its header names in `style`: the one in
    `folders` with that checksum, or the drawn one, which needs no file. Raises InputError if there
    is none."""
    wanted = style["sha256"]
    if wanted == samples.DRAWN_SHA256:
        return samples.drawn_style()
    candidates = images.list_images(folders) if folders else []
    path = next((path for path in candidates if _hash(path) == wanted), None)
    if path is None:
        raise InputError(
            f"the style image of {net} ({style['file']}, sha256 {wanted[:12]}…) is not among "
            "--style-images; give it, or its folder"
        )
    return images.load_image(path)


def _hash(path: Path) -> str | None:
    try:
        return weights_file.sha256(path)
    except OSError:  # a link to nothing, or a file of someone else
        return None
