"""What a training run leaves on disk and shows while it runs: one directory, one process at a time.

`config.json`, `metrics.jsonl` (one line a logged step, every term under its own name, each times its weight),
`previews/`, `model.safetensors`; TensorBoard events when tensorboardX is installed. In a run of several processes only
process 0 writes.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxpercept import images, resampling, samples, transform_net, weights_file
from jaxpercept.config import TrainConfig, to_dict, train_config_from_dict
from jaxpercept.errors import InputError
from jaxpercept.terms import LossTerm

# Changing these on resume would be another run under the same name; the rest may change.
_FIXED = ("task", "net", "objective", "style_image", "style_size", "data", "batch_size", "image_size", "seed",
          "schedule", "learning_rate", "precision", "init", "degradation", "exclude")  # fmt: skip


class RunFiles:
    """Use as a context manager; holds the run's lock, which the kernel releases with the process."""

    def __init__(self, config: TrainConfig, about_data: dict[str, Any], earlier: dict[str, Any] | None = None):
        self.config, self.folder = config, Path(config.out)
        self._about_data, self._earlier = about_data, earlier or {}
        self._writes = jax.process_index() == 0
        self._waited = 0.0
        self._last: dict[str, float] = {}

    def __enter__(self) -> RunFiles:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.folder / "lock", "a")
        except OSError as e:
            raise InputError(f"--out {self.folder}: cannot write there ({e.strerror}); give another directory") from e
        if self._writes:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as e:
                self._lock.close()
                raise InputError(f"--out {self.folder}: another run is using it; give another directory") from e
        return self

    def __exit__(self, *_: Any) -> None:
        for name in ("_metrics", "_board", "_lock"):
            if hasattr(self, name):
                getattr(self, name).close()

    def check_resume(self, about: dict[str, Any] | None) -> None:
        """Raises InputError naming each setting that the checkpoint has otherwise and that must not change."""
        if about is None:
            return
        old = train_config_from_dict(about["config"])
        differing = [name for name in _FIXED if getattr(old, name) != getattr(self.config, name)]
        if about["about_data"]["fingerprint"] != self._about_data["fingerprint"]:
            differing.append("images")
        if differing:
            before, after = to_dict(old), to_dict(self.config)
            changes = "; ".join(f"{n}: {_short(before.get(n))} → {_short(after.get(n))}" for n in differing)
            raise InputError(f"{self.folder} holds a run with other settings ({changes}); give another --out")

    def start(self, step: int, terms: Sequence[LossTerm], on_log: Callable[[dict[str, float]], None] | None) -> None:
        """Opens the logs to continue after `step`: what an interrupted run logged beyond it is dropped."""
        self._on_log = on_log
        self._clock = self._begun = time.monotonic()
        self._first = self._logged = step
        if not self._writes:
            return
        _write(self.folder / "config.json", json.dumps(to_dict(self.config), indent=2) + "\n")
        path = self.folder / "metrics.jsonl"
        kept = [line for line in _lines(path) if json.loads(line)["step"] <= step]
        _write(path, "".join(line + "\n" for line in kept))
        self._metrics = path.open("a")
        try:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(self.folder), purge_step=step + 1)
        except ImportError:
            pass
        weights = ", ".join(f"{t.name} {t.weight:g}" for t in terms)
        c = self.config
        self.say(
            f"{self.folder}: {c.task}, net {c.net.preset}, losses {c.objective.losses} ({weights}), content at "
            f"{'+'.join(c.objective.content_layers)}, {self._about_data['count']} images, batch {c.batch_size} at "
            f"{c.image_size}x{c.image_size}, {c.engine} on {jax.device_count()} {jax.devices()[0].device_kind}, "
            f"{c.precision}, steps {step + 1} to {c.steps}"
        )

    def waiting(self, fn: Callable[..., Any], *args: Any) -> Any:
        """fn(*args), its time counted as input wait."""
        begun = time.monotonic()
        result = fn(*args)
        self._waited += time.monotonic() - begun
        return result

    def log(self, step: int, metrics: dict[str, Any]) -> None:
        """Checks a step's metrics and, every `log_every` steps, writes and shows them. FloatingPointError if not
        finite."""
        values = {name: float(metrics[name]) for name in sorted(metrics, key=lambda name: name != "loss")}
        if bad := [name for name, value in values.items() if not math.isfinite(value)]:
            raise FloatingPointError(
                f"step {step}: {', '.join(bad)} is not finite ({values}); the last checkpoint in {self.folder} is "
                "good. Try a smaller --learning-rate or smaller weights"
            )
        self._last = values
        if (step % self.config.log_every and step != self.config.steps) or not self._writes:
            return
        now = time.monotonic()
        seconds, steps = max(now - self._clock, 1e-9), step - self._logged
        rate = steps * self.config.batch_size / seconds
        line = {"step": step, **values, "images_per_s": round(rate, 3), "input_wait": round(self._waited / seconds, 4)}
        self._clock, self._logged, self._waited = now, step, 0.0
        self._metrics.write(json.dumps(line) + "\n")
        self._metrics.flush()
        if hasattr(self, "_board"):
            for name, value in line.items():
                self._board.add_scalar(name, value, step)
        if self._on_log is not None:
            self._on_log(line)
        left = (now - self._begun) / (step - self._first) * (self.config.steps - step)
        terms = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        self.say(f"step {step}/{self.config.steps}  {terms}  {rate:.2f} images/s  {_duration(left)} left", live=True)

    def preview(self, step: int, params: transform_net.Variables, stats: transform_net.Variables) -> None:
        """Writes `previews/STEP.jpg`: sample photos above, what the net makes of them (degraded first, and below their
        bicubic upsampling, in super-resolution) at the bottom."""
        if not self._writes:
            return
        size, scale = self.config.image_size, self.config.net.scale
        size = size if scale == 1 else max(size, 288)
        photos = np.stack([images.square(photo, size) for photo in list(samples.sample_photos().values())[:3]])
        small = resampling.degrade(photos, scale, self.config.degradation) if scale > 1 else photos
        outputs = np.asarray(_preview_fn(self.config)(params, stats, jnp.asarray(small)))
        rows = [photos, *([resampling.upscale(small, scale)] if scale > 1 else []), outputs]
        sheet = np.clip(np.concatenate([np.concatenate(list(row), 1) for row in rows], 0), 0, 1)
        images.save_image(self.folder / "previews" / f"{step:08d}.jpg", sheet)
        if hasattr(self, "_board"):
            self._board.add_image("preview", sheet, step, dataformats="HWC")

    def about(self, position: Any) -> dict[str, Any]:
        """What a checkpoint keeps beside the state."""
        return {"config": to_dict(self.config), "data": position, "about_data": self._about_data}

    def finish(self, step: int, params: Any, stats: Any, *, stopped: bool) -> Path:
        """Writes `model.safetensors`, which `infer.py` takes, and says where."""
        path = self.folder / "model.safetensors"
        if self._writes:
            earlier = self._earlier.get("training", {})
            c = self.config
            training = {
                "steps": step + earlier.get("steps", 0),
                "images": step * c.batch_size + earlier.get("images", 0),
                "config": {k: v for k, v in to_dict(c).items() if k not in ("out", "init")},
                "data": self._about_data,
                "last": self._last,
            }
            header = {"kind": "transform_net", "task": c.task, "net": to_dict(c.net), "training": training}
            if c.style_image is not None:
                header["style"] = {"file": Path(c.style_image).name, "sha256": weights_file.sha256(c.style_image)}
            transform_net.save(path, c.net, params, stats, header)
            ending = f"stopped at step {step}; the same command resumes" if stopped else f"{step} steps"
            self.say(f"{ending}. Weights: {path}  previews: {self.folder / 'previews'}")
        return path

    def say(self, line: str, *, live: bool = False) -> None:
        """Progress on standard error: `live` lines replace each other on a terminal."""
        if self._writes:
            replace = live and sys.stderr.isatty()
            print(("\r\x1b[K" if replace else "") + line, end="" if replace else "\n", file=sys.stderr, flush=True)


def _preview_fn(config: TrainConfig) -> Any:
    return jax.jit(lambda params, stats, x: transform_net.apply(config.net, params, stats, x)[0])


def _lines(path: Path) -> list[str]:
    """The whole lines of a file that a killed process may have left with a broken last one."""
    if not path.exists():
        return []
    return [line for line in path.read_text().splitlines(keepends=False) if line.endswith("}")]


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(path)


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"
