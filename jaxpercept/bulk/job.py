"""Runs a whole bulk job: plan, rounds, report."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxpercept import images
from jaxpercept.bulk import cluster, engine, films, manifest, places
from jaxpercept.bulk.ledger import Deaths
from jaxpercept.bulk.manifest import Item, Manifest
from jaxpercept.bulk.places import Entry
from jaxpercept.bulk.recipe import Recipe
from jaxpercept.bulk.report import Report, Say
from jaxpercept.config.bulk import BulkConfig
from jaxpercept.errors import InputError
from jaxpercept.inference import naming

TASK = 64  # inputs per task, if there are many
FRUITLESS = 3  # rounds without an output after which the job is given up


def items(
    found: Mapping[images.Found, Entry], recipes: Sequence[Recipe], out: str, say: Say
) -> list[Item]:
    """Returns the items to make, grouped by net. Raises InputError if two inputs would have the
    same output."""
    suffixes = {recipe.label: recipe.suffix for recipe in recipes}
    folder = Path(places.bare(out))

    def named(one: images.Found, label: str) -> Path:
        film = films.is_film(one.path.name)
        suffix = films.written_suffix(one.path.name) if film else suffixes[label]
        return naming.name(folder, one, label, suffix)

    kept, left = naming.settle(found, [*suffixes], named)
    if left:
        say(f"left out, since this command writes files of these names: {len(left)}")
    return [
        Item(found[one], number, named(one, recipe.label).relative_to(folder).as_posix())
        for number, recipe in enumerate(recipes)
        for one in kept
    ]


def run(
    wanted: Sequence[Item],
    recipes: Sequence[Recipe],
    out: str,
    config: BulkConfig,
    say: Say,
    *,
    skip_existing: bool = False,
) -> dict[str, Any]:
    """Makes the outputs that are not there yet. Returns the summary, which is also written to
    `_bulk/summary.json`. Failures are listed in `_bulk/errors.jsonl`."""
    begun = time.monotonic()
    places.remove_stale(out)
    done = Manifest(out)
    done.refresh()
    settings = [recipe.settings for recipe in recipes]
    names = (i.output for i in wanted if skip_existing or i.output in done.records)
    there = places.sizes(out, names)
    todo = [*manifest.plan(wanted, done.records, there, settings, skip_existing=skip_existing)]
    say(f"{len(wanted)} outputs: {len(wanted) - len(todo)} are there, {len(todo)} to do")
    report = Report(len(todo), say)
    if todo:
        with cluster.connected(config) as library:
            _rounds(library, config, recipes, out, done, todo, report, say)
    made = {item.output for item in todo}
    failed = [done.records[output] for output in made if "error" in done.records.get(output, {})]
    summary = report.summary(len(wanted), len(todo), len(failed), time.monotonic() - begun)
    done.compact(f"{time.time_ns()}-all")
    places.write(places.join(out, f"{manifest.FOLDER}/errors.jsonl"), manifest.lines(failed))
    text = json.dumps(summary, indent=2) + "\n"
    places.write(places.join(out, f"{manifest.FOLDER}/summary.json"), text.encode())
    return summary


def _rounds(
    library: Any,
    config: BulkConfig,
    recipes: Sequence[Recipe],
    out: str,
    done: Manifest,
    todo: Sequence[Item],
    report: Report,
    say: Say,
) -> None:
    deaths, fruitless = Deaths(), 0
    rest = {item.output: item for item in todo}
    while rest:
        part = engine.Round(library, config, recipes, out, _tasks(rest.values(), deaths, config))
        while not part.wait(1.0):
            report.show(part.state, part.actors)
            _check(part)
        report.add(part.state)
        _check_problem(part)
        recorded = {r["output"] for r in done.refresh()}
        fruitless = 0 if recorded & rest.keys() else fruitless + 1
        rest = {output: item for output, item in rest.items() if output not in recorded}
        deaths.note(
            {w: [o for o in begun if o in rest] for w, begun in part.state.begun.items()},
            set(cluster.alive(library)),
        )
        given_up = [item for output, item in rest.items() if deaths.deadly(output)]
        _give_up(given_up, recipes, out, done)
        rest = {o: item for o, item in rest.items() if not deaths.deadly(o)}
        if rest:
            say(f"{len(rest)} were lost with processes that died; trying them again")
        if rest and fruitless >= FRUITLESS and not given_up:
            reason = " ".join(str(part.error or part.state.fault or "no worker answers").split())
            raise InputError(f"no output in {fruitless} rounds ({reason[:300]}); see `ray status`")


def _check(part: engine.Round) -> None:
    """Raises InputError if no worker has reported for long, because the actors have no room or
    cannot load the net."""
    if part.silence > engine.SILENCE:
        raise InputError(
            f"no worker has answered for {part.silence:.0f} s; see whether the cluster has room "
            "for --cpus-per-actor and --gpus-per-actor (`ray status`), and give the command again"
        )
    _check_problem(part)


def _check_problem(part: engine.Round) -> None:
    """Raises InputError for a problem that keeps every worker from working."""
    if part.state.problem:
        raise InputError(f"{part.state.problem}; then give the same command again")


def _tasks(rest: Iterable[Item], deaths: Deaths, config: BulkConfig) -> list[list[Item]]:
    """Returns the inputs in batches. A film is a batch by itself, and so is an input that may have
    killed a process."""
    alone: list[list[Item]] = []
    calm: list[Item] = []
    for item in rest:
        if films.is_film(item.input.name) or deaths.suspect(item.output):
            alone.append([item])
        else:
            calm.append(item)
    size = config.task_size or max(1, min(TASK, len(calm) // 16))
    return [*(calm[i : i + size] for i in range(0, len(calm), size)), *alone]


def _give_up(
    given_up: Sequence[Item],
    recipes: Sequence[Recipe],
    out: str,
    done: Manifest,
) -> None:
    records = []
    for item in given_up:
        recipe = recipes[item.recipe]
        error = f"{item.input.name}: the process that worked on it died twice; try it with infer.py"
        records.append(manifest.record(item, recipe.settings, recipe.digest, "", error=error))
    if records:
        name = manifest.part_name(out, f"{time.time_ns()}-given-up")
        places.write(name, manifest.lines(records))
        done.refresh()
