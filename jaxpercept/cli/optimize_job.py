"""What `optimize` does once its options are known: checks the images, optimises those of one size
together, and saves them. An error in one file is recorded, and the others are still optimised.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jaxpercept import config, files
from jaxpercept.cli import optimize_progress
from jaxpercept.cli.optimize_progress import Frames, frame_prefix
from jaxpercept.cli.outputs import chosen_suffix, ending, find, namer, say, settled, tasks
from jaxpercept.cli.writable import check_file, check_folder
from jaxpercept.errors import InputError, Name
from jaxpercept.files import STANDARD
from jaxpercept.runtime import backend, stopping
from jaxpercept.runtime.console import Console
from jaxpercept.synthesis.settings import INITS, SynthesisConfig, check_shares, check_size

if TYPE_CHECKING:
    from jaxpercept.images import Float, Picture
    from jaxpercept.inference.file_jobs import Job
    from jaxpercept.inference.flow import Task
    from jaxpercept.inference.treatment import Treatment

    Groups = dict[tuple[int, int], list[tuple[Task, Picture]]]  # by height and width


def run(
    arguments: argparse.Namespace,
    made: SynthesisConfig,
    contents: Sequence[str],
    styles: Sequence[str],
    label: str,
    *,
    keeps: bool = True,
) -> int:
    """Optimises an image for each of `contents` and saves it; `label` ends its name. With `keeps`
    it has the content's transparency and metadata. A signal ends it early, with the image as it is
    then. Returns 0, or 1 if some of several images failed. Raises InputError if all failed."""
    from jaxpercept import images
    from jaxpercept.inference.file_jobs import Job
    from jaxpercept.inference.treatment import Treatment

    out, suffix = Path(arguments.out), chosen_suffix(arguments)
    pictures = [images.load_style(path) for path in styles]
    shares = _shares(arguments, len(pictures))
    if made.init not in INITS:
        if not Path(made.init).exists():
            config.choose(Name("init"), made.init, (*INITS, "an image file"))
        images.load_image(made.init)
    missing: list[str] = []
    sources = find(contents, missing, out, out / "frames")
    name_output = namer([*sources], 1, out, suffix)
    inputs = settled(sources, [label], name_output)
    todo = tasks(sources, inputs, label, name_output, suffix)
    for task in todo:
        _check_target(made, out, task.target, styles)
    how = Treatment(
        keep_color=getattr(arguments, "preserve_color", False),
        quality=arguments.quality,
        strip=arguments.strip,
    )
    with (
        stopping.requests("stopping soon; the image so far will be saved") as stopped,
        Console() as console,
    ):
        job = Job(len(todo), console.say, arguments.flags)
        if arguments.skip_existing:
            todo = [task for task in todo if task.target == STANDARD or not job.skip(task.target)]
        groups = _read(made, todo, how, job, list(zip(styles, pictures, strict=True)), keeps)
        if groups:
            _optimize(arguments, made, groups, pictures, shares, how, job, console, stopped)
    if stopped:
        for line in job.untold():
            say(f"error: {line}")
        return stopping.status(stopped[0])
    return ending(job, missing, len(missing) + job.total)


def _check_target(made: SynthesisConfig, out: Path, target: Path, styles: Sequence[str]) -> None:
    """Raises InputError if an image cannot be written to `target`, or its frames beside it."""
    if made.save_every and (target == STANDARD or files.is_special(target)):
        raise InputError(
            f"-o {target}: the frames of --save-every need a name; give a file or a folder"
        )
    if made.save_every:
        check_folder(frame_prefix(out, target).parent, "-o: the folder of frames")
    if target != STANDARD:
        check_file("-o", target, (*styles, made.init))


def _shares(arguments: argparse.Namespace, count: int) -> list[float] | None:
    shares: list[float] | None = arguments.style_weights if count else None
    if shares is not None:
        check_shares("--style-weights", shares, count)
    return shares


def _read(
    made: SynthesisConfig,
    todo: Sequence[Task],
    how: Treatment,
    job: Job,
    styles: Sequence[tuple[str, Float]],
    keeps: bool,
) -> Groups:
    """Returns the contents by their size. Those that cannot be read, or are too small for a layer
    at one of the sizes, fail."""
    from jaxpercept import images
    from jaxpercept.inference import flow

    groups: Groups = {}
    for task in todo:
        try:
            picture = images.read(task.source, name=task.name)
            height, width = picture.pixels.shape[:2]
            _check_sizes(made, task.name, height, width, styles)
        except Exception as error:
            job.fail(flow.failure(task.name, error))
            continue
        if keeps:
            job.note(task.name, flow.notes(how, task, picture))
        else:
            picture = images.Picture(picture.over_white())
        groups.setdefault((height, width), []).append((task, picture))
    return groups


def _check_sizes(
    made: SynthesisConfig,
    name: str,
    height: int,
    width: int,
    styles: Sequence[tuple[str, Float]],
) -> None:
    """Raises InputError if an image is too small for a layer at one of the sizes."""
    from jaxpercept import images

    for size in made.sizes or (max(height, width),):
        check_size(name, *images.fit(height, width, size, "long"), made.layers)
        for style, image in styles:
            tall, wide = image.shape[:2]
            fitted = images.fit(tall, wide, made.style_side(tall, wide, size), "long")
            check_size(style, *fitted, made.objective.style_layers)


def _optimize(
    arguments: argparse.Namespace,
    made: SynthesisConfig,
    groups: Groups,
    pictures: Sequence[Float],
    shares: Sequence[float] | None,
    how: Treatment,
    job: Job,
    console: Console,
    stopped: stopping.Requests,
) -> None:
    """Optimises and saves the images, those of one size together."""
    from jaxpercept.inference import flow
    from jaxpercept.losses import objective
    from jaxpercept.nets import vgg
    from jaxpercept.runtime import compilation_cache
    from jaxpercept.synthesis import run
    from jaxpercept.synthesis.stage import NotFinite

    compilation_cache.enable()
    params = vgg.load_vgg16(arguments.vgg)
    terms = objective.make_terms(made.objective)
    for size, group in list(groups.items()):
        try:
            run.try_sizes(made, terms, params, group[0][1].pixels, pictures)
        except InputError as error:
            for task, _ in groups.pop(size):
                job.fail(InputError(f"{task.name}: ", *error.parts, fixes=error.fixes))
    if groups:
        count = sum(map(len, groups.values()))
        console.say(optimize_progress.introduction(made, count))
    waiting = [*groups.values()]
    stopped.begin()
    while waiting and not stopped:
        group = waiting.pop(0)
        out = Path(arguments.out)
        frames = [
            Frames(frame_prefix(out, task.target), partial(_as_frame, how, picture), job.fail)
            for task, picture in group
        ]
        console.say("compiling the iteration", live=True)
        try:
            result = run.synthesize(
                made,
                [picture.pixels for _, picture in group],
                pictures,
                style_weights=shares,
                vgg_params=params,
                progress=optimize_progress.reporter(frames, stopped, console),
            )
        except NotFinite as error:  # the others begin again
            for i in error.images:
                job.fail(InputError(f"{group[i][0].name}: the loss {error.reason}"))
            if others := [one for i, one in enumerate(group) if i not in error.images]:
                waiting.insert(0, others)
            continue
        except Exception as error:
            if not backend.out_of_memory(error):
                raise
            if group[1:]:  # each may still fit alone
                waiting[:0] = [[one] for one in group]
            else:
                job.fail(flow.failure(group[0][0].name, error))
            continue
        for (task, picture), image, film in zip(group, result.images, frames, strict=True):
            if film.failed:
                continue
            try:
                job.done(flow.save(how, picture.resized(*image.shape[:2]), image, task))
            except InputError as error:
                job.fail(error)
        line = optimize_progress.shortfall(made, result)
        if line and not all(film.failed for film in frames):
            console.say(line)
    if waiting:
        console.say(f"{sum(map(len, waiting))} of {job.total} images were not begun")


def _as_frame(how: Treatment, picture: Picture, image: Float) -> Float:
    """Returns an image as a frame of the film of `picture`, which no format of films shows
    transparent."""
    from jaxpercept.inference import treatment

    return treatment.finish(how, picture.resized(*image.shape[:2]), image).over_white()
