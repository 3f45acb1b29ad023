"""Processes a batch of inputs: one callable for every engine.

Ray Data's `map_batches`, Beam's `Map` over batches and Spark's `mapInPandas` all call a plain
object with a batch. This object is pickled without its nets. Each process loads each net once, at
the first batch that needs it.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from jaxpercept import images
from jaxpercept.bulk import films, inputs, manifest, places
from jaxpercept.bulk.manifest import Item, Record
from jaxpercept.bulk.places import Entry
from jaxpercept.bulk.recipe import Recipe
from jaxpercept.errors import InputError
from jaxpercept.inference import films as films_flow
from jaxpercept.inference import naming
from jaxpercept.inference.file_jobs import Job, ahead
from jaxpercept.inference.flow import Task, process
from jaxpercept.inference.model import Net
from jaxpercept.nets import weights_file
from jaxpercept.runtime import threads

FETCHERS = 8  # files read at once, since an object store answers late
FETCHED = 64 << 20  # bytes of files that are read ahead


_DEFAULTS: dict[str, Any] = {"output": "", "recipe": 0, "size": -1, "changed": -1, "known": ""}
# the options that an error may name, see `InputError.with_flags`
_UPSCALE = {name: f"--{name}" for name in ("tile", "max-pixels")}
_STYLIZE = _UPSCALE | {name: f"--{name}" for name in ("size", "stroke", "grain")}


class Watch(Protocol):
    """Receives what a worker is doing, so that the inputs of a dying worker are known."""

    def begin(self, outputs: Sequence[str]) -> None:
        """Receives the outputs that begin."""

    def end(self, done: int, failed: int, seconds: Mapping[str, float]) -> None:
        """Receives that they are done, or recorded as failed."""


class Worker:
    """Applies recipes to batches, writes what they make below `out`, and records it in the
    manifest there. Call it with a mapping of columns (a dict of arrays, a pandas data frame), or
    with a list of names. Returns a dict of columns: `input`, `output` (empty where it failed) and
    `error`.

    The column `input` names the images. The others may be left out: `output`, the name below
    `out`, by default the input's whole name and the net's; `recipe`, which of the recipes, by
    default the first; `size` and `changed`; and `known`, the hash of an input whose output is
    there."""

    def __init__(self, recipes: Sequence[Recipe], out: str, watch: Watch | None = None):
        self.recipes, self.out, self.watch = tuple(recipes), out, watch
        self._nets: dict[int, Net] = {}
        self._idle = time.perf_counter()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_nets": {}}

    def __call__(self, batch: Any) -> dict[str, list[str]]:
        items = self._items(batch)
        records = self.work(items) if items else []
        return {
            "input": [item.input.name for item in items],
            "output": ["" if "error" in r else str(r["output"]) for r in records],
            "error": [str(r.get("error", "")) for r in records],
        }

    def work(self, items: Sequence[Item]) -> list[Record]:
        """Makes the outputs, records them, and returns the records in order. Raises InputError if
        the net cannot be loaded or the manifest cannot be written."""
        begun = time.perf_counter()
        seconds = {"wait": begun - self._idle}
        if self.watch:
            self.watch.begin([item.output for item in items])
        made: dict[Item, Record] = {}
        for number in sorted({item.recipe for item in items}):
            job = _Recorded(self.recipes[number])
            self._apply(number, [item for item in items if item.recipe == number], job)
            made |= job.records
            for what, took in job.seconds.items():
                seconds[what] = seconds.get(what, 0) + took
        records = [made[item] for item in items]
        ended = time.perf_counter()
        each = round((ended - begun) / len(items), 4)
        name = f"{time.time_ns()}-{socket.gethostname()}-{os.getpid()}"
        places.write(
            manifest.part_name(self.out, name),
            manifest.lines({**record, "seconds": each} for record in records),
        )
        self._idle = time.perf_counter()
        if self.watch:
            seconds |= {"all": self._idle - begun, "record": self._idle - ended}
            failed = sum("error" in record for record in records)
            self.watch.end(len(records) - failed, failed, seconds)
        return records

    def _apply(self, number: int, items: Sequence[Item], job: _Recorded) -> None:
        recipe = self.recipes[number]
        if number not in self._nets:
            self._nets[number] = recipe.load()
        net = self._nets[number]
        with threads.pool(FETCHERS) as fetchers:
            pictures = [item for item in items if not films.is_film(item.input.name)]
            tasks = self._tasks(fetchers, recipe, pictures, job)
            process(tasks, recipe.how, net, job, batch_size=recipe.batch, alone=True)
        for item in items:
            if films.is_film(item.input.name):
                try:
                    self._film(recipe, net, item, job)
                except InputError as error:
                    job.fail(error, item)

    def _film(self, recipe: Recipe, net: Net, item: Item, job: _Recorded) -> None:
        target = places.join(self.out, item.output)
        with films.fetched(item.input.name) as path:
            if job.hashed(item, weights_file.sha256(path), path.stat().st_size) == item.known:
                job.keep(item, places.about([target])[0].size)
                return
            with films.put(target) as made:
                task = Task(path, item.input.name, made, key=item)
                job.timed("net", films_flow.process, [task], recipe.how, net, job)

    def _tasks(
        self, pool: ThreadPoolExecutor, recipe: Recipe, items: Sequence[Item], job: _Recorded
    ) -> Iterator[Task]:
        """Yields the items whose files can be read, with their bytes. Files are read ahead."""
        fetches = (
            (item, partial(job.timed, "fetch", places.read, item.input.name), item.input.size)
            for item in items
        )
        for item, fetching in ahead(pool, fetches, FETCHED):
            target = places.join(self.out, item.output)
            try:
                data = fetching.result()
            except InputError as error:
                job.fail(error, item)
                continue
            if job.read(item, data) == item.known:
                job.keep(item, places.about([target])[0].size)
                continue
            suffix = recipe.suffix or images.written_suffix(item.output)
            take = partial(_write, job, item, target, suffix)
            yield Task(data, item.input.name, Path(target), suffix, take, item)

    def _items(self, batch: Any) -> list[Item]:
        if not isinstance(batch, Mapping) and not hasattr(batch, "columns"):
            batch = {"input": list(batch)}
        names = [str(name) for name in batch["input"]]
        columns = [
            list(batch[name]) if name in batch else [default] * len(names)
            for name, default in _DEFAULTS.items()
        ]
        rows = zip(names, *columns, strict=True)
        return [
            Item(
                Entry(name, int(size), int(changed)),
                int(recipe),
                str(output) or named(name, self.recipes[int(recipe)]),
                str(known),
            )
            for name, output, recipe, size, changed, known in rows
        ]


def named(name: str, recipe: Recipe) -> str:
    """Returns the output name of an input that was not found below a folder: its whole name, and
    the net's."""
    ((found, _),) = inputs.listed([name])
    suffix = films.written_suffix(name) if films.is_film(name) else recipe.suffix
    return naming.name(Path(), found, recipe.label, suffix).as_posix()


