"""The training loop (Johnson et al. 2016, section 4).

A run lives in one directory, see `directory`. The same call again resumes it, bit for bit on the
same machine.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxpercept import data, images
from jaxpercept.config import TrainConfig, to_dict
from jaxpercept.losses.terms import LossTerm
from jaxpercept.runtime import allocator, compilation_cache, stopping
from jaxpercept.runtime.console import Console
from jaxpercept.training import (
    directory,
    finite,
    preview,
    processes,
    resident,
    result,
    resuming,
    run_page,
    style_plan,
    views,
)
from jaxpercept.training.checkpoint import Checkpoints
from jaxpercept.training.log import Log, OnLog
from jaxpercept.training.start import Start, prepare, style_targets
from jaxpercept.training.step import TrainState, make_step


def train(
    config: TrainConfig,
    *,
    terms: Sequence[LossTerm] | None = None,
    on_log: OnLog | None = None,
) -> Path:
    """Trains to `config.steps` and returns the weights file. A run in `config.out` is resumed.
    `terms` replace the config's own. `on_log` gets every logged line, in process 0. Raises
    InputError for a user's mistake or a full disk, and FloatingPointError for a loss that is not
    finite. Ctrl-C, SIGTERM and SIGHUP end it after the current step, with a checkpoint, or at once
    while it waits for its first batch."""
    return _run(config, terms, on_log)[0]


def train_whole(
    config: TrainConfig,
    terms: Sequence[LossTerm] | None = None,
    ranges: views.Ranges = views.USUAL,
) -> Path:
    """Trains as `train` does, for a caller that goes on with the net. `ranges` are those of second
    views. Raises `stopping.Interrupted` if the training was stopped; the same call resumes it."""
    path, steps, signals = _run(config, terms, None, ranges)
    if steps < config.steps:
        raise stopping.Interrupted(next(iter(signals), signal.SIGINT))  # none: another process's
    return path


def _run(
    config: TrainConfig,
    terms: Sequence[LossTerm] | None,
    on_log: OnLog | None,
    ranges: views.Ranges = views.USUAL,
) -> tuple[Path, int, Sequence[int]]:
    """Returns the weights file, the step that the run has reached, and the signals that came."""
    with stopping.requests("stopping after this step, with a checkpoint") as stopped:
        compilation_cache.enable()
        start, folder = prepare(config, terms, ranges), Path(config.out)
        config = start.config
        with (
            closing(make_stream(config, start.source)) as stream,  # refuses before a file is made
            directory.locked(folder),
            Checkpoints(folder / "checkpoints") as checkpoints,
            Console(directory.writes()) as console,
        ):
            processes.check_same(checkpoints=checkpoints.steps)
            state, last = _resumed(start, checkpoints, stream)
            if not int(state.step):
                result.check_free(folder)
            if state.step > config.steps:  # its files tell of more steps
                console.say(
                    f"{config.out}: had already finished at step {state.step}, beyond step "
                    f"{config.steps}; nothing is left to do"
                )
                return folder / result.FILE, int(state.step), stopped
            if directory.writes():
                directory.describe(folder, config, start.source.identity())
            with Log(config, console, int(state.step), last, on_log) as log:
                if state.step < config.steps:
                    console.say(start.in_words(int(state.step)))
                final = _steps(start, state, stream, checkpoints, log, stopped)
                if directory.writes():
                    path = result.write(start, final, log.last, stream)
                    said = result.in_words(start, int(state.step), int(final.step), stream)
                    console.say(f"{said}. Weights: {path}  page: {run_page.at_end(folder)}")
                return folder / result.FILE, int(final.step), stopped


def _steps(
    start: Start,
    state: TrainState,
    stream: data.Batches,
    checkpoints: Checkpoints,
    log: Log,
    stopped: stopping.Requests,
) -> TrainState:
    """Runs the steps and returns the last state. It logs the previous step, whose numbers are ready
    while the device works on the current one. A state is saved or shown only after its loss and
    parameters were seen to be finite."""
    config, engine = start.config, start.engine
    step = make_step(config, start.terms, start.teacher, start.ranges)
    constants = [engine.replicate(tree) for tree in (start.vgg_params, start.grams)]
    if isinstance(stream.load, data.Pick) and state.step < config.steps:
        photos = stream.load.pack()
        resident.check_room(photos, engine.devices)
        constants, step = [*constants, engine.replicate(photos)], resident.make_steps(config, step)
    jitted, first, state = (
        engine.compile(step, len(constants)),
        int(state.step),
        engine.replicate(state),
    )
    program, pending, stop = None, None, processes.AnyProcess()
    trimmer = allocator.Trimmer()
    for part in resident.calls(first, config):
        batch, number = log.waiting(next_batches, stream, config, part), part[-1]
        stopped.begin()
        arguments = {k: engine.shard(v) for k, v in batch.items()}, *constants
        if program is None:
            program = log.compiling(compiled, jitted, state, *arguments)
        state, metrics = program(state, *arguments)
        if pending is not None:
            log.steps(*pending)
        pending = part, engine.unreplicate(metrics), batch
        last = stop(bool(stopped)) or number == config.steps
        saved = last or number % config.checkpoint_every == 0
        shown = last or number % config.preview_every == 0 or number == 1
        if saved or shown:
            log.steps(*pending)
            pending = None
            # Copies, since the next step takes the buffers.
            host = jax.tree.map(np.asarray, engine.unreplicate(state))
            finite.check(log.folder, number, host.params, batch)
            if saved:
                checkpoints.save(number, host, _about(start, stream, log.last))
            if shown and directory.writes():
                log.apart(_show, config, number, host, log)
        if last:
            break
        trimmer.step()
    checkpoints.wait()
    return engine.unreplicate(state)


def compiled(step: Any, *arguments: Any) -> Any:
    """Compiles the step for these arguments. Gives free memory back before and after: the compiler
    takes half a gigabyte, and the step's scratch comes on top of what is kept."""
    style_targets.clear_cache()
    allocator.release()
    program = step.lower(*arguments).compile()
    allocator.release()
    return program


