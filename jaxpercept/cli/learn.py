"""Learn a style of your own in a minute, from one picture of it, without data or a GPU.

Only the 1,600 numbers that distinguish one style from another are learned; the shared multi-style
net does not change. RUN/NAME.safetensors holds them (7 kB), and `--style` takes it. RUN/NAME.jpg
shows a photo, the painting, and the net's current output: open it and watch.
"""

from __future__ import annotations

import argparse
import os
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxpercept import files
from jaxpercept.cli import options
from jaxpercept.cli.outputs import check_folder, ending, namer, say, settled
from jaxpercept.config.options import Option
from jaxpercept.errors import InputError, counted
from jaxpercept.images.listing import is_inside
from jaxpercept.nets import multistyle, weights_file
from jaxpercept.runtime import stopping

if TYPE_CHECKING:
    from jaxpercept.images import Found

EPILOG = """examples:
  python train.py learn painting.jpg --on photo.jpg             a minute later: the photo, painted
  python train.py learn painting.jpg --minutes 10 --on photos/  longer is better
  python train.py learn monet.jpg klee.png --out styles/        one after the other
  python infer.py stylize more/ --style styles/monet.safetensors

Minutes count from the start of the command to the finished pictures. Ctrl-C, SIGTERM and SIGHUP
end the learning early and keep what was learned. A GPU does the same in seconds: give
--minutes 0.2.
Exit status: 0 all done, 1 some photos failed, 2 nothing could be learned."""
_LEAST_SECONDS = 10.0
_LEAST_SIDE = 32  # pixels of a painting; a style image of 16 has a single value at relu4_3


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `learn` command."""
    parser = commands.add_parser(
        "learn",
        help="learn your own style in a minute, without data",
        description=__doc__,
        epilog=EPILOG,
    )
    parser.add_argument("paintings", nargs="+", metavar="PAINTING", help="pictures of the styles")
    parser.add_argument("--name", help="name of the style (default: the painting's file name)")
    parser.add_argument(
        "--minutes", type=float, default=1.0, metavar="M", help="minutes per painting (default: 1)"
    )
    parser.add_argument(
        "--on",
        nargs="+",
        default=[],
        metavar="PHOTO",
        help="photos or folders to stylize when the style is learned",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="DATA",
        help="photos to learn on (default: scikit-image's sample photos and those of --on)",
    )
    parser.add_argument(
        "--out",
        default="runs/learn",
        metavar="RUN",
        help="directory of the run (default: runs/learn)",
    )
    parser.add_argument(
        "--whole", action="store_true", help="write a whole net (850 kB), which needs no shared net"
    )
    parser.add_argument(
        "--base", default="multi", metavar="NET", help="the shared net (default: multi)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the order of photos (default: 0)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs `learn`. Returns 0, or 1 if some photos could not be stylized. Raises InputError for a
    painting, photo or folder that cannot be used, before any work."""
    options.check(arguments, minutes=Option(above=0, most=24 * 60), seed=Option(least=0))
    if arguments.name is not None and len(arguments.paintings) > 1:
        raise InputError(
            "--name is for a single painting; leave it out, and each style is named after its file"
        )
    weights_file.resolve(arguments.base, "styles")
    paintings = [Path(given) for given in arguments.paintings]
    if arguments.name is not None:
        names = [multistyle.style_name(arguments.name, None)]
    else:
        names = [multistyle.style_name(path.stem, path) for path in paintings]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise InputError(f"two paintings would be called {name}; rename one of the files")
    check_folder(arguments.out, "--out")
    from jaxpercept import images

    for path in paintings:
        if min(size := images.size_of(path)) < _LEAST_SIDE:
            raise InputError(
                f"{path}: {size[1]}x{size[0]} is too small to learn a style from; give a picture "
                f"of at least {_LEAST_SIDE} pixels per side"
            )
    out = Path(arguments.out)
    sheets = [out / f"{name}.jpg" for name in names]
    _spare(sheets, [*paintings, *map(Path, arguments.data or ())])
    photos = images.find_images(arguments.on, outputs=[out]) if arguments.on else []
    if photos:
        photos = settled(photos, names, namer(photos, len(names), out), sheets)
    with files.reported(out):
        out.mkdir(parents=True, exist_ok=True)  # now, rather than when the time is over
    with stopping.requests("stopping; what was learned is kept") as stopped:
        return _learn_all(arguments, dict(zip(names, paintings, strict=True)), photos, stopped)


