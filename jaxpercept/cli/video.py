"""Apply trained styles to films: MP4, MOV, MKV and WebM (with the extra `video`), and animated GIF,
WebP and PNG.

The sound is copied, and every frame keeps its time. If a run was stopped, the same command
continues after the last finished segment of 120 frames. If OUT has a film suffix, it is the output
file. Otherwise it is a folder, in which each output is named FILM_STYLE with the input's suffix.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

from jaxpercept.cli import options, runtimes, styles, stylize
from jaxpercept.cli.film_files import film_kind, find, seconds
from jaxpercept.cli.outputs import ending, namer, say, settled
from jaxpercept.config import BATCH
from jaxpercept.config.options import Option
from jaxpercept.errors import InputError, choose
from jaxpercept.files import STANDARD
from jaxpercept.nets import shipped

EPILOG = """examples:
  python infer.py video clip.mp4 --style starry_night -o out.mp4
  python infer.py video clips/ anim.gif --style the_scream wave --size 640 -o styled/
  python infer.py video clip.mp4 --style starry_night --steady 0.8 -o steady.mp4
  python infer.py video clip.mov --style multi:wave=0.6,starry_night=0.4 --strength 0.7 -o out.mp4
  python infer.py video clip.mp4 --style udnie --from 0:10 --to 0:15 --compare -o out.webm

Exit status: 0 all done, 1 some films failed or were damaged, 2 nothing could be done."""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `video` command."""
    parser = commands.add_parser(
        "video", help="apply trained styles to films", description=__doc__, epilog=EPILOG
    )
    option = parser.add_argument
    option(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="films, folders of films (searched, nested) or patterns",
    )
    option(
        "--style",
        nargs="+",
        action="extend",
        metavar="STYLE",
        help="as in stylize: shipped names, weights files, FILE:NAME and blends (default: the "
        "first of stylize --list-styles)",
    )
    option(
        "-o", "--out", default="outputs", metavar="OUT", help="file or folder (default: outputs)"
    )
    option("--size", type=int, metavar="N", help="scale frames to this longer side first")
    option("--from", dest="start", metavar="T", help="start at this time: seconds, M:SS or H:MM:SS")
    option("--to", dest="end", metavar="T", help="end at this time of the film")
    option("--fps", metavar="N", help="frames per second, 30 or 30000/1001 (default: the film's)")
    option("--codec", metavar="X", help="h264, h265, vp9 or av1 (default: h264; in WebM vp9)")
    option(
        "--crf",
        type=int,
        metavar="N",
        help="constant rate factor, 0 to 63; smaller means better quality and a larger file",
    )
    option(
        "--strength",
        type=float,
        default=1.0,
        metavar="S",
        help="share of the style in a mixture with the film, 0 to 1 (default: 1)",
    )
    option(
        "--preserve-color",
        action="store_true",
        help="keep the film's colours and change only its luminance",
    )
    option(
        "--grain",
        type=float,
        default=0.0,
        metavar="X",
        help="noise under each frame, 0 to 1, the same in every frame (default: 0)",
    )
    option(
        "--steady",
        type=float,
        default=0.0,
        metavar="X",
        help="against flicker; strokes stay sharp: this share, 0 to 0.9, of what the net sees is "
        "the mean of the frames before, moved along the film's optical flow, and the camera moves "
        "by whole strides; try 0.8; needs the extra `video` (default: 0)",
    )
    option(
        "--smooth",
        type=float,
        default=0.0,
        metavar="X",
        help="against flicker: mix this share of the last result, 0 to 0.9, into each frame, moved "
        "along the film's optical flow; softens strokes; needs the extra `video` (default: 0)",
    )
    option("--tile", type=int, metavar="PX", help="as in stylize (default: if memory is short)")
    option(
        "--batch-size",
        type=int,
        default=BATCH,
        metavar="N",
        help="number of frames processed at once (default: %(default)s)",
    )
    option(
        "--max-pixels",
        type=int,
        default=40_000_000,
        metavar="N",
        help="refuse films with larger frames (default: %(default)s)",
    )
    option("--compare", action="store_true", help="write each frame beside its result")
    option("--still", action="store_true", help="also write a contact sheet of frames")
    option("--skip-existing", action="store_true", help="skip outputs that exist")
    runtimes.add(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs `video`. Returns 0, or 1 if some of several films failed. Raises InputError if all
    failed."""
    _check(arguments)
    start, end = seconds("--from", arguments.start), seconds("--to", arguments.end)
    if end is not None and end <= (start or 0):
        raise InputError(f"--to {arguments.end} is not after --from; give a later time")
    fps, out = _rate(arguments.fps), Path(arguments.out)
    if out == STANDARD or (out.exists() and not out.is_dir() and not out.is_file()):
        raise InputError(f"-o {out}: films are written to files only; give a file or a folder")
    keyed = styles.expanded(styles.chosen(arguments.style, shipped.styles()[:1]))
    from jaxpercept import images
    from jaxpercept.images.frames import Cut
    from jaxpercept.inference import encoding, film_frames, films

    making = film_frames.Making(
        cut=Cut(start=start or Fraction(0), end=end, fps=fps),
        encoding=encoding.Encoding(codec=arguments.codec, crf=arguments.crf),
        batch=arguments.batch_size,
        compare=arguments.compare,
        still=arguments.still,
        smooth=arguments.smooth,
        steady=arguments.steady,
    )
    images.check_strength(arguments.strength)
    images.check_grain(arguments.grain)
    if arguments.codec is not None:
        choose("--codec", arguments.codec, encoding.CODECS)
    inputs, missing = find(arguments.inputs, out, films.READ_SUFFIXES)
    name_output = namer(inputs, len(keyed), out, kind=film_kind())
    from jaxpercept.inference.file_jobs import Job
    from jaxpercept.inference.flow import Task
    from jaxpercept.inference.treatment import Treatment
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    how = Treatment(
        size=arguments.size,
        max_pixels=arguments.max_pixels,
        grain=arguments.grain,
        tile=arguments.tile,
        strength=arguments.strength,
        keep_color=arguments.preserve_color,
    )
    loaded = styles.loaded([*keyed.values()], arguments.precision)
    inputs = settled(inputs, [model.name for model in loaded], name_output)
    job = Job(len(inputs) * len(loaded), say)
    for model in runtimes.chosen(arguments, loaded):
        tasks = [Task(one.path, str(one.path), name_output(one, model.name)) for one in inputs]
        films.process(tasks, how, model, job, making, skip_existing=arguments.skip_existing)
    return ending(job, missing, len(missing) + len(inputs), "film")


def _check(arguments: argparse.Namespace) -> None:
    options.check(arguments, **stylize.LIMITS, crf=Option(least=0, most=63))
    runtimes.check(arguments)
    if not arguments.inputs:
        raise InputError("no input film; give files, folders or patterns, as in: video clip.mp4")


def _rate(text: str | None) -> Fraction | None:
    if text is None:
        return None
    try:
        rate = Fraction(text).limit_denominator(10_000)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise InputError(
            f"--fps {text!r} is not allowed; give a number from 0.0001 to 1000, such as 25 or "
            "30000/1001"
        )
    return rate
