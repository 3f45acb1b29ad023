"""Training of a transform net: the state, the step for one replica, and the loop (Johnson et al.
2016, section 4).

A run lives in one directory: `config.json`, `metrics.jsonl`, `checkpoints/`, `previews/`,
`model.safetensors`. The same call again resumes it, bit for bit on the same machine. Batches are
uint8; the step makes them [0, 1].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax
from jaxtyping import Float

from jaxpercept import data, images
from jaxpercept.config import TrainConfig, to_dict
from jaxpercept.errors import InputError
from jaxpercept.losses import objective
from jaxpercept.losses.terms import LossTerm
from jaxpercept.nets import multistyle, transform_net, vgg
from jaxpercept.runtime import compilation_cache, stopping
from jaxpercept.training import engines, processes
from jaxpercept.training.checkpoint import Checkpoints
from jaxpercept.training.optimizers import make_optimizer
from jaxpercept.training.run_files import RunFiles

Batch = dict[
    str, Array
]  # "target" (N, S, S, 3) uint8; for super-resolution "input"; for several styles "style" (N,)


class TrainState(NamedTuple):
    """All that a step changes."""

    step: Array
    params: transform_net.Variables
    stats: transform_net.Variables
    opt_state: Any


def init_state(config: TrainConfig) -> tuple[TrainState, dict[str, Any] | None]:
    """Fresh and None, or from `config.init`, a weights file or "FILE:STYLE", and its header.
    InputError: a file of another net, or of several styles where one is trained."""
    header, rows = None, list[int | None]()
    if config.net.styles:
        styles, rows = multistyle.plan(config.style_images, config.init, config.only_new)
        if len(styles) != config.net.styles:
            raise InputError(
                f"net.styles is {config.net.styles}, but these are {len(styles)}: "
                f"{', '.join(s.name for s in styles)}"
            )
    if config.init is None:
        params, stats = transform_net.init(config.net, config.seed)
    else:
        file, style = multistyle.split(config.init)
        net, params, stats, header = transform_net.load(file)
        if not rows and (style or net.styles):
            chosen, header = multistyle.one(file, style, header)
            net, params = (
                dataclasses.replace(net, styles=0),
                transform_net.single_style(net, params, chosen),
            )
        if rows:
            net = dataclasses.replace(net, styles=config.net.styles)
        bigger = transform_net.grown(net, params, config.net)
        params = params if bigger is None else bigger
        if net != config.net and bigger is None:
            raise InputError(
                f"--init {config.init} is another net ({net}) than this run's ({config.net})"
            )
        params = transform_net.restyle(config.net, params, rows) if rows else params
    opt_state = make_optimizer(config).init(learned(config, params))
    return TrainState(jnp.zeros((), jnp.int32), params, stats, opt_state), header


def learned(config: TrainConfig, params: transform_net.Variables) -> transform_net.Variables:
    """Those of the parameters that training changes; of the styles' rows, those of undrawn styles
    get no gradient."""
    return (
        {k: params[k] for k in transform_net.style_parameters(config.net)}
        if config.only_new
        else params
    )


def _of_styles(
    config: TrainConfig, style: Array, grams: objective.Grams, dtype: Any
) -> tuple[Float[Array, "n s"], objective.Grams]:
    """The net's `mix` and the Gram targets for each image; `style` (N,) counts those in training,
    the last rows."""
    first = config.net.styles - len(config.style_images)
    return jax.nn.one_hot(style + first, config.net.styles, dtype=dtype), {
        k: g[style] for k, g in grams.items()
    }


def _geometric(loss: Float[Array, " n"]) -> Array:
    """With the gradient of the mean logarithm: every image counts by the share it gains. Else
    styles whose losses are ten times those of others have shared weights to themselves, and busy
    photos those of one style."""
    return (loss / lax.stop_gradient(jnp.abs(loss) + jnp.finfo(loss.dtype).tiny)).mean()


def make_step(
    config: TrainConfig, terms: Sequence[LossTerm]
) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
    """`step(state, batch, vgg_params, style_grams) -> (state, metrics)` for one replica under
    `engines.AXIS`."""
    optimizer = make_optimizer(config)
    dtype = jnp.dtype(jnp.bfloat16) if config.precision == "bfloat16" else None
    geometric = config.average == "geometric" or (config.average is None and config.net.styles > 0)

    def step(
        state: TrainState, batch: Batch, vgg_params: vgg.Params, style_grams: objective.Grams
    ) -> tuple[TrainState, dict[str, Array]]:
        wide = jnp.result_type(*state.params.values())
        pictures = {
            name: value.astype(wide) / 255 for name, value in batch.items() if name != "style"
        }
        target, mix = pictures["target"], None
        if config.net.styles:
            mix, style_grams = _of_styles(config, batch["style"], style_grams, wide)

        def loss(some: transform_net.Variables) -> tuple[Array, Any]:
            params = {**state.params, **some}
            output, stats = transform_net.apply(
                config.net,
                params,
                state.stats,
                pictures.get("input", target),
                train=True,
                axis_name=engines.AXIS,
                dtype=dtype,
                mix=mix,
            )
            output = objective.projected(output) if config.clip else output
            values = objective.evaluate(
                terms,
                vgg_params,
                style_grams,
                output,
                target,
                convention=config.objective.losses,
                batch=config.batch_size,
                dtype=dtype,
            )
            means = {name: value.mean() for name, value in values.items()}
            return (_geometric(values["loss"]) if geometric else means["loss"]), (means, stats)

        some = learned(config, state.params)
        grads, (metrics, stats) = jax.grad(loss, has_aux=True)(some)
        grads, metrics = lax.pmean((grads, metrics), engines.AXIS)
        updates, opt_state = optimizer.update(grads, state.opt_state, some)
        params = {**state.params, **optax.apply_updates(some, updates)}
        return TrainState(state.step + 1, params, stats, opt_state), metrics

    return step


def train(
    config: TrainConfig,
    *,
    terms: Sequence[LossTerm] | None = None,
    on_log: Callable[[dict[str, float]], None] | None = None,
) -> Path:
    """Trains to `config.steps` and returns the weights file; resumes what `config.out` holds.
    `terms`: in place of the config's own. `on_log` gets every logged line, in process 0. Raises
    InputError for what the user got wrong or a full disk, FloatingPointError on a loss that is not
    finite. Ctrl-C, SIGTERM and SIGHUP end it after the step at hand, with a checkpoint."""
    with stopping.requests("stopping after this step, with a checkpoint") as stopped:
        return _train(config, terms, on_log, stopped)


def _train(
    config: TrainConfig,
    terms: Sequence[LossTerm] | None,
    on_log: Callable[[dict[str, float]], None] | None,
    stopped: list[int],
) -> Path:
    compilation_cache.enable()
    about_data = data.describe(config.data, config.exclude)
    processes.check_same(settings=to_dict(config), images=about_data["fingerprint"])
    terms = objective.make_terms(config.objective) if terms is None else terms
    engine = engines.make_engine(config.engine, config.batch_size)
    vgg_params = vgg.load_vgg16(config.vgg)
    grams = style_grams(config, terms, vgg_params)
    state, earlier = init_state(config)
    stream = make_stream(config)
    with (
        RunFiles(config, about_data, terms, earlier) as run,
        Checkpoints(run.folder / "checkpoints") as checkpoints,
        closing(stream),
    ):
        processes.check_same(checkpoints=checkpoints.steps)
        if restored := checkpoints.restore(state, run.check_resume):
            state, about = restored
            stream.set_state(about["data"])
            stream.problems.update(about.get("broken", {}))
            stream.too_small.update(about.get("too_small", ()))
        first = int(state.step)
        run.start(first, on_log)
        constants = [engine.replicate(tree) for tree in (vgg_params, grams)]
        state = engine.replicate(state)
        step = engine.compile(make_step(config, terms), len(constants))

        pending, stop = None, processes.AnyProcess()
        for number in range(first + 1, config.steps + 1):
            taken = run.waiting(next, stream)
            batch = taken if isinstance(taken, dict) else {"target": taken}
            if config.net.styles:
                part = jax.process_index(), jax.process_count()
                batch["style"] = multistyle.draw(
                    config.seed, number - 1, config.batch_size, len(config.style_images), part
                )
            state, metrics = step(state, {k: engine.shard(v) for k, v in batch.items()}, *constants)
            if pending is not None:
                run.log(
                    *pending
                )  # the step before: its numbers are there while the device works on this one
            pending = number, engine.unreplicate(metrics), batch
            last = stop(bool(stopped)) or number == config.steps
            saved = last or number % config.checkpoint_every == 0
            shown = last or number % config.preview_every == 0 or number == 1
            if saved or shown:  # nothing whose loss and parameters were not seen to be finite
                run.log(*pending)
                pending = None
                host = jax.tree.map(
                    np.asarray, engine.unreplicate(state)
                )  # a copy: the next step takes the buffers
                run.check_finite(number, host.params, batch)
                if saved:
                    checkpoints.save(
                        number,
                        host,
                        run.about(stream.get_state(), stream.problems, stream.too_small),
                    )
                if shown:
                    run.preview(number, host.params, host.stats)
            if last:
                break
        checkpoints.wait()
        final: TrainState = engine.unreplicate(state)
        return run.finish(
            int(final.step), final.params, final.stats, stream.problems, stream.too_small
        )


def make_stream(config: TrainConfig) -> data.Batches | data.Pairs:
    """This process's part of the training images, or of the pairs of super-resolution, endless,
    from the first."""
    processes = jax.process_count()
    choices: dict[str, Any] = {
        "batch_size": config.batch_size // processes,
        "image_size": config.image_size,
        "seed": config.seed,
        "workers": config.workers,
        "cache_bytes": None if config.cache_gib is None else int(config.cache_gib * 2**30),
        "shard": (jax.process_index(), processes),
        "exclude": config.exclude,
        "max_broken_share": config.max_broken,
    }
    if config.task == "superres":
        return data.make_pairs(
            config.data, scale=config.net.scale, degradation=config.degradation, **choices
        )
    return data.make_dataset(config.data, augment=config.augment, **choices)


def style_grams(
    config: TrainConfig, terms: Sequence[LossTerm], vgg_params: vgg.Params
) -> objective.Grams:
    """The Gram matrices at the style layers and those that the terms read, (1, C, C), or (styles, C,
    C) in the order of the style images; empty without any. InputError for terms that need others."""
    own = config.objective.style_layers
    layers = tuple(dict.fromkeys([*own, *(j for term in terms for j in term.style_grams)]))
    paths = config.style_images or ((config.style_image,) if config.style_image is not None else ())
    objective.check_terms(terms, layers if paths else ())
    found = [
        _targets(vgg_params, jnp.asarray(_style(path, config.style_size))[None], layers)
        for path in paths
    ]
    return {k: jnp.concatenate([grams[k] for grams in found]) for k in layers} if found else {}


_targets = jax.jit(objective.style_targets, static_argnums=2)


def _style(path: str, size: int) -> images.Float:
    style = images.load_image(path)
    if size:
        style = images.resize(style, size, "long")
    if min(style.shape[:2]) < 16:
        raise InputError(
            f"{path}: {style.shape[1]}x{style.shape[0]} is too small; at least 16 a side"
        )
    return style
