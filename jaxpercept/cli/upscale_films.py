"""The films among the inputs of `upscale`, and the net that it runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jaxpercept.cli import runtimes
from jaxpercept.cli.film_files import film_kind, find
from jaxpercept.cli.outputs import ending, namer, say, settled
from jaxpercept.errors import InputError

if TYPE_CHECKING:
    from jaxpercept.inference.model import Net
    from jaxpercept.inference.treatment import Treatment


def given(inputs: Sequence[str], out: str) -> bool:
    """Returns whether the inputs are films: by their suffixes, or since all are animations and
    `out` is not the name of a still picture. Raises InputError for films beside other inputs."""
    from jaxpercept.inference.containers import READ_SUFFIXES

    films = [one for one in inputs if Path(one).suffix.lower() in READ_SUFFIXES]
    if films and len(films) < len(inputs):
        other = next(one for one in inputs if one not in films)
        raise InputError(
            f"{films[0]} is a film and {other} is not; enlarge films in a command of their own"
        )
    return bool(films) or all(_is_animation(Path(one), Path(out)) for one in inputs)


def _is_animation(path: Path, out: Path) -> bool:
    from jaxpercept import images
    from jaxpercept.images import animations
    from jaxpercept.images.frames import ANIMATION_SUFFIXES

    own, made = path.suffix.lower(), out.suffix.lower()
    still = made in images.WRITE_SUFFIXES and made != own
    return own in ANIMATION_SUFFIXES and not still and animations.is_animation(path)


def chosen_net(arguments: argparse.Namespace, factor: float | None) -> Net:
    """Returns the net that the options of `upscale` choose for an enlargement by `factor`."""
    from jaxpercept.inference import sharpness

    model = sharpness.chosen(
        arguments.model, factor, arguments.sharpness, precision=arguments.precision
    )
    (net,) = runtimes.chosen(arguments, [model])
    return sharpness.Ensemble(net) if arguments.ensemble else net


def run(arguments: argparse.Namespace, how: Treatment) -> int:
    """Enlarges films. Returns 0, or 1 if some of several failed. Raises InputError if all
    failed."""
    from jaxpercept.inference import containers, films, upscaling
    from jaxpercept.inference.file_jobs import Job
    from jaxpercept.inference.flow import Task
    from jaxpercept.runtime import compilation_cache

    if arguments.format is not None:
        raise InputError(
            f"--format {arguments.format} is for images; a film's format follows from the output's "
            "name, as in -o x.mp4"
        )
    out = Path(arguments.out)
    inputs, missing = find(arguments.inputs, out, containers.READ_SUFFIXES)
    name_output = namer(inputs, 1, out, kind=film_kind())
    compilation_cache.enable()
    paths = [one.path for one in inputs]
    factor = upscaling.factor(arguments.scale, arguments.width, paths, films.width)
    net = chosen_net(arguments, factor)
    label = upscaling.label(net, arguments.scale, arguments.width)
    inputs = settled(inputs, [label], name_output)
    tasks = [Task(one.path, str(one.path), name_output(one, label)) for one in inputs]
    job = Job(len(tasks), say, arguments.flags)
    films.process(tasks, how, net, job, skip_existing=arguments.skip_existing)
    return ending(job, missing, len(missing) + len(tasks), "film")
