"""Runs the parts and writes their results: `reproduce.json`, `reproduce.md`, plots and contact
sheets.

The report is rewritten after every part, from all units of the run so far.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jax
import numpy as np

from jaxpercept import files, images
from jaxpercept.config import to_dict
from jaxpercept.errors import cell
from jaxpercept.evaluation.reproduce import measure, superres
from jaxpercept.evaluation.reproduce.lab import Lab, Unit
from jaxpercept.evaluation.reproduce.settings import PARTS, STYLE_PARTS, ReproduceConfig
from jaxpercept.evaluation.reproduce.tables import crossing_table, groups, speed_table
from jaxpercept.files import results

_RUN: dict[str, Callable[[Lab], Any]] = {
    "crossing": measure.crossings,
    "speed": measure.speeds,
    "figure3": measure.figure3,
    "figure4": measure.figure4,
    "tv": measure.tv,
    "style-size": measure.style_size,
    "superres": superres.scores,
}


def reproduce(config: ReproduceConfig, say: Callable[[str], None] = lambda line: None) -> Path:
    """Runs the missing units of every part, and returns the path of the Markdown report."""
    lab, found = Lab(config, say), dict[str, list[Unit]]()
    path = Path(config.results) / "reproduce.md"
    for part in (p for p in PARTS if p in config.parts):
        say(f"{part}: {PARTS[part]}")
        found[part] = list(_RUN[part](lab)) if part in _RUN else []
        text = _write(lab, found)
        files.write_text(path, text)
        files.write_text(path.with_suffix(".json"), results.encoded(_summary(lab, found)))
    return path


def _summary(lab: Lab, found: dict[str, list[Unit]]) -> Unit:
    config = {
        k: v
        for k, v in to_dict(lab.config).items()
        if k not in ("out", "results", "data", "style_images", "superres_images")
    }
    return {
        "config": config,
        "machine": _machine(),
        "crossings": crossing_table(found.get("crossing", [])),
        "speeds": speed_table(found.get("speed", [])),
        "units": found,
    }


def _machine() -> str:
    return f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, jax {jax.__version__}"


def _write(lab: Lab, found: dict[str, list[Unit]]) -> str:
    """Returns the Markdown and saves its pictures."""
    c, text = lab.config, ["# The paper's experiments, reproduced\n"]
    text.append(f"By `python -m jaxpercept reproduce`, on {_machine()}, with seed {c.seed}.\n")
    if found.keys() & set(STYLE_PARTS):
        text.append(
            f"Sizes {', '.join(map(str, c.sizes))}. The optimiser is L-BFGS (history 10, strong "
            f"Wolfe line search). It starts from {c.init}, is clipped to [0, 1] at every iteration,"
            " and minimises each net's own training objective. Nets' outputs are clipped before "
            "they are scored.\n"
        )
    for part, units in found.items():
        text.append(f"## {part}: {PARTS[part]}\n")
        text.append(_SECTIONS[part](lab, units))
    return "\n".join(text)


def _crossing(lab: Lab, units: list[Unit]) -> str:
    lines = [
        "| style | size | photos | net | content image | style image | level at iteration | "
        "earliest, latest | "
        "evaluations |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in crossing_table(units):
        most = f"> {row['iterations']}"
        early, late = (most if x is None else f"{x:.0f}" for x in row["range"])
        at, spent = (
            most if row[k] is None else f"{row[k]:g}" for k in ("iteration", "evaluations")
        )
        photos = f"{row['photos']}" + (f" ({row['enlarged']} enlarged)" if row["enlarged"] else "")
        lines.append(
            f"| {cell(row['style'])} | {row['size']} | {photos} | {row['net']:.4g} | "
            f"{row['content']:.4g} | "
            f"{row['style_image']:.4g} | {at} | {early}, {late} | {spent} |"
        )
    lines.append(
        "\nMedians over the photos. Level: the first iteration whose loss is no higher than the "
        "net's.\n"
    )
    for (style_name, size), group in groups(units):
        name = f"reproduce-crossing-{style_name}-{size}.png"
        lab.show(name, crossing_chart(style_name, size, group))
        lines.append(_shown(f"loss over iterations, {style_name} at {size}", name))
    return "\n".join(lines)


def crossing_chart(style: str, size: int, group: list[Unit]) -> images.Float:
    """Draws each photo's losses as a thin line, and the medians of the net, the content and the
    style image."""
    longest = max(2, *(len(u["losses"]) for u in group))
    lines = [
        images.Line("optimisation, each photo", range(len(u["losses"])), u["losses"], thin=True)
        for u in group
    ]
    for key, label in (("net", "our net"), ("content", "content image"), ("style", "style image")):
        value = float(np.median([u["values"][key]["loss"] for u in group]))
        lines.append(images.Line(label, (0, longest - 1), (value, value)))
    return images.line_chart(
        lines,
        title=f"{style}, {size}x{size}, {len(group)} photos",
        x_label="iteration",
        y_label="objective",
    )


def _speed(lab: Lab, units: list[Unit]) -> str:
    lines = [
        "| size | net | 100 iterations | 300 | 500 | ratio 100 | 300 | 500 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in speed_table(units):
        seconds = " | ".join(f"{row[f'seconds_{n}']:.4g} s" for n in (100, 300, 500))
        ratios = " | ".join(f"{row[f'ratio_{n}']:.0f}x" for n in (100, 300, 500))
        lines.append(f"| {row['size']} | {row['net_seconds']:.4g} s | {seconds} | {ratios} |")
    timed = lab.config.timed_iterations
    each = ", ".join(f"{u['evaluations_per_iteration']:.2f}" for u in units)
    lines.append(
        f"\nTimes are those of {timed} iterations, after {timed} others, multiplied. By size, an "
        f"iteration takes {each} evaluations. Net: the median of five calls, one image each.\n"
    )
    return "\n".join(lines)


def _sheet(part: str, title: Callable[[Unit], str]) -> Callable[[Lab, list[Unit]], str]:
    """Returns a function that writes a section with one row of pictures per subject, and their
    final terms."""

    def section(lab: Lab, units: list[Unit]) -> str:
        rows = [
            list(group) for _, group in groupby(units, key=lambda u: u["name"].rpartition("-")[0])
        ]
        pictures = [[lab.picture(u["name"]) for u in row] for row in rows]
        name = f"reproduce-{part}.webp"
        labels = [row[0]["name"].rpartition("-")[0].partition("/")[2] for row in rows]
        lab.show(
            name,
            images.contact_sheet(
                pictures, row_labels=labels, column_labels=[title(u) for u in rows[0]]
            ),
        )
        lines = [_shown(part, name), "| picture | evaluations | terms |", "|---|---|---|"]
        for u in units:
            terms = ", ".join(f"{k} {v:.4g}" for k, v in u["terms"].items())
            lines.append(f"| {cell(u['name'].partition('/')[2])} | {u['evaluations']} | {terms} |")
        return "\n".join(lines) + "\n"

    return section


def _last(unit: Unit) -> str:
    return unit["name"].rpartition("-")[2]


def _transfer(lab: Lab, units: list[Unit]) -> str:
    """Shows for each style the photo, the net's outputs at every size, and the kept optimised
    images."""
    c, rows, labels = lab.config, [], []
    for style in lab.styles:
        (name, photo), *_ = lab.squares("sizes", max(c.sizes), 1)
        rows.append(
            [photo, *(np.asarray(style.model(images.square(photo, s)[None]))[0] for s in c.sizes)]
        )
        labels.append(f"{style.name}: photo, net")
        kept = [f"crossing/{style.name}-{s}-{name}" for s in c.sizes]
        found = [lab.picture(k) if (lab.folder / f"{k}.png").exists() else None for k in kept]
        if any(x is not None for x in found):
            rows.append([images.resize(style.image, 512, "long"), *found])
            labels.append(f"{style.name}: style image, optimised until level with the net")
    lab.show(
        "reproduce-transfer.webp",
        images.contact_sheet(
            rows, row_labels=labels, cell=320, column_labels=["", *map(str, c.sizes)]
        ),
    )
    return _shown("transfer", "reproduce-transfer.webp")


def _shown(what: str, file: str) -> str:
    """Returns the Markdown of a picture of the report."""
    alternative = cell(what).replace("[", "\\[").replace("]", "\\]")
    return f"![{alternative}]({quote(os.fsencode(file))})\n"


_SECTIONS: dict[str, Callable[[Lab, list[Unit]], str]] = {
    "crossing": _crossing,
    "speed": _speed,
    "figure3": _sheet("figure3", _last),
    "figure4": _sheet("figure4", lambda u: f"to {_last(u)}"),
    "transfer": _transfer,
    "tv": _sheet("tv", lambda u: f"TV weight x {_last(u)}"),
    "style-size": _sheet("style-size", lambda u: f"style image {_last(u)}"),
    "superres": superres.section,
}
