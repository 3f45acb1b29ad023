"""Make single pictures by optimising their pixels: slow, and the best that a loss can give.

The same losses as training (`--losses`, `--weights.NAME`), L-BFGS with a line search or Adam.
Several images are done at once; those of one size share a compiled program.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxpercept import config
from jaxpercept.cli.options import add_weights, given_weights
from jaxpercept.cli.outputs import namer, say
from jaxpercept.errors import InputError
from jaxpercept.synthesis.settings import INITS, OPTIMIZERS, SynthesisConfig, check_size

if TYPE_CHECKING:
    from jaxpercept.synthesis.run import Progress

EPILOG = """examples:
  python -m jaxpercept optimize style --content photo.jpg --style wave.jpg -o out.jpg
  python -m jaxpercept optimize style --content photo.jpg --style wave.jpg candy.jpg --style-weights 2 1 \\
      --sizes 256 512 1024 --iterations 300 150 75 --preserve-color -o out.jpg
  python -m jaxpercept optimize invert --content photo.jpg --layer relu3_3 -o inverted.png
  python -m jaxpercept optimize texture --style wave.jpg --layers relu1_2 relu2_2 -o texture.png
  python -m jaxpercept optimize style --content photo.jpg --style wave.jpg --save-every 5 -o film.jpg
  ffmpeg -i film_frames/film_%05d.jpg ...          (frames are numbered 1, 2, 3, ...)"""

STYLE = """Style transfer of single images by optimisation (Gatys et al. 2016; Johnson et al. 2016, equation 5).

Minimises the weighted sum of content, style and TV losses over the pixels, 500 iterations of L-BFGS from the content
image. An evaluation is one pass through the loss network, forward and back; an iteration needs 1 to 2 of them."""

INVERT = """Feature reconstruction: an image with the content's activations at --layer (the paper's figure 3).

Starts from mid-grey with noise of at most 0.01, never from the content. Shallow layers give the image back; deep ones
keep its content and arrangement, not its colours and textures. The paper shows relu2_2, 3_3, 4_3, 5_1 and 5_3."""

TEXTURE = """Style reconstruction: an image with the style's Gram matrices at --layers (the paper's figure 4).

Starts from noise. The paper shows relu1_2, then +relu2_2, +relu3_3, +relu4_3: deeper layers bring larger structures."""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `optimize` command."""
    optimize = commands.add_parser(
        "optimize", help="single pictures by optimisation", description=__doc__, epilog=EPILOG
    )
    kinds = optimize.add_subparsers(
        metavar="KIND", required=True, title="kinds", parser_class=type(optimize)
    )
    style = kinds.add_parser("style", help="a content in a style", description=STYLE, epilog=EPILOG)
    style.add_argument(
        "--content",
        nargs="+",
        action="extend",
        required=True,
        metavar="C",
        help="images, folders or patterns",
    )
    _add_styles(style)
    _add_common(
        style,
        init="content",
        layers=(("--content-layers", "relu2_2"), ("--style-layers", "the paper's four")),
    )
    style.add_argument(
        "--preserve-color",
        action="store_true",
        help="the result's luminance, the content's colours",
    )
    style.set_defaults(run=run_style)

    invert = kinds.add_parser(
        "invert", help="an image from its features", description=INVERT, epilog=EPILOG
    )
    invert.add_argument(
        "--content",
        nargs="+",
        action="extend",
        required=True,
        metavar="C",
        help="images, folders or patterns",
    )
    invert.add_argument(
        "--layer", default="relu2_2", metavar="L", help="VGG-16 layer (default: relu2_2)"
    )
    _add_common(invert, init="grey", weights={"content": 1.0, "style": 0.0, "tv": 0.0})
    invert.set_defaults(run=run_invert)

    texture = kinds.add_parser(
        "texture", help="an image from its style", description=TEXTURE, epilog=EPILOG
    )
    _add_styles(texture)
    texture.add_argument(
        "--layers",
        nargs="+",
        action="extend",
        metavar="L",
        help=f"VGG-16 layers (default: {' '.join(config.STYLE_LAYERS)})",
    )
    _add_common(texture, init="noise", weights={"content": 0.0, "style": 5.0, "tv": 0.0})
    texture.set_defaults(run=run_texture)


def _add_styles(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--style",
        nargs="+",
        action="extend",
        required=True,
        metavar="S",
        help="style images; several are mixed",
    )
    parser.add_argument(
        "--style-weights",
        nargs="+",
        type=float,
        metavar="W",
        help="one a style image (default: equal)",
    )
    parser.add_argument(
        "--style-size",
        type=int,
        metavar="PX",
        help="their longer side, 0: as they are (default: the output's)",
    )


