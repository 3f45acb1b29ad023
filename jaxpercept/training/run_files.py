"""What a training run leaves on disk and shows while it runs: one directory, one process at a time.

`config.json`, `metrics.jsonl` (one line a logged step, every term under its own name, each times
its weight), `previews/`, `model.safetensors`; TensorBoard events when tensorboardX is installed. In
a run of several processes only process 0 writes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxpercept import files, images
from jaxpercept.config import TrainConfig, to_dict
from jaxpercept.config.options import summary
from jaxpercept.errors import InputError
from jaxpercept.images import resampling, samples
from jaxpercept.inference.model import Model
from jaxpercept.losses.terms import LossTerm
from jaxpercept.nets import multistyle, transform_net, weights_file
from jaxpercept.training import resuming
from jaxpercept.training.runs import whole_lines


class RunFiles:
    """Use as a context manager; holds the run's lock, which the kernel releases with the
    process."""

    def __init__(
        self,
        config: TrainConfig,
        about_data: dict[str, Any],
        terms: Sequence[LossTerm],
        earlier: dict[str, Any] | None = None,
    ):
        self.config, self.folder, self._terms = config, Path(config.out), terms
        self._about_data, self._earlier = about_data, earlier or {}
        if config.style_images:
            self._styles, _ = multistyle.plan(config.style_images, config.init, config.only_new)
        self._contents = resuming.contents(
            config, terms, self._styles if config.style_images else []
        )
        self._writes = jax.process_index() == 0
        self._waited, self._live = 0.0, False
        self._last: dict[str, float] = {}

    def __enter__(self) -> RunFiles:
        if not self._writes:
            return self
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.folder / "lock", "a")
        except OSError as e:
            raise InputError(
                f"--out {self.folder}: cannot write there ({e.strerror}); give another directory"
            ) from e
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            self._lock.close()
            raise InputError(
                f"--out {self.folder}: another run is using it; give another directory"
            ) from e
        return self

    def __exit__(self, *_: Any) -> None:
        if self._live:
            print(file=sys.stderr)
        for name in ("_metrics", "_board", "_lock"):
            with contextlib.suppress(OSError):  # said when it was written
                if hasattr(self, name):
                    getattr(self, name).close()

    def check_resume(self, about: dict[str, Any]) -> None:
        """Raises InputError where the checkpoint that says `about` of itself is another run's: see
        `resuming`."""
        resuming.check(self.folder, self.config, self._about_data, self._contents, about)
        self._last = about.get("last", {})

    def start(self, step: int, on_log: Callable[[dict[str, float]], None] | None) -> None:
        """Opens the logs to continue after `step`: what an interrupted run logged beyond it is
        dropped."""
        self._on_log = on_log
        self._clock = self._begun = time.monotonic()
        self._first = self._logged = step
        if not self._writes:
            return
        path = self.folder / "metrics.jsonl"
        kept = [line for line in whole_lines(path) if json.loads(line)["step"] <= step]
        with files.reported(self.folder, _RESUMES):
            written = json.dumps(to_dict(self.config), indent=2) + "\n"
            files.write_text(self.folder / "config.json", written)
            files.write_text(path, "".join(line + "\n" for line in kept))
            self._metrics = path.open("a")
        try:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(self.folder), purge_step=step + 1)
        except ImportError:
            pass
        weights = ", ".join(f"{t.name} {t.weight:g}" for t in self._terms)
        c = self.config
        self.say(
            f"{self.folder}: {c.task}, net {c.net.preset}, losses {c.objective.losses} "
            f"({weights}), content at "
            f"{'+'.join(c.objective.content_layers)}, {self._about_data['count']} images, "
            f"{summary(c, c.task)}, {c.engine} on {jax.device_count()} "
            f"{jax.devices()[0].device_kind}, steps {step + 1} to {c.steps}"
            + (
                f", styles {', '.join(style.name for style in self._styles)}"
                if c.style_images
                else ""
            )
        )

    def waiting(self, fn: Callable[..., Any], *args: Any) -> Any:
        """fn(*args), its time counted as input wait."""
        begun = time.monotonic()
        result = fn(*args)
        self._waited += time.monotonic() - begun
        return result

    def log(self, step: int, metrics: dict[str, Any], batch: dict[str, np.ndarray]) -> None:
        """Checks a step's metrics and, every `log_every` steps, writes and shows them. FloatingPointError if not
        finite: then the batch is kept, `nonfinite_step_N.npz`."""
        values = {
            name: float(metrics[name]) for name in sorted(metrics, key=lambda name: name != "loss")
        }
        self.check_finite(step, values, batch)
        self._last = values
        if (step % self.config.log_every and step != self.config.steps) or not self._writes:
            return
        now = time.monotonic()
        seconds, steps = max(now - self._clock, 1e-9), step - self._logged
        rate, wait, used = (
            steps * self.config.batch_size / seconds,
            self._waited / seconds,
            _device_mb(),
        )
        line = {
            "step": step,
            **values,
            "images_per_s": round(rate, 3),
            "ms_per_step": round(1000 * seconds / steps, 3),
            "input_wait": round(wait, 4),
            **({} if used is None else {"device_mb": used}),
        }
        self._clock, self._logged, self._waited = now, step, 0.0
        with files.reported(self.folder / "metrics.jsonl", _RESUMES):
            self._metrics.write(json.dumps(line) + "\n")
            self._metrics.flush()
        if hasattr(self, "_board"):
            for name, value in line.items():
                self._board.add_scalar(name, value, step)
        if self._on_log is not None:
            self._on_log(line)
        left = (now - self._begun) / (step - self._first) * (self.config.steps - step)
        terms = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        memory = "" if used is None else f"  {used} MB on the device"
        self.say(
            f"step {step}/{self.config.steps}  {terms}  {rate:.2f} images/s  "
            f"{1000 * seconds / steps:.0f} ms/step  "
            f"input wait {wait:.0%}{memory}  {_duration(left)} left",
            live=True,
        )

    def check_finite(self, step: int, values: dict[str, Any], batch: dict[str, np.ndarray]) -> None:
        """FloatingPointError naming those of the arrays or numbers that are not finite, in every
        process; each keeps its part of the batch."""
        bad = [name for name, value in values.items() if not np.isfinite(value).all()]
        if not bad:
            return
        several = f"_process_{jax.process_index()}" if jax.process_count() > 1 else ""
        path = self.folder / f"nonfinite_step_{step}{several}.npz"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, **batch)  # type: ignore[arg-type]
            kept = f"its batch is in {path}"
        except OSError as e:
            kept = f"its batch could not be written ({e.strerror})"
        shown = f"{', '.join(bad[:4])}{f' and {len(bad) - 4} more' if len(bad) > 4 else ''}"
        raise FloatingPointError(
            f"step {step}: {shown} not finite; {kept}, the last checkpoint is good. Try a smaller "
            "--learning-rate or "
            "smaller weights"
        )

    def preview(
        self, step: int, params: transform_net.Variables, stats: transform_net.Variables
    ) -> None:
        """Writes `previews/STEP.jpg`: sample photos above, what the net makes of them (degraded
        first, and below their bicubic upsampling, in super-resolution) at the bottom, in a row for
        each style in training."""
        if not self._writes:
            return
        size, scale = self.config.image_size, self.config.net.scale
        size = size if scale == 1 else max(size, 288)
        photos = np.stack(
            [images.square(photo, size) for photo in list(samples.sample_photos().values())[:3]]
        )
        small = resampling.degrade(photos, scale, self.config.degradation) if scale > 1 else photos
        count = self.config.net.styles
        mixes = (
            np.eye(count, dtype=np.float32)[:, None][-len(self.config.style_images) :]
            if count
            else [None]
        )
        nets = [Model("preview", self.config.net, params, stats, {}, mix=mix) for mix in mixes]
        outputs = [np.asarray(net(small)) for net in nets]
        rows = [photos, *([resampling.upscale(small, scale)] if scale > 1 else []), *outputs]
        sheet = np.clip(np.concatenate([np.concatenate(list(row), 1) for row in rows], 0), 0, 1)
        images.save_image(self.folder / "previews" / f"{step:08d}.jpg", sheet)
        if hasattr(self, "_board"):
            self._board.add_image("preview", sheet, step, dataformats="HWC")

    def about(self, position: Any, broken: dict[str, str], too_small: set[str]) -> dict[str, Any]:
        """What a checkpoint keeps beside the state."""
        return {
            "config": to_dict(self.config),
            "data": position,
            "about_data": self._about_data,
            "contents": self._contents,
            "last": self._last,
            "broken": broken,
            "too_small": sorted(too_small),
        }

    def finish(
        self, step: int, params: Any, stats: Any, broken: dict[str, str], too_small: set[str]
    ) -> Path:
        """Writes `model.safetensors`, which `infer.py` takes, and says where. `broken`: images left
        out, and why; `too_small`: those smaller than the patch."""
        path = self.folder / "model.safetensors"
        if self._writes:
            earlier = self._earlier.get("training", {})
            c = self.config
            training = {
                "steps": step + earlier.get("steps", 0),
                "images": step * c.batch_size + earlier.get("images", 0),
                "config": {k: v for k, v in to_dict(c).items() if k not in ("out", "init")},
                "terms": self._contents["terms"],
                "data": {**self._about_data, "broken": len(broken), "too_small": len(too_small)},
                "last": self._last,
            }
            header: dict[str, Any] = {
                "kind": "transform_net",
                "task": c.task,
                "net": to_dict(c.net),
            }
            header["training"] = training
            if c.style_image is not None:
                header["style"] = {
                    "file": Path(c.style_image).name,
                    "sha256": weights_file.sha256(c.style_image),
                }
            if c.style_images:
                header["styles"] = [
                    dataclasses.asdict(style) for style in self._trained_styles(step)
                ]
            # what --only-new leaves alone stays as exact as it was, also in an imported net of
            # float32
            kept = weights_file.read_weights(c.init)[0].values() if c.only_new and c.init else ()
            dtype = np.result_type(np.float16, *(value.dtype for value in kept))
            transform_net.save(path, c.net, params, stats, header, dtype=dtype)
            ending = (
                f"{step} steps"
                if step >= c.steps
                else f"stopped at step {step}; the same command resumes"
            )
            if broken:
                ending += f"; {len(broken)} broken images left out, {next(iter(broken))} the first"
            if too_small:
                ending += f"; {len(too_small)} smaller than {c.image_size} pixels left out, such as {min(too_small)}"
            self.say(f"{ending}. Weights: {path}  previews: {self.folder / 'previews'}")
        return path

    def _trained_styles(self, step: int) -> list[multistyle.Style]:
        c, trained = self.config, len(self.config.style_images)
        counts = [0] * (c.net.styles - trained) + multistyle.drawn(
            c.seed, step, c.batch_size, trained
        )
        return [
            dataclasses.replace(
                style, images=style.images + n, steps=style.steps + round(n / c.batch_size)
            )
            for style, n in zip(self._styles, counts, strict=True)
        ]

    def say(self, line: str, *, live: bool = False) -> None:
        """Progress on standard error: `live` lines replace each other on a terminal."""
        if not self._writes or sys.stderr is None:
            return
        with contextlib.suppress(OSError, ValueError):  # closed, or the terminal has gone
            before, self._live = self._live, live and sys.stderr.isatty()
            start = "\r\x1b[K" if self._live else "\n" if before else ""
            print(start + line, end="" if self._live else "\n", file=sys.stderr, flush=True)


_RESUMES = "; the same command goes on from the last checkpoint"


def _device_mb() -> int | None:
    """Memory in use on the fullest device here; None where the backend does not say (CPU)."""
    used = [stats["bytes_in_use"] for d in jax.local_devices() if (stats := d.memory_stats())]
    return round(max(used) / 1e6) if used else None


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
