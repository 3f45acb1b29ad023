"""Writes the site: nets, pictures, samples, the runtime, and `site.json`, which tells the page what
the site has.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from jaxpercept import files, images
from jaxpercept.errors import InputError
from jaxpercept.images.samples import sample_photos
from jaxpercept.inference import strokes, upscaling
from jaxpercept.inference.model import Model, load_model
from jaxpercept.interop import export
from jaxpercept.interop.web import packages
from jaxpercept.nets import geometry, headers, shipped, weights_file

_PICTURE = 192  # the side in pixels of a style's picture, the first sample in that style
_SAMPLE = 1024  # the most pixels on a sample's longer side
_MARK = "site.json"
Say = Callable[[str], None]


def write(
    out: str | os.PathLike[str],
    styles: Sequence[str],
    *,
    package: str | os.PathLike[str] | None = None,
    say: Say = lambda line: None,
) -> Path:
    """Writes the site of these styles to the folder `out`, and returns its index.html. Styles are
    names or weights files; a multi-style net without a blend gets a slider for each style.
    `package` is as in `packages.obtain`.

    Raises InputError for a folder that holds something else, an unknown or unfit net, and a missing
    runtime. Nothing has been written then, except if a net turns out not to run."""
    out = Path(out)
    _check_place(out)
    models = _named([load_model(style, kind="styles", any_blend=True) for style in styles])
    if unfit := next((m for m in models.values() if m.config.scale != 1), None):
        raise InputError(f"--style {unfit.name} is a super-resolution net; give a style net")
    runtime = packages.obtain(package, say)
    photos = {
        name: images.resize(photo, _SAMPLE, "long") if max(photo.shape) > _SAMPLE else photo
        for name, photo in sample_photos().items()
    }
    if not (out / _MARK).exists():  # a stopped command can be given again
        files.write_text(out / _MARK, json.dumps({"styles": []}) + "\n")
    about = {
        "runtime": _copy_runtime(out, runtime),
        "noise": _generator(),
        "samples": [_sample(out, name, photo) for name, photo in photos.items()],
        "styles": [
            _style(out, name, model, next(iter(photos.values())), say)
            for name, model in models.items()
        ],
        **_enlargers(out, say),
    }
    return _finished(out, about)


def _check_place(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not _is_ours(out):
        raise InputError(
            f"{out}: is a folder with other files; give a new folder, or one that this command made"
        )
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, not a folder; give the name of a folder")


def _is_ours(out: Path) -> bool:
    """Returns whether this command made the folder, or has begun to."""
    try:
        about = json.loads(files.regular(out / _MARK, "a site's contents").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(about, dict) and isinstance(about.get("styles"), list)


def _named(models: Sequence[Model]) -> dict[str, Model]:
    named: dict[str, Model] = {}
    for model in models:
        of_a_run = Path(model.source).name == weights_file.OF_A_RUN
        name = model.name.removesuffix("-model") if of_a_run else model.name
        if wrong := [text for text in (name, *model.styles) if not _is_address(text)]:
            raise InputError(
                f"--style: {wrong[0]!r} cannot be part of a page's addresses; rename the style, "
                "without '#', '?', '%', ',', '=', ':' and control characters"
            )
        if name in named:
            raise InputError(f"--style: two nets are called {name}; rename one of the files")
        named[name] = model
    return named


def _is_address(name: str) -> bool:
    return headers.is_name(name) and not set(name) & set("#?%")


def _style(out: Path, name: str, model: Model, photo: images.Float, say: Say) -> dict[str, Any]:
    square = images.square(photo, _PICTURE)

    def picture(painter: Model, label: str, style: str, file: str) -> dict[str, str]:
        images.save_image(out / file, np.asarray(painter(square[None]))[0], quality=80)
        return {"name": label, "title": _title(style), "picture": file}

    about = {"name": name, **_net(out, f"nets/{name}.onnx", model, say)}
    if lighter := shipped.light(model.source):
        light = load_model(lighter)
        about["light"] = _net(out, f"nets/camera/{light.name}.onnx", light, say)
    if not export.takes_blend(model):
        style = model.header.get("style", {}).get("name", name)
        return {
            **about,
            **picture(model, name, style, f"pictures/{name}.jpg"),
            "credit": shipped.credit(style),
        }
    parts = [
        picture(model.blend(style), f"{name}-{style}", style, f"pictures/{name}/{style}.jpg")
        for style in model.styles
    ]
    return {**about, "title": "Blend" if name == "multi" else _title(name), "blend": parts}


def _net(out: Path, net: str, model: Model, say: Say) -> dict[str, Any]:
    """Exports a style net to the file `net`, and returns what the page must know to run it."""
    worst = export.export(model, out / net)
    say(f"{out / net}: at most {255 * worst:.2g}/255 from {model.name}")
    return {"net": net, "least": export.smallest_side(model.config), "grain": model.grain}


def _title(name: str) -> str:
    words = name.replace("_", " ").replace("-", " ").strip()
    numerals = {"ii", "iii", "iv", "vi", "vii", "viii", "ix"}
    return " ".join(w.upper() if w in numerals else w[:1].upper() + w[1:] for w in words.split())


def _enlargers(out: Path, say: Say) -> dict[str, Any]:
    """Returns the nets for ×2 and ×4, and how the size of strokes is chosen, with the net that
    enlarges paintings. If no net of scale 2 is shipped, ×2 is ×4 halved."""
    made: dict[str, dict[str, Any]] = {}

    def exported(model: Model) -> dict[str, Any]:
        if model.name not in made:
            net, config = f"nets/enlarge/{model.name}.onnx", model.config
            worst = export.export(model, out / net)
            say(f"{out / net}: at most {255 * worst:.2g}/255 from {model.name}")
            reach = geometry.overlap(config) if geometry.seamless(config) else None
            made[model.name] = {"net": net, "netScale": config.scale, "reach": reach}
        return made[model.name]

    found = []
    for scale in (2, 4):
        name = upscaling.default_model(scale if upscaling.shipped(scale) else 4)
        found.append({"scale": scale, **exported(upscaling.load_upscaler(name))})
    about = {"seen": strokes.SEEN, "alone": strokes.ALONE, "most": strokes.MOST}
    net = strokes.enlarger()
    return {"enlarge": found, "strokes": {**about, **(exported(net) if net else {})}}


def _sample(out: Path, name: str, photo: images.Float) -> dict[str, str]:
    file = f"samples/{name}.jpg"
    images.save_image(out / file, photo, quality=90)
    return {"name": name, "title": _title(name), "file": file}


def _copy_runtime(out: Path, folder: Path) -> dict[str, Any]:
    for name in packages.FILES:
        files.write(out / "runtime" / name, (folder / name).read_bytes())
    chosen = {
        backend: {
            kind: f"runtime/{name}"
            for kind, name in zip(("script", "loader", "wasm"), names, strict=True)
        }
        for backend, names in packages.BACKENDS.items()
    }
    return {"version": packages.VERSION, **chosen}


def _generator() -> dict[str, str]:
    """Returns the start of the page's generator of grain, which is that of `images.grain`."""
    state: Any = np.random.default_rng(0).bit_generator.state["state"]
    return {key: f"{state[key]:032x}" for key in ("state", "inc")}