def _add_common(
    parser: argparse.ArgumentParser,
    *,
    init: str,
    weights: dict[str, float] | None = None,
    layers: tuple[tuple[str, str], ...] = (),
) -> None:
    d = SynthesisConfig(objective=config.ObjectiveConfig(weights={"content": 1.0}))
    parser.add_argument(
        "-o", "--out", default="outputs", metavar="OUT", help="file or folder (default: outputs)"
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=int,
        default=(),
        metavar="PX",
        help="longer side; several: coarse to fine (default: the image's)",
    )
    parser.add_argument(
        "--iterations",
        nargs="+",
        type=int,
        default=d.iterations,
        metavar="N",
        help="one number, or one for each size (default: 500)",
    )
    parser.add_argument(
        "--optimizer",
        default=d.optimizer,
        metavar="X",
        help=f"{' or '.join(OPTIMIZERS)} (default: lbfgs)",
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=d.learning_rate,
        metavar="X",
        help="Adam's, for values in [0, 1] (default: %(default)s)",
    )
    parser.add_argument(
        "--history",
        type=int,
        default=d.history,
        metavar="N",
        help="steps that L-BFGS remembers (default: %(default)s)",
    )
    parser.add_argument(
        "--init",
        default=init,
        metavar="X",
        help=f"{', '.join(INITS)} (0.5 ± 0.01), or an image file (default: {init})",
    )
    parser.add_argument(
        "--clip", action="store_true", help="keep to [0, 1] at every iteration, as the paper does"
    )
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the noise (default: 0)"
    )
    parser.add_argument(
        "--save-every",
        type=int,
        default=0,
        metavar="N",
        help="also save every N-th iteration's image, in OUT_frames or OUT/frames",
    )
    parser.add_argument(
        "--report-every",
        type=int,
        default=d.report_every,
        metavar="N",
        help="iterations between lines of progress (default: %(default)s)",
    )
    parser.add_argument(
        "--vgg", metavar="FILE", help="loss network weights; default: the shipped ImageNet weights"
    )
    losses = parser.add_argument_group(
        "losses", "each term is reported times its weight; a weight of 0 turns it off"
    )
    losses.add_argument(
        "--losses",
        default="reference",
        metavar="X",
        help="convention: paper or reference, the authors' code (default: reference)",
    )
    for option, default in layers:
        losses.add_argument(
            option, nargs="+", metavar="L", help=f"VGG-16 layers (default: {default})"
        )
    shown = config.DEFAULT_WEIGHTS["reference"] if weights is None else weights
    add_weights(losses, shown)
    parser.set_defaults(default_weights=weights)


def make_config(
    arguments: argparse.Namespace,
    *,
    content_layers: Sequence[str] = (),
    style_layers: Sequence[str] = (),
) -> SynthesisConfig:
    """What the command line asks for. Raises InputError for what is not allowed."""
    config.choose("losses", arguments.losses, config.CONVENTIONS)
    weights = arguments.default_weights or config.DEFAULT_WEIGHTS[arguments.losses]
    made = config.ObjectiveConfig(
        losses=arguments.losses,
        weights=weights | given_weights(arguments),
        content_layers=tuple(content_layers) or ("relu2_2",),
        style_layers=tuple(style_layers) or config.STYLE_LAYERS,
    )
    same = (
        "optimizer",
        "learning_rate",
        "history",
        "init",
        "clip",
        "seed",
        "save_every",
        "report_every",
    )
    return SynthesisConfig(
        objective=made,
        sizes=tuple(arguments.sizes),
        iterations=tuple(arguments.iterations),
        style_size=getattr(arguments, "style_size", None),
        **{name: getattr(arguments, name) for name in same},
    )


def run_style(arguments: argparse.Namespace) -> int:
    """`optimize style`."""
    made = make_config(
        arguments,
        content_layers=arguments.content_layers or (),
        style_layers=arguments.style_layers or (),
    )
    return _run(arguments, made, arguments.content, arguments.style, _label(arguments.style))


def run_invert(arguments: argparse.Namespace) -> int:
    """`optimize invert`."""
    if arguments.init == "content":
        raise InputError(
            "--init content would be the answer itself; choose grey, noise, or another image"
        )
    made = make_config(arguments, content_layers=(arguments.layer,))
    if made.objective.weights["style"]:
        raise InputError("--weights.style needs a style image; use optimize style")
    return _run(arguments, made, arguments.content, (), arguments.layer)


