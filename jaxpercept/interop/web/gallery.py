"""Writes a page of photos × styles, for people who train styles and want to show them. It is plain
HTML, with every picture at full size behind a small one, and works from a file, without a server.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from html import escape
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from jaxpercept import files, images
from jaxpercept.errors import InputError
from jaxpercept.inference.file_jobs import Job
from jaxpercept.inference.flow import Task, process
from jaxpercept.inference.model import Model
from jaxpercept.inference.naming import shortened
from jaxpercept.inference.treatment import Treatment
from jaxpercept.nets import shipped

_SMALL = 480  # the longer side of pictures on the page


def write(
    out: str | os.PathLike[str],
    photos: Sequence[Path],
    models: Sequence[Model],
    *,
    how: Treatment,
    progress: Callable[[str], None] = lambda line: None,
    flags: Mapping[str, str] | None = None,
) -> Job:
    """Writes the gallery to the folder `out`: index.html, `pictures/` (JPEG, at the size painted)
    and `small/`. `how` says what happens to each photo around the net. Since a page is published,
    the pictures hold no metadata, which may tell the place; they are tagged as sRGB. A photo that
    cannot be read is recorded in the job and left out of the page."""
    out = Path(out)
    labels = {path: f"{i:03}-{shortened(path.stem)}" for i, path in enumerate(photos, 1)}

    def place(path: Path, style: str | None = None) -> Path:
        ending = "" if style is None else f"_{style}"
        return out / "pictures" / f"{labels[path]}{ending}.jpg"

    job = Job(len(photos) * len(models), progress, flags)
    for model in models:
        tasks = []
        for path in photos:
            target = place(path, model.name)
            tasks.append(Task(path, str(path), target, take=partial(_save, target)))
        process(tasks, how, model, job, batch_size=4)
    written, sections = set(job.written), []
    for path in photos:
        painted = [m for m in models if place(path, m.name) in written]
        pictures = [(m.name, partial(place, path, m.name)) for m in painted]
        if pictures:
            pictures.insert(0, ("Photo", partial(_original, path, place(path), how)))
        figures = []
        for name, file in pictures:
            try:
                figures.append(_figure(out, file(), name, how.max_pixels))
            except InputError as error:  # files may change meanwhile, and a disk may get full
                job.fail(error)
        if figures:
            shown = "\n".join(figures)
            sections.append(
                f"<section>\n<h2>{escape(path.name)}</h2>\n<div>\n{shown}\n</div>\n</section>"
            )
    if sections:
        settings = [f"longer side {how.size} pixels" if how.size else "at the photos' own size"]
        settings += [f"strokes × {how.stroke:g}"] if how.stroke else []
        settings += [f"strength {how.strength:g}"] if how.strength != 1 else []
        settings += ["the photos' colours kept"] if how.keep_color else []
        page = resources.files("jaxpercept.interop.web").joinpath("gallery.html").read_text("utf-8")
        page = page.replace("<!--settings-->", escape(f"{', '.join(settings)}."))
        page = page.replace("<!--styles-->", "\n".join(map(_about, models)))
        files.write_text(out / "index.html", page.replace("<!--photos-->", "\n".join(sections)))
    return job


def _original(path: Path, target: Path, how: Treatment) -> Path:
    photo = images.read(path, size=how.size, uint8=True, max_pixels=how.max_pixels)
    return _save(target, photo)


def _save(target: Path, picture: images.Picture) -> Path:
    return images.save_image(target, picture.pixels, alpha=picture.alpha)


def _figure(out: Path, file: Path, name: str, max_pixels: int) -> str:
    height, width = images.size_of(file, max_pixels=max_pixels)
    size = min(_SMALL, max(height, width))
    picture = images.read(file, size=size, uint8=True, max_pixels=max_pixels).pixels
    images.save_image(out / "small" / file.name, picture, quality=85)
    full, small = (f"{folder}/{quote(os.fsencode(file.name))}" for folder in ("pictures", "small"))
    h, w = picture.shape[:2]
    return (
        f'<figure><a href="{full}"><img src="{small}" width="{w}" height="{h}" loading="lazy" '
        f'alt="{escape(name)}"></a><figcaption>{escape(name)} <span>{width} × {height}</span>'
        "</figcaption></figure>"
    )


def _about(model: Model) -> str:
    """Returns what is known of a style: the work that it follows, its steps, its width."""
    facts = [shipped.credit(model.name)]
    if steps := model.header.get("training", {}).get("steps"):
        facts += [f"{steps:,} steps"]
    facts += [f"{sum(v.size for v in model.single_style().values()):,} numbers"]
    return f"<li><b>{escape(model.name)}</b> {escape('; '.join(filter(None, facts)))}</li>"