def _finished(out: Path, about: dict[str, Any]) -> Path:
    """Copies the page, writes what depends on all the rest, and removes what an earlier site
    left."""
    shell = []
    for source in resources.files("jaxpercept.interop.web").joinpath("static").iterdir():
        files.write(out / source.name, source.read_bytes())
        shell.append(source.name)
    small = [s["file"] for s in about["samples"][:1]]
    for style in about["styles"]:
        small += [part["picture"] for part in style.get("blend", (style,))]
    wanted = {*shell, *small, *(s["file"] for s in about["samples"]), *_loaded(about)}
    about["bytes"] = {name: (out / name).stat().st_size for name in sorted(_loaded(about))}
    files.write_text(out / _MARK, json.dumps(about, indent=1) + "\n")
    digest = hashlib.sha256()
    for name in sorted({*wanted, _MARK}):
        digest.update(name.encode() + (out / name).read_bytes())
    shell_files = ["./", *sorted({*shell, *small, _MARK} - {"index.html", "sw.js"})]
    files.write_text(
        out / "sw-files.js",
        f'const VERSION = "{digest.hexdigest()[:16]}";\n'
        f"const SHELL = {json.dumps(shell_files, indent=1)};\n",
    )
    _tidy(out, {*wanted, _MARK, "sw-files.js"})
    return out / "index.html"


def _loaded(about: dict[str, Any]) -> set[str]:
    """Returns the files that the page loads with progress, and the rest of the runtime."""
    runtime = {f"runtime/{name}" for name in packages.FILES}
    lighter = [style["light"] for style in about["styles"] if "light" in style]
    nets = (*about["styles"], *lighter, *about["enlarge"], about["strokes"])
    return runtime | {about["net"] for about in nets if "net" in about}


def _tidy(out: Path, wanted: set[str]) -> None:
    for folder in ("nets", "pictures", "samples", "runtime"):
        for path in sorted((out / folder).rglob("*"), reverse=True):  # a folder after its files
            if path.is_dir():
                with contextlib.suppress(OSError):  # it is not empty
                    path.rmdir()
            elif path.relative_to(out).as_posix() not in wanted:
                path.unlink()