def _write(job: _Recorded, item: Item, target: str, suffix: str, picture: images.Picture) -> None:
    how = job.recipe.how
    data = images.encode(picture, suffix, quality=how.quality, strip=how.strip)
    job.timed("write", places.write, target, data)
    job.keep(item, len(data))


class _Recorded(Job):
    """Makes a record for each item of a job."""

    def __init__(self, recipe: Recipe):
        super().__init__(0, flags=_UPSCALE if recipe.scale else _STYLIZE)
        self.recipe = recipe
        self.records: dict[Item, Record] = {}
        self._hashes: dict[Item, tuple[str, int]] = {}
        self._notes: dict[str, list[str]] = {}

    def read(self, item: Item, data: bytes) -> str:
        """Notes the bytes that were read of an input, and returns their hash."""
        return self.hashed(item, hashlib.sha256(data).hexdigest(), len(data))

    def hashed(self, item: Item, sha256: str, size: int) -> str:
        """Notes the hash of an input and its size, and returns the hash."""
        self._hashes[item] = sha256, size
        return sha256

    def note(self, name: str, notes: Iterable[str]) -> None:
        """Notes what reading left out of an input, for its record."""
        self._notes[name] = list(notes)

    def done(self, path: Path, key: Any = None) -> None:
        """Records a film that was written. `_write` has recorded a picture, which may lie in an
        object store."""
        if films.is_film(key.input.name):
            self.keep(key, path.stat().st_size)

    def damaged(self, line: str, key: Any = None) -> None:
        """Records why a film was written in part."""
        self._record(key, error=line)

    def keep(self, item: Item, size: int) -> None:
        """Records an output of `size` bytes."""
        self._record(item, bytes=size)

    def fail(self, error: InputError, key: Any = None) -> None:
        """Records why an input failed."""
        self._record(key, error=error.with_flags(self.flags or {}))

    def _record(self, item: Item, **more: Any) -> None:
        sha256, size = self._hashes.get(item, ("", item.input.size))
        if notes := self._notes.get(item.input.name):
            more["notes"] = notes
        known = Item(item.input._replace(size=size), item.recipe, item.output)
        self.records[item] = manifest.record(
            known, self.recipe.settings, self.recipe.digest, sha256, **more
        )
