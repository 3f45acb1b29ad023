"""The numbers of the report: medians over photos, and how much faster the net is."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from jaxpercept.evaluation.reproduce.lab import Unit


def crossing_table(units: list[Unit]) -> list[Unit]:
    """Returns medians over the photos for each style and size. A photo that never drew level counts
    as later than any other."""
    rows = []
    for (style, size), group in groups(units):
        at = {
            k: [u["crossing"][k] if u["crossing"] else np.inf for u in group]
            for k in ("iteration", "evaluations")
        }
        medians = {k: float(np.median(v)) for k, v in at.items()}
        rows.append(
            {
                "style": style,
                "size": size,
                "photos": len(group),
                "iterations": group[0]["settings"]["iterations"],
                **{k: v if np.isfinite(v) else None for k, v in medians.items()},
                "range": [_finite(f(at["iteration"])) for f in (min, max)],
                **{
                    k: float(np.median([u["values"][key]["loss"] for u in group]))
                    for k, key in (("net", "net"), ("content", "content"), ("style_image", "style"))
                },
                "enlarged": sum(u["enlarged"] for u in group),
            }
        )
    return rows


def groups(units: list[Unit]) -> list[tuple[tuple[str, int], list[Unit]]]:
    """Returns the units of each style and size, in their order."""
    keyed = groupby(units, key=lambda u: (u["settings"]["style"], u["settings"]["size"]))
    return [(key, list(group)) for key, group in keyed]


def _finite(x: float) -> float | None:
    return x if np.isfinite(x) else None


def speed_table(units: list[Unit]) -> list[Unit]:
    """Returns for each size the net's seconds, those of 100, 300 and 500 iterations, and the
    ratio."""
    rows = []
    for u in units:
        row = {
            "style": u["settings"]["style"],
            "size": u["settings"]["size"],
            "net_seconds": u["net_seconds"],
            "timed_iterations": u["settings"]["timed_iterations"],
            "evaluations_per_iteration": u["evaluations_per_iteration"],
        }
        for n in (100, 300, 500):
            row[f"seconds_{n}"] = n * u["seconds_per_iteration"]
            row[f"ratio_{n}"] = n * u["seconds_per_iteration"] / u["net_seconds"]
        rows.append(row)
    return rows
