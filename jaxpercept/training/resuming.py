"""Checks whether a run's directory can continue as this run: some settings and files must be the
same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jaxpercept import data
from jaxpercept.config import TrainConfig, to_dict, train_config_from_dict
from jaxpercept.config.options import fixed
from jaxpercept.errors import InputError, Name
from jaxpercept.training import directory
from jaxpercept.training.start import Start


def check(start: Start, about: dict[str, Any]) -> None:
    """Raises an InputError that names each setting that must not change but differs in the
    checkpoint's `about`. The contents of the style image, the loss network, the start and the
    training images also count; their paths do not."""
    config, now = start.config, start.hashes
    if not (isinstance(about["config"], dict) and isinstance(about["data"], dict)):
        raise TypeError("its metadata is damaged")
    old = train_config_from_dict(about["config"])
    then = dict(about.get("contents", now))
    if old.init is not None and "init" not in then:  # an earlier version compared its name
        then["init"] = now.get("init") if old.init == config.init else old.init
    before, after = _entries(old), _entries(config)
    if old.schedule == "cosine":
        before["steps"], after["steps"] = old.steps, config.steps
    names = {**before, **after, **then, **now}
    before, after = before | then, after | now
    differing = [name for name in names if before.get(name) != after.get(name)]
    changes: list[tuple[str, ...]] = [
        ("; ", Name(n), f": {_short(before.get(n))} → {_short(after.get(n))}") for n in differing
    ]
    if about["about_data"]["fingerprint"] != start.about_data["fingerprint"]:
        changes.append(("; ", f"images: {_other_images(start, about['about_data'])}"))
    if changes:
        goes_on = ", with --init to continue from its weights, since cosine ends at --steps"
        raise InputError(
            f"{config.out} holds a run with other settings (",
            *[part for change in changes for part in change][1:],
            f"); give another --out{goes_on if 'steps' in differing else ''}",
        )


def _entries(config: TrainConfig) -> dict[str, Any]:
    """Returns the settings that must stay the same, by name: those of the net, of the objective and
    its weights above 0 one by one."""
    whole = to_dict(config)
    kept = {name: whole[name] for name in fixed(config)}
    net, objective = kept.pop("net"), kept.pop("objective")
    weights = objective.pop("weights")
    kept |= {f"net.{name}": value for name, value in net.items()} | objective
    return kept | {f"weights.{name}": value for name, value in weights.items() if value}


def _other_images(start: Start, then: dict[str, Any]) -> str:
    """Returns how many of the training images changed, and the name of one."""
    count, before = start.about_data["count"], directory.images_of(Path(start.config.out))
    known = data.fingerprint(before) == then["fingerprint"]  # an earlier version wrote none
    old, new = _sizes(before), _sizes(start.source.identity())
    kinds = {
        "new": [name for name in new if name not in old],
        "gone": [name for name in old if name not in new],
        "of another size": [name for name in new if name in old and new[name] != old[name]],
    }
    if known and any(kinds.values()):
        return ", ".join(_counted(kind, names) for kind, names in kinds.items() if names)
    if count != then["count"]:
        return f"{then['count']} → {count}"
    return f"still {count}, but " + ("in another order" if known else "with other names or sizes")


def _counted(kind: str, names: Sequence[str]) -> str:
    return f"{len(names)} {kind} ({names[0]}{', …' if len(names) > 1 else ''})"


def _sizes(identity: Iterable[str]) -> dict[str, str]:
    return {name: size for name, _, size in (line.rpartition(" ") for line in identity)}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"
