"""What `optimize` does once its options are known: checks the images, optimises those of one size
together, prints progress, and saves.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxpercept import config
from jaxpercept.cli.outputs import namer, say, settled
from jaxpercept.cli.writable import check_file
from jaxpercept.errors import InputError, Name, counted
from jaxpercept.runtime import stopping
from jaxpercept.runtime.console import Console
from jaxpercept.synthesis.settings import INITS, SynthesisConfig, check_size

if TYPE_CHECKING:
    from jaxpercept.images import Float, Found
    from jaxpercept.synthesis.run import Progress


def run(
    arguments: argparse.Namespace,
    made: SynthesisConfig,
    contents: Sequence[str],
    styles: Sequence[str],
    label: str,
) -> int:
    """Optimises an image for each of `contents` and saves it; `label` ends its name. A signal ends
    it early, with the image as it is then. Returns the exit status."""
    from jaxpercept import images

    out = Path(arguments.out)
    inputs = images.find_images(contents, outputs=[out, out / "frames"])
    name_output = namer(inputs, 1, out)
    inputs = settled(inputs, [label], name_output)
    loaded = [images.load_image(found.path) for found in inputs]
    pictures = [images.load_image(path) for path in styles]
    shares = _shares(arguments, len(pictures))
    if made.init not in INITS:
        if not Path(made.init).exists():
            config.choose(Name("init"), made.init, (*INITS, "an image file"))
        images.load_image(made.init)
    _check_sizes(made, inputs, loaded, styles, pictures)
    outputs = [name_output(found, label) for found in inputs]
    for output in outputs:
        images.check_writable_name(output)  # now, and not when the image is finished
        check_file("-o", output, (*styles, made.init))
    with stopping.requests("stopping soon; the image so far will be saved") as stopped:
        _optimize(arguments, made, loaded, pictures, shares, outputs, stopped)
    return stopping.status(stopped[0]) if stopped else 0


def _shares(arguments: argparse.Namespace, count: int) -> list[float] | None:
    shares: list[float] | None = arguments.style_weights if count else None
    if shares is not None and (
        len(shares) != count or not all(0 <= x < math.inf for x in shares) or not sum(shares)
    ):
        raise InputError(
            f"--style-weights {' '.join(map('{:g}'.format, shares))}: give one number of at least "
            f"0 for each of the {counted(count, 'style image')}, and not 0 for all"
        )
    return shares


def _check_sizes(
    made: SynthesisConfig,
    inputs: Sequence[Found],
    loaded: Sequence[Float],
    styles: Sequence[str],
    pictures: Sequence[Float],
) -> None:
    """Raises InputError if an image is too small for a layer at one of the sizes."""
    from jaxpercept import images

    for found, picture in zip(inputs, loaded, strict=True):
        for size in made.sizes or (max(picture.shape[:2]),):
            fitted = images.fit(picture.shape[0], picture.shape[1], size, "long")
            check_size(str(found.path), *fitted, made.layers)
            for style, image in zip(styles, pictures, strict=True):
                long = max(image.shape[:2]) if made.style_size == 0 else made.style_size or size
                fitted = images.fit(image.shape[0], image.shape[1], long, "long")
                check_size(style, *fitted, made.objective.style_layers)


def _optimize(
    arguments: argparse.Namespace,
    made: SynthesisConfig,
    loaded: Sequence[Float],
    pictures: Sequence[Float],
    shares: Sequence[float] | None,
    outputs: Sequence[Path],
    stopped: Sequence[int],
) -> None:
    """Optimises and saves the images, those of one size together."""
    from jaxpercept import images
    from jaxpercept.losses import objective
    from jaxpercept.nets import vgg
    from jaxpercept.runtime import compilation_cache
    from jaxpercept.synthesis import run

    compilation_cache.enable()
    params = vgg.load_vgg16(arguments.vgg)
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, picture in enumerate(loaded):
        groups.setdefault(picture.shape, []).append(i)
    terms = objective.make_terms(made.objective)
    for indices in groups.values():
        run.try_sizes(made, terms, params, loaded[indices[0]], pictures)
    _introduce(made, len(loaded))
    saved = 0
    with Console() as console:
        for indices in groups.values():
            if stopped:
                console.say(f"{len(loaded) - saved} of {len(loaded)} images were not begun")
                return
            frames = [_frames(Path(arguments.out), outputs[i]) for i in indices]
            console.say("compiling the iteration", live=True)
            result = run.synthesize(
                made,
                [loaded[i] for i in indices],
                pictures,
                style_weights=shares,
                vgg_params=params,
                progress=_reporter(frames, stopped, console),
            )
            for i, image in zip(indices, result.images, strict=True):
                if getattr(arguments, "preserve_color", False):
                    colours = images.resize(loaded[i], image.shape[:2])
                    image = images.preserve_color(image, colours)
                console.say(str(images.save_image(outputs[i], image)))
                saved += 1


def _introduce(made: SynthesisConfig, count: int) -> None:
    o = made.objective
    layers = [
        f"{name} at {'+'.join(at)}"
        for name, at in (("content", o.content_layers), ("style", o.style_layers))
        if o.weights.get(name)
    ]
    weights = ", ".join(f"{name} {w:g}" for name, w in o.weights.items() if w)
    say(
        f"{counted(count, 'image')}: {made.optimizer}, "
        f"{' + '.join(map(str, made.iterations))} iterations from "
        f"{made.init} (seed {made.seed}){', clipped' if made.clip else ''}, losses {o.losses} "
        f"({weights}), " + ", ".join(layers)
    )


def _frames(out: Path, output: Path) -> Path:
    """Returns the prefix of the paths of `output`'s frames."""
    if output == out:
        return out.with_name(f"{out.stem}_frames") / output.stem
    return out / "frames" / output.relative_to(out).with_suffix("")


def _reporter(
    frames: Sequence[Path], stopped: Sequence[int], console: Console
) -> Callable[[Progress], bool]:
    """Returns a function that prints progress, saves frames numbered 1, 2, 3, … as films need them,
    and returns whether to stop."""
    from jaxpercept import images

    saved: list[int] = []

    def report(p: Progress) -> bool:
        if p.save:
            saved.append(p.iteration)
            for start, image in zip(frames, p.images, strict=True):
                images.save_image(start.with_name(f"{start.name}_{len(saved):05d}.jpg"), image)
        evaluations = int(p.evaluations.sum())
        ordered = sorted(p.terms, key=lambda name: name != "loss")
        terms = "  ".join(f"{name} {float(p.terms[name].mean()):.4g}" for name in ordered)
        left = p.seconds / p.iteration * (p.iterations - p.iteration)
        line = (
            f"{p.width}x{p.height}: iteration {p.iteration}/{p.iterations}  {evaluations} "
            f"evaluations  {terms}  "
            f"{p.seconds / evaluations:.3g} s/evaluation  {left:.0f} s left"
        )
        console.say(line, live=True)
        return bool(stopped)

    return report
