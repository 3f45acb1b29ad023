"""The `evaluate video` command: how steady style nets are on films, as a table and JSON."""

from __future__ import annotations

import argparse

from jaxpercept.cli import options, reports
from jaxpercept.cli.film_files import seconds
from jaxpercept.cli.outputs import say
from jaxpercept.config.options import Option
from jaxpercept.files import results

_ABOUT = """Measure how much style nets flicker on films.

Neighbouring frames, and frames 5 and 10 apart, are aligned along the film's optical
flow (OpenCV's DIS), where that is reliable. The numbers are root mean square errors
between 0 and 1; the row `input` is the film itself. `shift1` and `shift4` say how
much a net's output changes when the photo moves by that many pixels. --style-image
adds the content and style loss. Needs the extra `video`."""

_EPILOG = """examples:
  jaxpercept evaluate video clip.mp4 --style starry_night the_scream
  jaxpercept evaluate video clip.mp4 --style wave --style-image wave.jpg --plot wave.png
  jaxpercept evaluate video clips/*.mp4 --style multi:wave runs/mine/model.safetensors \\
      --frames 30 --json scores.json"""


def add(kinds: argparse._SubParsersAction) -> None:
    """Adds the kind `video` to `evaluate`."""
    parser = kinds.add_parser(
        "video",
        help="measure how much style nets flicker on films",
        description=_ABOUT,
        epilog=_EPILOG,
    )
    option = parser.add_argument
    option("clips", nargs="+", metavar="CLIP", help="films")
    option(
        "--style",
        nargs="+",
        action="extend",
        required=True,
        metavar="STYLE",
        help="shipped names or weights files",
    )
    option(
        "--size",
        type=int,
        default=320,
        metavar="N",
        help="width of the frames in pixels (default: 320)",
    )
    option(
        "--frames",
        type=int,
        default=16,
        metavar="N",
        help="number of frames of each clip (default: 16)",
    )
    option(
        "--from",
        dest="start",
        nargs="+",
        action="extend",
        metavar="T",
        help="start at this time, of all clips or of each: seconds, M:SS or H:MM:SS (default: 0)",
    )
    option(
        "--style-image",
        nargs="+",
        action="extend",
        default=[],
        metavar="S",
        help="the painting of each style, in the order of the styles; also measures the content "
        "and style loss, which expose a net that draws nothing",
    )
    option(
        "--steady", type=float, default=0.0, metavar="X", help="play the film as video --steady X"
    )
    option(
        "--smooth", type=float, default=0.0, metavar="X", help="play the film as video --smooth X"
    )
    option("--grain", type=float, metavar="X", help="play the film as video --grain X")
    option(
        "--sheet",
        metavar="FILE",
        help="write a contact sheet to this image: frames, pictures, and what changed in these "
        "besides the motion, magnified",
    )
    option("--plot", metavar="FILE", help="write a chart of the errors over time to this image")
    option("--json", metavar="FILE", help="write the numbers to this file")
    option("--markdown", metavar="FILE", help="also write the table to this file")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs `evaluate video`. Returns 0, or 1 if some clips could not be used."""
    from jaxpercept import images

    options.check(arguments, size=Option(least=64), frames=Option(least=2))
    starts = [seconds("--from", text) or 0 for text in arguments.start or ["0"]]
    inputs = [*arguments.clips, *(arguments.style_image or ())]
    reports.check(arguments, ("json", "markdown", "plot", "sheet"), inputs)
    from fractions import Fraction

    from jaxpercept.evaluation import video, video_report
    from jaxpercept.evaluation.video_sheet import Differences
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    differences = Differences() if arguments.sheet else None
    result = video.evaluate_video(
        arguments.clips,
        arguments.style,
        size=arguments.size,
        frames=arguments.frames,
        start=[Fraction(t) for t in starts] if len(starts) > 1 else Fraction(starts[0]),
        paintings=arguments.style_image,
        steady=arguments.steady,
        smooth=arguments.smooth,
        grain=arguments.grain,
        progress=say,
        watch=differences.watch if differences else None,
    )
    table = video_report.markdown(result)
    print(table, end="")
    reports.write(arguments, json=results.encoded(result), markdown=table)
    if arguments.plot:
        images.save_image(arguments.plot, video_report.plot(result))
    if differences:
        images.save_image(arguments.sheet, differences.sheet())
    return 1 if result["failed"] else 0
