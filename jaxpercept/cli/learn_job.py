"""What `learn` does once its options are known: learns in the given time, shows the progress, saves
the styles, and paints the photos.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxpercept.cli import learn_time
from jaxpercept.cli.outputs import ending, namer, say
from jaxpercept.errors import InputError, counted
from jaxpercept.runtime import stopping

if TYPE_CHECKING:
    from jaxpercept.images import Found
    from jaxpercept.inference.treatment import Treatment

_LEAST_SECONDS = 10.0


def run(
    arguments: argparse.Namespace,
    paintings: dict[str, Path],
    found: list[Found],
    stopped: stopping.Requests,
) -> int:
    """Learns the style of each painting by its name, then applies it to the photos `found`. Returns
    the exit status."""
    photos = [one.path for one in found]
    begun = _process_start()
    import numpy as np

    from jaxpercept import data, images
    from jaxpercept.images import samples
    from jaxpercept.inference.treatment import Treatment
    from jaxpercept.nets import vgg
    from jaxpercept.runtime import compilation_cache
    from jaxpercept.training import learn, style_recipe

    compilation_cache.enable()
    out = Path(arguments.out)
    source = (  # before the compiler, so that a wrong folder is named at once
        data.open_sources(arguments.data)
        if arguments.data
        else data.Files(_even(list(samples.sample_files().values()), photos))
    )
    minutes, whole = arguments.minutes, arguments.whole
    batch, augment = learn.batch_for(minutes, whole), learn.augments(minutes, whole)
    learner = learn.Learner(
        arguments.base, batch, whole=whole, augment=augment, style_weight=arguments.style_weight
    )
    loss_network = vgg.source(learner.recipe.vgg, arguments.base)
    shown = images.square(_first(photos), learn.SIZE)
    how, before = Treatment(stroke=None), learner.first("warm-up")
    sizes = learn_time.sizes_of(before, how, photos)
    tried = learn_time.tried(before, sizes)
    say("compiling the training step")
    blank = [np.zeros((1, *size, 3), np.float32) for size in tried]
    compiling = _in_background(lambda: _compile(learner, shown[None], *blank))
    phi = learner.prepared(vgg.load_vgg16(loss_network))  # while the step is compiled
    targets = {  # now, since files may change while a style is learned
        name: (
            style_recipe.style_grams(learner.recipe, painting, phi),
            style_recipe.about(painting),
            _shower(out / f"{name}.jpg", shown, painting, learn.SIZE),
        )
        for name, painting in paintings.items()
    }
    views: dict[str, Any] = {"augment": True} if augment else {"kind": data.Fixed}
    status = 0
    for name, (grams, about, show) in targets.items():
        batches = data.make_dataset(
            source,
            batch_size=learner.batch,
            image_size=learn.SIZE,
            seed=arguments.seed,
            **views,
        )
        compiling()
        pace = learn_time.pace(before, shown)  # before threads begin to read photos
        photos_seen = (batch["target"] for batch in batches)
        first = next(photos_seen)
        reserve = learn_time.reserve(pace, sizes, tried)
        ready = time.monotonic()
        until = max(begun + 60 * minutes - reserve, ready + _LEAST_SECONDS)
        say(f"{name}: ready after {ready - begun:.0f} s; learning for {until - ready:.0f} s")
        stopped.begin()
        numbers, steps, terms = learner.learn(
            name,
            grams,
            phi,
            itertools.chain([first], photos_seen),
            until,
            show=show,
            stopped=stopped,
        )
        batches.close()
        trained = time.monotonic()
        if not steps:
            raise stopping.Interrupted(stopped[0])
        show(learn.Progress(steps, 1.0, terms, learner.model(name, numbers)))
        file = learner.save(out / f"{name}.safetensors", about, numbers, steps)
        if photos:
            status |= _stylize(learner.model(name, numbers), how, found, out, arguments.flags)
        say(
            f"{name}: {counted(steps, 'step')} in {trained - ready:.0f} s of training, "
            f"{time.monotonic() - begun:.0f} s in all. Style: {file}"
        )
        say(f"On more photos:  python infer.py stylize PHOTO.jpg --style {shlex.quote(str(file))}")
        if stopped:
            return stopping.status(stopped[0])
        begun, stopped.begun = time.monotonic(), False
    return status


def _even(samples: list[Path], photos: list[Path]) -> list[Path]:
    """Returns the samples and the photos to be painted, repeated so that these are half of all or
    more. They gain by it, and other photos lose hardly anything."""
    return [*samples, *photos * -(-len(samples) // max(1, len(photos)))]


def _first(photos: Sequence[Path]) -> Any:
    """Returns the first photo that can be read, or a sample if none is given. Raises InputError if
    none can be read."""
    from jaxpercept import images
    from jaxpercept.images import samples

    problems = []
    for photo in photos:
        try:
            return images.load_image(photo)
        except InputError as error:
            problems.append(error)
    if problems:
        raise problems[0]
    return samples.sample_photos()["chelsea"]


def _compile(learner: Any, *images: Any) -> None:
    """Compiles the step, then the net for these images. One after the other, because jax's cache,
    which keeps the step, is off while a net is compiled (see `inference.programs`)."""
    learner.compile()
    for image in images:
        learner.first("warm-up")(image)


def _process_start() -> float:
    """Returns when this process began, on `time.monotonic`'s clock, so that the minutes count from
    Enter."""
    try:
        after_boot = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except (OSError, ValueError, IndexError):  # on other systems, Python started within a second
        return time.monotonic() - 1
    return time.monotonic() - max(0.0, uptime - after_boot / os.sysconf("SC_CLK_TCK"))


def _in_background(work: Callable[[], Any]) -> Callable[[], None]:
    """Starts `work` in a thread. Returns a function that waits for it and raises what it raised."""
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as e:
            failed.append(e)

    thread = threading.Thread(target=guarded)  # a daemon inside XLA would abort at exit
    thread.start()

    def wait() -> None:
        thread.join()
        if failed:
            raise failed[0]

    return wait


def _shower(path: Path, photo: Any, painting: Path, size: int) -> Callable[[Any], None]:
    """Returns a function that writes a photo, the painting and the net's picture of the photo side
    by side, and prints a line."""
    import numpy as np

    from jaxpercept import images

    style = images.square(images.load_image(painting), size)

    def show(progress: Any) -> None:
        picture = np.asarray(progress.model(photo[None]))[0]
        images.save_image(path, np.concatenate([photo, style, picture], axis=1))
        terms = "  ".join(f"{name} {value:.3g}" for name, value in progress.terms.items())
        say(f"{progress.share:4.0%}  step {progress.step}  {terms}  {path}")

    return show


def _stylize(
    model: Any, how: Treatment, photos: list[Found], out: Path, flags: Mapping[str, str]
) -> int:
    from jaxpercept.inference.file_jobs import Job
    from jaxpercept.inference.flow import Task, process

    place = namer(photos, 1, out)
    tasks = [Task(one.path, str(one.path), place(one, model.name)) for one in photos]
    job = process(tasks, how, model, Job(len(tasks), say, flags))
    return ending(job, [], len(photos))
