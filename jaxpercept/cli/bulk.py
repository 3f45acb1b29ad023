"""Stylize or enlarge very many images and films, on this machine's processors or on a Ray cluster.

INPUTs are files, folders and patterns, as for `stylize`; @LIST, a text file of names; or
FILE.parquet:COLUMN, a column of names. INPUTs and OUT may be in an object store: s3://…, gs://…,
abfs://…. The outputs and their names are those of `stylize` and `upscale`. Films (.mp4, .mov,
.webm, .mkv and others, with the extra `video`) are made as by `video`, one film per task.

Give the same command again to make what is missing, or whose input or settings have changed.
OUT/_bulk/errors.jsonl lists what failed, OUT/_bulk/manifest what was done.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jaxpercept.cli import options, outputs, styles, stylize, upscale, writable
from jaxpercept.cli.outputs import say
from jaxpercept.config.bulk import BulkConfig
from jaxpercept.errors import InputError
from jaxpercept.nets import shipped

if TYPE_CHECKING:
    from jaxpercept.bulk.recipe import Recipe

EPILOG = """examples:
  python -m jaxpercept bulk stylize photos/ -o styled/ --style starry_night tulip
  python -m jaxpercept bulk stylize s3://mine/photos/ -o s3://mine/styled/ --address auto
  python -m jaxpercept bulk upscale @names.txt catalogue.parquet:path -o large/ --scale 4 \\
      --gpus-per-actor 0.5

It needs Ray: pip install -e '.[ray]'. Exit status: 0 all done, 1 some images failed, 2 none
was done, or the job was given up."""


def add(commands: argparse._SubParsersAction) -> None:
    """Adds the `bulk` commands."""
    parser = commands.add_parser(
        "bulk",
        help="stylize or upscale very many images and films, on a cluster",
        description=__doc__,
        epilog=EPILOG,
    )
    parser.set_defaults(run=lambda arguments: parser.print_help())
    kinds = parser.add_subparsers(metavar="COMMAND", title="commands", parser_class=type(parser))
    _add(kinds, "stylize", "apply trained styles to", stylize.add_controls, _stylize)
    _add(kinds, "upscale", "enlarge", upscale.add_controls, _upscale)


def _add(
    kinds: argparse._SubParsersAction,
    name: str,
    what: str,
    add_controls: Callable[[argparse.ArgumentParser], None],
    recipes: Callable[[argparse.Namespace], list[Recipe]],
) -> None:
    parser = kinds.add_parser(
        name, help=f"{what} very many images", description=__doc__, epilog=EPILOG
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="files, folders, patterns, @LIST, FILE.parquet:COLUMN, here or in an object store",
    )
    add_controls(parser)
    outputs.add_written(parser, many=True)
    groups = options.add_groups(parser, ["run"])
    options.add_fields(groups, BulkConfig, "bulk")
    parser.set_defaults(run=lambda arguments: _run(arguments, recipes))


def _run(
    arguments: argparse.Namespace, recipes: Callable[[argparse.Namespace], list[Recipe]]
) -> int:
    config = BulkConfig(**options.given(arguments, BulkConfig))
    made = recipes(arguments)
    from jaxpercept import images
    from jaxpercept.bulk import inputs, job, places

    out = places.plain(arguments.out)
    _check_folder(out)
    missing: list[str] = []
    left_out: Counter[str] = Counter()
    found = inputs.find(arguments.inputs, out, missing, left_out)
    for line in filter(None, [images.left_out_line(left_out), *missing]):
        say(line)
    wanted = job.items(found, made, out, say)
    summary = job.run(wanted, made, out, config, say, skip_existing=arguments.skip_existing)
    print(json.dumps(summary, indent=2))
    return _status(summary, missing, out)


def _status(summary: dict[str, Any], missing: list[str], out: str) -> int:
    from jaxpercept.bulk import manifest, places

    errors = places.join(out, f"{manifest.FOLDER}/errors.jsonl")
    if summary["failed"]:
        say(f"{summary['failed']} of {summary['wanted']} failed; see {errors}")
    if summary["failed"] and summary["failed"] == summary["wanted"]:
        raise InputError(f"none of the {summary['wanted']} images could be done; see {errors}")
    return 1 if summary["failed"] or missing else 0


def _check_folder(out: str) -> None:
    """Raises InputError unless `out` is a place for many files."""
    from jaxpercept import images
    from jaxpercept.bulk import places

    if out == "-" or images.names_a_file(places.bare(out)):
        raise InputError(f"-o {out} names one file; bulk writes a folder of them")
    if not places.is_uri(out):
        writable.check_folder(out)


def _stylize(arguments: argparse.Namespace) -> list[Recipe]:
    stylize.check(arguments)
    keyed = styles.expanded(styles.chosen(arguments.style, shipped.styles()[:1]))
    suffix = outputs.chosen_suffix(arguments)
    from jaxpercept.bulk import recipe

    how = stylize.treatment(arguments)
    models = styles.loaded([*keyed.values()], arguments.precision)
    more: dict[str, Any] = {
        "precision": arguments.precision,
        "runtime": arguments.runtime,
        "batch_size": arguments.batch_size,
        "suffix": suffix,
    }
    return [
        recipe.stylizing(style, how, name=model.name, **more)
        for style, model in zip(keyed.values(), models, strict=True)
    ]


def _upscale(arguments: argparse.Namespace) -> list[Recipe]:
    upscale.check(arguments)
    if arguments.width is not None and arguments.model is None:
        raise InputError(
            "--width without --model: the net would depend on the largest enlargement, and bulk "
            "looks into no file before it begins; give --model, as in --model x4-pixel"
        )
    suffix = outputs.chosen_suffix(arguments)
    from jaxpercept.bulk import recipe

    more: dict[str, Any] = {
        "precision": arguments.precision,
        "runtime": arguments.runtime,
        "sharpness": arguments.sharpness,
        "ensemble": arguments.ensemble,
        "suffix": suffix,
    }
    return [recipe.upscaling_by(arguments.model, upscale.treatment(arguments), **more)]
