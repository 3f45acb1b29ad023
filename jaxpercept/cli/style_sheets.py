"""The sheets of `stylize`: a photo beside its pictures in all styles of a net of many."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxpercept.cli import styles
from jaxpercept.cli.outputs import say
from jaxpercept.nets import multistyle

if TYPE_CHECKING:
    from jaxpercept.images import Found
    from jaxpercept.inference.file_jobs import Job
    from jaxpercept.inference.naming import NameOutput

_CELL = 384  # the longer side of a picture on a sheet


def labels(given: Sequence[str], named: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns the sheets to make for each image: their labels, and the names of the nets on
    them."""
    from jaxpercept.inference.model import name_of

    found = {}
    for one in given:
        file, blend = multistyle.split(one)
        chosen = [named[key] for key, _ in multistyle.expand(one)]
        if blend == multistyle.ALL and len(chosen) > 1:
            found[file] = chosen
    names = [f"{name_of(file)}-{multistyle.ALL}" for file in found]
    sheets = styles.told_apart(names, [*found])
    return dict(zip(sheets, found.values(), strict=True))


def write(
    inputs: Mapping[Found, Any],
    names: Sequence[str],
    max_pixels: int,
    output: NameOutput,
    label: str,
    job: Job,
) -> None:
    """Writes, for each finished image, a sheet that shows it beside its outputs of these names.
    `inputs` are the images and their sources. A sheet that cannot be made costs no other."""
    from jaxpercept import images
    from jaxpercept.inference import flow

    for found, source in inputs.items():
        outputs = [output(found, name) for name in names]
        target = output(found, label)
        if all(map(os.path.isfile, outputs)):
            try:
                row = [
                    images.read(one, size=_CELL, max_pixels=max_pixels).over_white()
                    for one in (source, *outputs)
                ]
                sheet = images.contact_sheet([row], column_labels=["image", *names], cell=_CELL)
                say(str(images.save_image(target, sheet)))
            except Exception as error:
                job.fail(flow.failure(str(target), error))
