"""Writes a run as a page: its previews over time, the curve of every loss term, its settings. The
page is plain HTML and SVG, and its pictures stay in the run's directory. Imports no jax.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from jaxpercept import files
from jaxpercept.errors import InputError
from jaxpercept.training.runs import Run, read_run

_WIDTH, _HEIGHT, _POINTS = 320, 120, 400
_PREVIEWS = 12  # the most previews over the whole run
_STYLE = """:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; padding: 1.5rem; max-width: 80rem; }
img { max-width: 100%; height: auto; }
div { display: grid; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); gap: 1rem; }
figure { margin: 0 0 1rem; }
polyline { fill: none; stroke: #3b78c9; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
rect { fill: none; stroke: #8888; }
pre { overflow: auto; }"""


def at_end(folder: Path) -> str:
    """Writes index.html into a run's directory. Returns its path, or why there is none: the weights
    are written already, so a full disk must not end the run with an error."""
    try:
        return str(write(read_run(str(folder)), folder / "index.html"))
    except InputError as e:
        return f"none ({e})"


def write(run: Run, page: Path) -> Path:
    """Writes `page`, an HTML file, and returns its path. Raises InputError if it cannot be
    written."""
    previews = sorted((Path(run.name) / "previews").glob("*.jpg"))
    step = max(1, -(-len(previews) // _PREVIEWS))
    shown = previews[::-1][::step][::-1]  # always includes the last one
    body = [f"<h1>{escape(Path(run.name).name)}</h1>"]
    body += ["<h2>Loss</h2><div>", *(_chart(run, term) for term in run.terms), "</div>"]
    body += ["<h2>Previews</h2>"] if shown else []
    body += [_preview(path, page.parent) for path in shown]
    settings = escape(json.dumps(run.config, indent=1))
    body += [f"<h2>Settings</h2><details><summary>all</summary><pre>{settings}</pre></details>"]
    return files.write_text(
        page,
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(Path(run.name).name)}</title>\n<style>\n{_STYLE}\n</style></head>\n"
        "<body>\n" + "\n".join(body) + "\n</body>\n</html>\n",
    )


def _chart(run: Run, term: str) -> str:
    steps, values = run.curve(term)
    pairs = [(s, v) for s, v in zip(steps, values, strict=True) if math.isfinite(v)]
    if not pairs:
        return f"<figure><figcaption>{escape(term)}: no finite value</figcaption></figure>"
    steps, values = (list(each) for each in zip(*pairs, strict=True))
    caption = f"{escape(term)}: {values[0]:.4g} at step {steps[0]:g}, "
    caption += f"{values[-1]:.4g} at step {steps[-1]:g}"
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" role="img" '
        f'aria-label="Curve of {escape(term)}"><rect width="{_WIDTH}" height="{_HEIGHT}"/>'
        f'<polyline points="{_points(steps, values)}"/></svg>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _points(steps: Sequence[float], values: Sequence[float]) -> str:
    every = max(1, len(steps) // _POINTS)
    kept = list(zip(steps, values, strict=True))[::every]
    low, high = min(v for _, v in kept), max(v for _, v in kept)
    first, last = steps[0], steps[-1]
    return " ".join(
        f"{_WIDTH * (s - first) / ((last - first) or 1):.1f},"
        f"{_HEIGHT * (0.95 - 0.9 * (v - low) / ((high - low) or 1)):.1f}"
        for s, v in kept
    )


def _preview(path: Path, folder: Path) -> str:
    address = quote(os.fsencode(Path(os.path.relpath(path, folder)).as_posix()))
    step = path.stem.lstrip("0") or "0"
    return (
        f'<figure><img src="{address}" loading="lazy" alt="Preview at step {step}">'
        f"<figcaption>Step {step}</figcaption></figure>"
    )
