"""What `optimize` shows of its work: a first line, lines of progress, and frames for a film."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jaxpercept.errors import InputError, counted
from jaxpercept.runtime.console import Console
from jaxpercept.synthesis.settings import SynthesisConfig

if TYPE_CHECKING:
    from jaxpercept.images import Float
    from jaxpercept.synthesis.run import Progress, Result


def introduction(made: SynthesisConfig, count: int) -> str:
    """Returns the line that says how `count` images are made."""
    o = made.objective
    layers = [
        f"{name} at {'+'.join(at)}"
        for name, at in (("content", o.content_layers), ("style", o.style_layers))
        if o.weights.get(name)
    ]
    weights = ", ".join(f"{name} {w:g}" for name, w in o.weights.items() if w)
    iterations = "iteration" if made.iterations == (1,) else "iterations"
    return (
        f"{counted(count, 'image')}: {made.optimizer}, "
        f"{' + '.join(map(str, made.iterations))} {iterations} from "
        f"{made.init} (seed {made.seed}){', clipped' if made.clip else ''}, losses {o.losses} "
        f"({weights}), " + ", ".join(layers)
    )


def shortfall(made: SynthesisConfig, result: Result) -> str | None:
    """Returns the line that says that the images of one size are unfinished, or None."""
    done = sum(losses.shape[1] - 1 for losses in result.losses)
    asked = sum(made.stage_iterations(i) for i in range(max(1, len(made.sizes))))
    if done == asked:
        return None
    return (
        f"stopped after {done} of {asked} iterations; --skip-existing leaves unfinished images as "
        "they are"
    )


def frame_prefix(out: Path, output: Path) -> Path:
    """Returns the prefix of the paths of `output`'s frames."""
    if output == out:
        return out.with_name(f"{out.stem}_frames") / output.stem
    return out / "frames" / output.relative_to(out).with_suffix("")


@dataclass
class Frames:
    """The frames of one image: the prefix of their paths, what makes a frame of the image, and
    what is told of a frame that cannot be made or written. None follow such a frame."""

    prefix: Path
    shown: Callable[[Float], Float]
    fail: Callable[[InputError], object]
    failed: bool = False

    def save(self, number: int, image: Float) -> None:
        """Writes the frame of this number."""
        from jaxpercept import images
        from jaxpercept.inference import flow

        file = self.prefix.with_name(f"{self.prefix.name}_{number:05d}.jpg")
        try:
            images.save_image(file, self.shown(image))
        except Exception as error:
            self.failed = True
            self.fail(flow.failure(str(file), error))


def reporter(
    frames: Sequence[Frames], stopped: Sequence[int], console: Console
) -> Callable[[Progress], bool]:
    """Returns a function that prints progress, saves frames numbered 1, 2, 3, … as films need them,
    and returns whether to stop: if that is asked for, or the frames of every image failed."""
    saved: list[int] = []

    def report(p: Progress) -> bool:
        if p.save:
            saved.append(p.iteration)
            for one, image in zip(frames, p.images, strict=True):
                if not one.failed:
                    one.save(len(saved), image)
            if all(one.failed for one in frames):
                return True
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