def run_texture(arguments: argparse.Namespace) -> int:
    """`optimize texture`: the first style image gives the size."""
    made = make_config(arguments, style_layers=arguments.layers or ())
    if arguments.init == "content" or any(
        w for n, w in made.objective.weights.items() if n not in ("style", "tv")
    ):
        raise InputError(
            "a texture has no content: leave --init content and weights but style and tv; see "
            "optimize style"
        )
    return _run(
        arguments,
        made,
        arguments.style[:1],
        arguments.style,
        f"texture-{made.objective.style_layers[-1]}",
    )


def _label(styles: Sequence[str]) -> str:
    return "-".join(Path(style).stem for style in styles)


def _run(
    arguments: argparse.Namespace,
    made: SynthesisConfig,
    contents: Sequence[str],
    styles: Sequence[str],
    label: str,
) -> int:
    from jaxpercept import images

    paths = images.list_images(contents)
    name_output = namer(paths, 1, Path(arguments.out))
    loaded = [images.load_image(path) for path in paths]
    pictures = [images.load_image(path) for path in styles]
    shares = arguments.style_weights if styles else None
    if shares is not None and (len(shares) != len(pictures) or min(shares) < 0 or not sum(shares)):
        raise InputError(
            f"--style-weights: give {len(pictures)} numbers of at least 0, not all of them 0; got "
            f"{shares}"
        )
    if made.init not in INITS:
        if not Path(made.init).exists():
            config.choose("init", made.init, (*INITS, "an image file"))
        images.load_image(made.init)
    for path, picture in zip(paths, loaded, strict=True):
        for size in made.sizes or (max(picture.shape[:2]),):
            check_size(
                str(path),
                *images.fit(picture.shape[0], picture.shape[1], size, "long"),
                made.layers,
            )
            for style, image in zip(styles, pictures, strict=True):
                long = max(image.shape[:2]) if made.style_size == 0 else made.style_size or size
                check_size(
                    style,
                    *images.fit(image.shape[0], image.shape[1], long, "long"),
                    made.objective.style_layers,
                )
    from jaxpercept.nets import vgg
    from jaxpercept.runtime import compilation_cache
    from jaxpercept.synthesis import run

    compilation_cache.enable()
    params = vgg.load_vgg16(arguments.vgg)
    _introduce(made, len(paths))
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, picture in enumerate(loaded):
        groups.setdefault(picture.shape, []).append(i)
    for indices in groups.values():
        group = [loaded[i] for i in indices]
        outputs = [name_output(paths[i], label) for i in indices]
        frames = [_frames(Path(arguments.out), output) for output in outputs]
        result = run.synthesize(
            made,
            group,
            pictures,
            style_weights=shares,
            vgg_params=params,
            progress=_reporter(frames),
        )
        for content, output, image in zip(group, outputs, result.images, strict=True):
            if getattr(arguments, "preserve_color", False):
                image = images.preserve_color(image, images.resize(content, image.shape[:2]))
            say(str(images.save_image(output, image)))
    return 0


def _introduce(made: SynthesisConfig, count: int) -> None:
    o = made.objective
    layers = [
        f"{name} at {'+'.join(at)}"
        for name, at in (("content", o.content_layers), ("style", o.style_layers))
        if o.weights.get(name)
    ]
    weights = ", ".join(f"{name} {w:g}" for name, w in o.weights.items() if w)
    say(
        f"{count} image{'s' * (count > 1)}: {made.optimizer}, "
        f"{' + '.join(map(str, made.iterations))} iterations from "
        f"{made.init} (seed {made.seed}){', clipped' if made.clip else ''}, losses {o.losses} "
        f"({weights}), " + ", ".join(layers)
    )


def _frames(out: Path, output: Path) -> Path:
    """What the frames of `output` begin with."""
    return (out.with_name(f"{out.stem}_frames") if output == out else out / "frames") / output.stem


def _reporter(frames: Sequence[Path]) -> Callable[[Progress], None]:
    """Prints progress, and saves frames numbered 1, 2, 3, … as films need them."""
    from jaxpercept import images

    saved: list[int] = []

    def report(p: Progress) -> None:
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
        live = sys.stderr.isatty()
        end = "" if live and p.iteration < p.iterations else "\n"
        print(("\r\x1b[K" if live else "") + line, end=end, file=sys.stderr, flush=True)

    return report
