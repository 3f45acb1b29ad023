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
    config, now = start.config, dict(start.hashes)
    if not (isinstance(about["config"], dict) and isinstance(about["data"], dict)):
        raise TypeError("its metadata is damaged")
    old = train_config_from_dict(about["config"])
    then = dict(about.get("contents", now))
    if old.init is not None and "init" not in then:  # an earlier version compared its name
        then["init"] = now.get("init") if old.init == config.init else old.init
    if "terms" not in then:  # an earlier version compared the config's weights alone
        del now["terms"]
    before, after = _entries(old, then), _entries(config, now)
    if old.schedule == "cosine":
        before["steps"], after["steps"] = old.steps, config.steps
    differing = [name for name in before | after if before.get(name) != after.get(name)]
    files, new_files = _files(old), _files(config)
    changes: list[tuple[str, ...]] = []
    for name in differing:
        was, is_now = before.get(name), after.get(name)
        if name == "styles" and was and is_now:
            changed = _other_files(*(" ".join(s["file"] for s in all) for all in (was, is_now)))
        elif name in files:
            changed = _other_files(was and files[name], is_now and new_files[name])
        else:
            changed = f"{_short(was)} → {_short(is_now)}"
        changes.append(("; ", Name(name), f": {changed}"))
    if about["about_data"]["fingerprint"] != start.about_data["fingerprint"]:
        changes.append(("; ", f"images: {_other_images(start, about['about_data'])}"))
    if changes:
        goes_on = ", with --init to continue from its weights, since cosine ends at --steps"
        raise InputError(
            f"{config.out} holds a run with other settings (",
            *[part for change in changes for part in change][1:],
            f"); give another --out{goes_on if 'steps' in differing else ''}",
        )


def _files(config: TrainConfig) -> dict[str, str | None]:
    """Returns the files whose contents are compared, by the names of `Start.hashes`."""
    return {
        "style image": (*config.style_images, None)[0],
        "init": config.init,
        "teacher": config.teacher,
        "loss network": config.vgg or "the shipped one",
    }


def _entries(config: TrainConfig, contents: dict[str, Any]) -> dict[str, Any]:
    """Returns what must stay the same, by name: the settings, those of the net and of the objective
    one by one, and the contents of files. The weights are those of the terms, which may be the
    caller's own; a weight of 0 is no term."""
    whole = to_dict(config)
    kept = {name: whole[name] for name in fixed(config)}
    net, objective = kept.pop("net"), kept.pop("objective")
    weights = objective.pop("weights")
    weights = contents.get("terms", weights)
    kept |= {f"net.{name}": value for name, value in net.items()} | objective
    kept |= {f"weights.{name}": value for name, value in weights.items() if value}
    return kept | {name: value for name, value in contents.items() if name != "terms"}


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


def _other_files(before: str | None, after: str | None) -> str:
    """Returns the names of files whose contents differ, which say more than hashes."""
    return f"other contents in {after}" if before == after else f"{before} → {after}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"
