"""Logs a run: `metrics.jsonl` (one line per logged step, with every weighted term under its name),
a line on standard error, and TensorBoard events if tensorboardX is installed.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np

from jaxpercept import files
from jaxpercept.config import TrainConfig
from jaxpercept.runtime.console import Console
from jaxpercept.training import directory, finite, preview
from jaxpercept.training.runs import whole_lines

OnLog = Callable[[dict[str, float]], None]
_SILENCE = 10.0  # seconds after which a step is shown that is not logged


class Log:
    """The log of a run, used as a context manager. It continues after step `first` and drops what
    an interrupted run, which may have had other settings, logged and showed after that. `last`
    holds that step's values."""

    def __init__(
        self,
        config: TrainConfig,
        console: Console,
        first: int,
        last: Mapping[str, float],
        on_log: OnLog | None,
    ):
        self.config, self.folder, self.last = config, Path(config.out), dict(last)
        self._console, self._on_log = console, on_log
        self._clock = self._begun = self._said = time.monotonic()
        self._first = self._logged = first
        self._waited = 0.0
        self._lines: TextIO | None = None
        self._board: Any = None
        if directory.writes():
            self._lines, self._board = _lines_after(self.folder, first), _board(self.folder, first)
            preview.drop_after(self.folder, first)

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        for part in (self._lines, self._board):
            with contextlib.suppress(OSError):  # reported when it was written
                if part is not None:
                    part.close()

    def waiting(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Returns fn(*args) and counts its time as input wait."""
        begun = time.monotonic()
        result = fn(*args)
        self._waited += time.monotonic() - begun
        return result

    def compiling(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Says that fn compiles the step, and returns fn(*args). Rates count from its end."""
        self._console.say("compiling the training step", live=True)
        result = fn(*args)
        self._clock, self._waited = time.monotonic(), 0.0
        self._begun = self._clock
        return result

    def apart(self, fn: Callable[..., Any], *args: Any) -> None:
        """Calls fn(*args), whose time is no step's: the first preview waits for the compiler."""
        begun = time.monotonic()
        fn(*args)
        spent = time.monotonic() - begun
        self._clock, self._begun = self._clock + spent, self._begun + spent

    def steps(
        self, steps: Sequence[int], metrics: Mapping[str, Any], batch: Mapping[str, np.ndarray]
    ) -> None:
        """Logs each step of a call as `step` does. A metric holds one value per step, or a scalar
        if the call made one step."""
        found = {name: np.asarray(value).reshape(-1) for name, value in metrics.items()}
        for i, number in enumerate(steps):
            self.step(number, {name: values[i] for name, values in found.items()}, batch)

    def step(self, step: int, metrics: Mapping[str, Any], batch: Mapping[str, np.ndarray]) -> None:
        """Checks a step's metrics and, every `log_every` steps, writes and prints them. On a slow
        machine, steps between are printed too. Raises FloatingPointError if they are not finite."""
        values = {
            name: float(metrics[name]) for name in sorted(metrics, key=lambda name: name != "loss")
        }
        finite.check(self.folder, step, values, batch)
        self.last, now = values, time.monotonic()
        logged = step % self.config.log_every == 0 or step == self.config.steps
        if self._lines is None or not (logged or now - self._said >= _SILENCE):
            return
        line, self._said = self._measured(step, values, now), now
        if logged:
            self._write(step, line)
            self._clock, self._logged, self._waited = now, step, 0.0
        self._console.say(self._progress(line, values, now), live=True)

    def _write(self, step: int, line: dict[str, Any]) -> None:
        assert self._lines is not None
        with files.reported(self.folder / "metrics.jsonl", directory.RESUMES):
            self._lines.write(json.dumps(line) + "\n")
            self._lines.flush()
        if self._board is not None:
            for name, value in line.items():
                self._board.add_scalar(name, value, step)
        if self._on_log is not None:
            self._on_log(line)

    def preview(self, step: int, sheet: np.ndarray) -> None:
        """Writes an image (H, W, 3) to TensorBoard."""
        if self._board is not None:
            self._board.add_image("preview", sheet, step, dataformats="HWC")

    def _measured(self, step: int, values: dict[str, float], now: float) -> dict[str, Any]:
        seconds, steps, used = max(now - self._clock, 1e-9), step - self._logged, _device_mb()
        return {
            "step": step,
            **values,
            "images_per_s": round(steps * self.config.batch_size / seconds, 3),
            "ms_per_step": round(1000 * seconds / steps, 3),
            "input_wait": round(self._waited / seconds, 4),
            **({} if used is None else {"device_mb": used}),
        }

    def _progress(self, line: dict[str, Any], values: dict[str, float], now: float) -> str:
        step, steps = line["step"], self.config.steps
        left = (now - self._begun) / (step - self._first) * (steps - step)
        terms = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        memory = f"  {line['device_mb']} MB on the device" if "device_mb" in line else ""
        return (
            f"step {step}/{steps}  {terms}  {line['images_per_s']:.2f} images/s  "
            f"{line['ms_per_step']:.0f} ms/step  input wait {line['input_wait']:.0%}{memory}  "
            f"{_duration(left)} left"
        )


def _lines_after(folder: Path, step: int) -> TextIO:
    path = folder / "metrics.jsonl"
    kept = [line for line in whole_lines(path) if json.loads(line)["step"] <= step]
    with files.reported(folder, directory.RESUMES):
        files.write_text(path, "".join(line + "\n" for line in kept))
        return path.open("a")


def _board(folder: Path, step: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def _device_mb() -> int | None:
    """Returns the memory in use on the fullest local device, or None if the backend does not report
    it (CPU)."""
    used = [stats["bytes_in_use"] for d in jax.local_devices() if (stats := d.memory_stats())]
    return round(max(used) / 1e6) if used else None


def _duration(seconds: float) -> str:
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
