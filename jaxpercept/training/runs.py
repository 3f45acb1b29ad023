"""Reads runs back from disk to compare them: a table of results and the curves of a term. Imports
no jax.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from jaxpercept import files, images
from jaxpercept.config import TIMING, choose
from jaxpercept.errors import InputError, Name, cell


@dataclass(frozen=True)
class Run:
    """One run: its name (the directory as given), config and logged lines, the first step first."""

    name: str
    config: dict[str, Any]
    lines: list[dict[str, float]]

    @property
    def terms(self) -> list[str]:
        """The names of the loss and its terms."""
        return [name for name in self.lines[-1] if name not in ("step", *TIMING)]

    def curve(self, term: str) -> tuple[list[float], list[float]]:
        """Returns the steps and values of a term."""
        found = [(line["step"], line[term]) for line in self.lines if term in line]
        return [s for s, _ in found], [v for _, v in found]


def read_run(folder: str) -> Run:
    """Reads the run in `folder`. Raises InputError if there is none or it has logged nothing
    yet."""
    path = Path(folder)
    try:
        config = json.loads(files.regular(path / "config.json", "a run's settings").read_text())
        lines = [json.loads(text) for text in whole_lines(path / "metrics.jsonl")]
        if not isinstance(config, dict):
            raise ValueError("its config.json holds no settings")
        for name, kind in (("task", str), ("steps", int), ("batch_size", int)):
            if type(config.get(name)) is not kind:
                raise ValueError(f"its config.json has no {name}")
    except (OSError, ValueError, RecursionError) as e:
        raise InputError(
            f"{folder}: not the directory of a run; one has config.json and metrics.jsonl ({e})"
        ) from e
    if not lines:
        raise InputError(f"{folder}: its run has logged no step yet; wait for --log-every steps")
    return Run(folder, config, lines)


def whole_lines(path: Path) -> list[str]:
    """Returns the lines of a `metrics.jsonl` that can be read. A killed process or a power loss may
    have left others."""
    if not path.exists():
        return []
    text = files.regular(path, "a run's log").read_bytes().decode("utf-8", "replace")
    return [line for line in text.split("\n") if _is_whole(line)]


def _is_whole(line: str) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    if not isinstance(found, dict) or type(found.get("step")) is not int:
        return False
    return all(isinstance(value, int | float) for value in found.values())


def table(runs: Sequence[Run]) -> str:
    """Returns a Markdown table with a row per run: steps, images seen, the last value of every
    term, and speed (medians of the logged lines, and the share of all time spent waiting for
    images)."""
    terms = list(dict.fromkeys(name for run in runs for name in run.terms))
    rows = [["run", "task", "steps", "images", *terms, "images/s", "ms/step", "input wait"]]
    for run in runs:
        last, config = run.lines[-1], run.config
        speed = [
            median([line.get(k, math.nan) for line in run.lines])
            for k in ("images_per_s", "ms_per_step")
        ]
        timed = [(x["input_wait"], x["images_per_s"]) for x in run.lines if _is_timed(x)]
        spent = sum(1 / rate for _, rate in timed)
        share = sum(wait / rate for wait, rate in timed) / spent if timed else math.nan
        rows.append(
            [
                cell(run.name),
                cell(config["task"]),
                f"{last['step']:.0f} of {config['steps']}",
                f"{last['step'] * config['batch_size']:.0f}",
                *(f"{last[t]:.5g}" if t in last else "-" for t in terms),
                f"{speed[0]:.2f}",
                f"{speed[1]:.1f}",
                f"{share:.1%}",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = [[cell.ljust(w) for cell, w in zip(row, widths, strict=True)] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    return "\n".join([lines[0], f"|{'|'.join('-' * (w + 2) for w in widths)}|", *lines[1:]]) + "\n"


def _is_timed(line: dict[str, float]) -> bool:
    """Returns whether a line, which someone may have edited, has its times."""
    wait, rate = line.get("input_wait"), line.get("images_per_s")
    return isinstance(wait, int | float) and isinstance(rate, int | float) and rate > 0


def plot(runs: Sequence[Run], path: str | Path, term: str = "loss") -> Path:
    """Draws the curves of a term as an image, one colour per run: every logged value thin, their
    running mean over a fiftieth of the run thick. Raises InputError for a term that no run has."""
    choose(Name("term"), term, list(dict.fromkeys(name for run in runs for name in run.terms)))
    lines = []
    for run in (run for run in runs if run.curve(term)[0]):
        steps, values = run.curve(term)
        if not any(map(math.isfinite, values)):
            raise InputError(
                f"{run.name}: none of its logged values of {term} is finite; leave this run out"
            )
        mean = running_mean(values, max(1, len(values) // 50))
        lines += [
            images.Line(run.name, steps, values, thin=True),
            images.Line(run.name, steps, mean),
        ]
    return images.save_image(
        path, images.line_chart(lines, title=f"{term} by step", x_label="step", size=(560, 900))
    )


def running_mean(values: Sequence[float], width: int) -> list[float]:
    """Returns the mean of the last `width` values at each place, or of fewer at the start."""
    return [
        sum(last) / len(last)
        for last in (values[max(0, i + 1 - width) : i + 1] for i in range(len(values)))
    ]
