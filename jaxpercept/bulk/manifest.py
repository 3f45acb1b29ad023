"""Records what a bulk job has done, and thus what it has still to do.

The output is the proof. The folder `_bulk` beside the outputs holds one record for each input: JSON
lines, in `manifest/`, one file per task, written after the task's outputs. An output counts if it
exists in its recorded size, and if its record names the same input, unchanged, and the same
settings. A kill at any moment therefore loses nothing and leaves nothing half written. An output
without a record is made again, with the same result.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jaxpercept.bulk import places
from jaxpercept.bulk.places import Entry
from jaxpercept.errors import InputError

FOLDER = "_bulk"
_PARTS = f"{FOLDER}/manifest"
Record = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """One output to make: its input (a name, its size and time), the job's recipe for it, and its
    own name below the output folder. `known` is the hash of the input that an existing output was
    made from, if only the input's time has changed."""

    input: Entry
    recipe: int
    output: str
    known: str = ""


def packed(items: Sequence[Item]) -> str:
    """Returns items as ASCII text, whatever bytes their names hold. `unpacked` reads it."""
    return json.dumps([[item.input, item.recipe, item.output, item.known] for item in items])


def unpacked(text: str) -> list[Item]:
    """Returns the items that `packed` wrote."""
    return [Item(Entry(*entry), *rest) for entry, *rest in json.loads(text)]


@dataclass
class Manifest:
    """The records of an output folder, the newest for each output."""

    out: str
    records: dict[str, Record] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def refresh(self) -> list[Record]:
        """Reads the new parts and returns their records."""
        new: list[Record] = []
        gone = True
        while gone:  # another job made one part of several, which has their records
            gone = False
            for entry in places.listing(places.join(self.out, _PARTS)):
                if entry.name not in self._seen and places.bare(entry.name).endswith(".jsonl"):
                    self._seen.add(entry.name)
                    try:
                        new += _parsed(places.read(entry.name, "a manifest"), entry.name)
                    except InputError as error:
                        if not isinstance(error.__cause__, FileNotFoundError):
                            raise
                        gone = True
        for record in sorted(new, key=lambda r: r.get("time", 0)):
            self.records[record["output"]] = record
        return new

    def compact(self, name: str) -> None:
        """Writes all records as one part and removes the others. A kill in between leaves both,
        which say the same."""
        one = part_name(self.out, name)
        if self._seen - {one}:
            places.write(one, lines(self.records.values()))
            for part in self._seen - {one}:
                places.remove(part)
            self._seen = {one}


def plan(
    items: Iterable[Item],
    records: Mapping[str, Record],
    outputs: Mapping[str, int],
    settings: Sequence[str],
    *,
    skip_existing: bool = False,
) -> Iterator[Item]:
    """Yields the `items` that have still to be done. `settings` holds those of each recipe. With
    `skip_existing`, every existing output counts as done, whoever wrote it."""
    for item in items:
        record = records.get(item.output, {})
        there = outputs.get(item.output)
        if skip_existing and there is not None:
            continue
        same = (
            there is not None
            and "error" not in record
            and record.get("bytes") == there
            and record.get("input") == item.input.name
            and record.get("settings") == settings[item.recipe]
        )
        unknown = item.input.size < 0  # listed objects: only reading tells their size
        if not same or not (unknown or record["size"] == item.input.size):
            yield item
        elif unknown or record["changed"] != item.input.changed:
            yield Item(item.input, item.recipe, item.output, known=record["sha256"])


def record(item: Item, settings: str, digest: str, sha256: str, **more: Any) -> Record:
    """Returns the record of an output, or of an input that failed (`error`)."""
    made = {
        "input": item.input.name,
        "size": item.input.size,
        "changed": item.input.changed,
        "sha256": sha256,
        "output": item.output,
        "settings": settings,
        "net": digest,
        "time": round(time.time(), 3),
    }
    return {**made, **more}


def part_name(out: str, name: str) -> str:
    """Returns the name of the file with a task's records."""
    return places.join(out, f"{_PARTS}/{name}.jsonl")


def lines(records: Iterable[Record]) -> bytes:
    """Returns records as JSON lines."""
    made = (json.dumps(record, ensure_ascii=False, sort_keys=True) for record in records)
    return "".join(f"{line}\n" for line in made).encode("utf-8", "surrogateescape")


def _parsed(data: bytes, name: str) -> list[Record]:
    try:
        text = data.decode("utf-8", "surrogateescape")
        records = [json.loads(line) for line in text.split("\n") if line]
        if not all(isinstance(record["output"], str) for record in records):
            raise TypeError("an output is no name")
        return records
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(
            f"{name}: is not part of a manifest ({error}); remove it, and its inputs are done again"
        ) from error