def next_batches(stream: data.Batches, config: TrainConfig, steps: range) -> dict[str, Any]:
    """Returns the batch of one call of the program, which makes these steps."""
    batches = [next_batch(stream, config, number) for number in steps]
    return (
        resident.stacked(batches, resident.per_call(config))
        if config.cache == "device"
        else batches[0]
    )


def next_batch(stream: data.Batches, config: TrainConfig, number: int) -> dict[str, Any]:
    """Returns the batch of a step, counted from 1, as `step.Batch`."""
    batch = next(stream)
    if config.trained_rows:
        part = jax.process_index(), jax.process_count()
        batch["style"] = style_plan.draw(
            config.seed, number - 1, config.batch_size, len(config.trained_rows), part
        )
    return batch


def make_stream(config: TrainConfig, source: data.Source | None = None) -> data.Batches:
    """Returns this process's part of the training images or super-resolution pairs, endless, from
    the first. `source` holds the config's images, if they were opened already."""
    count = jax.process_count()
    if source is None:
        source = data.open_sources(config.data, config.exclude, own=config.out)
    choices: dict[str, Any] = {
        "batch_size": config.batch_size // count,
        "image_size": config.image_size,
        "seed": config.seed,
        "workers": config.workers,
        "cache_bytes": None if config.cache_gib is None else int(config.cache_gib * 2**30),
        "shard": (jax.process_index(), count),
        "max_broken_share": config.max_broken,
    }
    if config.task == "superres":
        scale, degradation = config.net.scale, config.degradation
        return data.make_pairs(source, scale=scale, degradation=degradation, **choices)
    if config.cache == "device":
        choices |= {"kind": data.Pick, "workers": 0, "threads": 2}
    return data.make_dataset(source, augment=config.augment, **choices)


def _resumed(
    start: Start, checkpoints: Checkpoints, stream: data.Batches
) -> tuple[TrainState, dict[str, float]]:
    """Returns the state to continue from, and the values of its last step. Raises InputError if the
    directory holds another run."""
    restored = checkpoints.restore(start.state, lambda about: resuming.check(start, about))
    if restored is None:
        return start.state, {}
    state, about = restored
    stream.set_state(about["data"])
    return state, about.get("last", {})


def _about(start: Start, stream: data.Batches, last: dict[str, float]) -> dict[str, Any]:
    """Returns what a checkpoint keeps besides the state."""
    return {
        "config": to_dict(start.config),
        "data": stream.get_state(),
        "about_data": start.about_data,
        "contents": start.hashes,
        "last": last,
    }


def _show(config: TrainConfig, step: int, state: TrainState, log: Log) -> None:
    sheet = preview.sheet(config, state.params, state.stats)
    images.save_image(preview.path(log.folder, step), sheet)
    log.preview(step, sheet)