def _spare(sheets: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Raises InputError if a sheet would replace an input, or a picture in a folder of inputs. A
    sheet beside the style of its name is an earlier one of ours."""
    given = [os.path.realpath(path) for path in inputs]
    for sheet in sheets:
        place = os.path.realpath(sheet)
        inside = sheet.exists() and not sheet.with_suffix(".safetensors").exists()
        if place in given or (inside and any(is_inside(place, folder) for folder in given)):
            raise InputError(
                f"{sheet} is an input, and would be replaced by the picture of what is learned; "
                "give another folder with --out, or another --name"
            )


def _learn_all(
    arguments: argparse.Namespace,
    paintings: dict[str, Path],
    found: list[Found],
    stopped: Sequence[int],
) -> int:
    photos = [one.path for one in found]
    begun = _process_start()
    from jaxpercept import data, images
    from jaxpercept.images import samples
    from jaxpercept.nets import vgg
    from jaxpercept.runtime import compilation_cache
    from jaxpercept.training import learn

    compilation_cache.enable()
    out = Path(arguments.out)
    source = (  # before the compiler, so that a wrong folder is named at once
        data.open_sources(arguments.data)
        if arguments.data
        else data.Files([*samples.sample_files().values(), *photos])
    )
    learner = learn.Learner(arguments.base)
    shown = images.square(
        images.load_image(photos[0]) if photos else samples.sample_photos()["chelsea"], learn.SIZE
    )
    compiling = _in_background(lambda: _compile(learner, shown[None]))
    phi = vgg.load_vgg16()
    status = 0
    for name, painting in paintings.items():
        grams = learn.style_grams(learner.recipe, painting, phi)
        batches = data.make_dataset(
            source,
            batch_size=learn.BATCH,
            image_size=learn.SIZE,
            seed=arguments.seed,
            augment=True,
        )
        show = _shower(out / f"{name}.jpg", shown, painting, learn.SIZE)
        compiling()
        ready = time.monotonic()
        until = max(begun + 60 * arguments.minutes - _reserve(photos), ready + _LEAST_SECONDS)
        say(f"{name}: ready after {ready - begun:.0f} s; learning for {until - ready:.0f} s")
        row, steps, terms = learner.learn(
            name, grams, phi, (b["target"] for b in batches), until, show=show, stopped=stopped
        )
        batches.close()
        trained = time.monotonic()
        if not steps:
            raise stopping.Interrupted(stopped[0])
        show(learn.Progress(steps, 1.0, terms, learner.model(name, row)))
        file = learner.save(
            out / f"{name}.safetensors", name, painting, row, steps, whole=arguments.whole
        )
        if photos:
            status |= _stylize(learner.model(name, row), found, out)
        say(
            f"{name}: {counted(steps, 'step')} in {trained - ready:.0f} s of training, "
            f"{time.monotonic() - begun:.0f} s in all. Style: {file}"
        )
        say(f"On more photos:  python infer.py stylize PHOTO.jpg --style {shlex.quote(str(file))}")
        if stopped:
            return stopping.status(stopped[0])
        begun = time.monotonic()
    return status


def _compile(learner: Any, photo: Any) -> None:
    """Compiles the step, then the net that shows how it goes. One after the other, because jax's
    cache, which keeps the step, is off while a net is compiled (see `inference.programs`)."""
    learner.compile()
    learner.first("warm-up")(photo)


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


def _reserve(photos: list[Path]) -> float:
    """Returns the seconds to keep for the pictures: a program is compiled for each size, then
    run."""
    from jaxpercept import images

    sizes = [images.size_of(photo) for photo in photos]
    cores = max(1, os.cpu_count() or 1)
    return 1 + sum(4 for _ in set(sizes)) + sum(h * w * 2e-6 for h, w in sizes) / cores


def _stylize(model: Any, photos: list[Found], out: Path) -> int:
    from jaxpercept.inference.file_jobs import Job
    from jaxpercept.inference.flow import Task, process
    from jaxpercept.inference.treatment import Treatment

    place = namer(photos, 1, out)
    tasks = [Task(one.path, str(one.path), place(one, model.name)) for one in photos]
    job = process(tasks, Treatment(stroke=None), model, Job(len(tasks), say))
    return ending(job, [], len(photos))
