"""What `infer.py` does without a command: the sample photos in the styles that have a net of
their own, or the list of styles.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jaxpercept.cli.outputs import say
from jaxpercept.errors import InputError
from jaxpercept.nets import shipped

_OUT = Path("outputs")


def list_styles() -> int:
    """Prints the shipped styles and the works that they follow. Returns 0."""
    known = shipped.styles()
    width = max((len(name) for name in known), default=0)
    for name in known:
        print(f"{name:{width}}  {shipped.credit(name)}".rstrip())
    return 0


def run(arguments: argparse.Namespace, out: Path = _OUT) -> int:
    """Runs `infer.py` without arguments: the sample photos in every style that has a net of its
    own, and one contact sheet."""
    if arguments.list_styles:
        return list_styles()
    names = shipped.singles()
    if not names:
        raise InputError("no style is shipped here; train one: python train.py")
    from jaxpercept import images
    from jaxpercept.images.samples import sample_photos
    from jaxpercept.inference.batches import run_batches
    from jaxpercept.inference.model import load_model
    from jaxpercept.runtime import compilation_cache

    compilation_cache.enable()
    photos = sample_photos()
    rows = [list(photos.values())]
    for style in names:
        model = load_model(style)
        seen = ((name, images.grain(photo, model.grain)) for name, photo in photos.items())
        outputs = dict(run_batches(model, seen, 1))
        for name, output in outputs.items():
            say(str(images.save_image(out / f"{name}_{style}.jpg", output)))
        rows.append([outputs[name] for name in photos])
    sheet = images.contact_sheet(
        rows, row_labels=["photos", *names], column_labels=list(photos), cell=384
    )
    path = images.save_image(out / "contact_sheet.jpg", sheet, quality=85)
    say(f"{len(photos) * len(names)} images, and all on one contact sheet: {path}")
    return 0
