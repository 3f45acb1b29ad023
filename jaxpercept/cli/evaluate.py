"""The `evaluate superres` command: PSNR and SSIM as tables, JSON and a contact sheet."""

from __future__ import annotations

import argparse

from jaxpercept.cli import evaluate_video, options, reports
from jaxpercept.cli.outputs import say
from jaxpercept.config import DEGRADATIONS, SCALES, VGG_LAYERS, choose
from jaxpercept.files import results
from jaxpercept.nets import weights_file

_SUPERRES = """Score super-resolution nets, and nearest, bicubic and Lanczos interpolation.

The images of --data are made small and enlarged again. PSNR and SSIM are measured
on luma (BT.601, 16-235), without a border of N pixels for --scale N, as in the
literature. In rows that end in +histogram, the result's histogram is matched to
the input's, as in section 4.2 of Johnson et al. 2016.

The table goes to standard output and progress to standard error. The exit status
is 1 when some images could not be used."""

_EPILOG = """examples:
  jaxpercept evaluate superres --scale 4
  jaxpercept evaluate superres --data Set5/ --scale 4 \\
      --model runs/x4/model.safetensors --sheet crops.png
  jaxpercept evaluate superres --data Set5/ --scale 4 \\
      --features relu3_3 relu4_3 --json scores.json"""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `evaluate` command."""
    evaluate = commands.add_parser(
        "evaluate", help="score trained nets: superres or video", description="Score trained nets."
    )
    kinds = evaluate.add_subparsers(
        metavar="KIND", required=True, title="kinds", parser_class=type(evaluate)
    )
    parser = kinds.add_parser(
        "superres",
        help="measure PSNR and SSIM on your images",
        description=_SUPERRES,
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--data",
        nargs="+",
        action="extend",
        metavar="FOLDER",
        help="images or folders of images (default: the sample photos)",
    )
    parser.add_argument(
        "--scale",
        type=int,
        required=True,
        metavar="N",
        help=f"how many times larger: {options.either(SCALES)}",
    )
    parser.add_argument(
        "--model",
        nargs="+",
        action="extend",
        metavar="M",
        help="shipped names or weights files (default: the shipped nets of that scale that were "
        "trained on such inputs)",
    )
    parser.add_argument(
        "--degradation",
        default="bicubic",
        metavar="X",
        help="how inputs are made small: bicubic; blur, which first applies a Gaussian; or jpeg, "
        "with medium blur, noise and JPEG compression (default: bicubic)",
    )
    parser.add_argument(
        "--no-match-histogram",
        dest="match",
        action="store_false",
        help="leave out the +histogram rows",
    )
    parser.add_argument(
        "--features",
        nargs="+",
        action="extend",
        default=[],
        metavar="L",
        help="also report the distance to the original in the features of these VGG-16 layers",
    )
    parser.add_argument("--json", metavar="FILE", help="write the scores to this file")
    parser.add_argument("--markdown", metavar="FILE", help="also write the table to this file")
    parser.add_argument(
        "--sheet", metavar="FILE", help="write a contact sheet of crops to this file"
    )
    parser.set_defaults(run=_superres)
    evaluate_video.add(kinds)


def _superres(arguments: argparse.Namespace) -> int:
    choose("--scale", arguments.scale, SCALES)
    choose("--degradation", arguments.degradation, DEGRADATIONS)
    for layer in arguments.features:
        choose("VGG-16 layer", layer, VGG_LAYERS)
    for model in arguments.model or ():
        weights_file.resolve(model, "superres")
    from jaxpercept import images
    from jaxpercept.images.samples import sample_files

    photos = arguments.data or [str(file) for file in sample_files().values()]
    found = images.list_images(photos)
    reports.check(arguments, ("json", "markdown", "sheet"), found)
    from jaxpercept.evaluation import superres, superres_report
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    if arguments.model is None and not weights_file.available("superres"):
        say(
            "no super-resolution net is shipped here, so only interpolation is measured; name a "
            "net with --model"
        )
    result = superres.evaluate_superres(
        photos,
        arguments.scale,
        arguments.model,
        degradation=arguments.degradation,
        match=(False, True) if arguments.match else (False,),
        features=arguments.features,
        sheet=arguments.sheet,
        progress=say,
    )
    table = superres_report.markdown(result)
    print(table, end="")
    reports.write(arguments, json=results.encoded(result), markdown=table)
    return 1 if result["failed"] else 0
