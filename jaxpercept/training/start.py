"""Prepares a run once. `prepare(config)` reads every file that the config names, and nothing is
read again. A file may therefore change or vanish during the run, and the run's header still
describes the one that it was trained with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxpercept import data, images
from jaxpercept.config import TrainConfig, to_dict
from jaxpercept.config.net import apart
from jaxpercept.config.options import summary
from jaxpercept.errors import InputError, counted
from jaxpercept.inference.model import Model, load_model
from jaxpercept.losses import objective
from jaxpercept.losses.terms import LossTerm
from jaxpercept.nets import multistyle, net_file, surgery, transform_net, vgg, weights_file
from jaxpercept.training import engines, processes, resident, style_plan, views
from jaxpercept.training.optimizers import make_optimizer
from jaxpercept.training.step import TrainState, learned


@dataclass(frozen=True)
class Start:
    """A run before its first step.

    about_data: see `data.describe`.
    styles: the styles that the net will hold, by row, with their earlier training; empty except in
    multistyle.
    hashes: the contents of files that the config only names. Checkpoints keep them for comparison
    on resuming.
    earlier: the header of `config.init`.
    teacher: the net whose pictures are the targets, or None if they are the photos.
    ranges: how far second views may differ from their photos.
    dtype: the type of the weights file to write."""

    config: TrainConfig
    terms: tuple[LossTerm, ...]
    engine: engines.Engine
    source: data.Source
    about_data: dict[str, Any]
    styles: tuple[multistyle.Style, ...]
    hashes: dict[str, Any]
    vgg_params: vgg.Params
    grams: objective.Grams
    state: TrainState
    earlier: dict[str, Any]
    teacher: Model | None
    ranges: views.Ranges
    dtype: Any

    def in_words(self, step: int) -> str:
        """Returns the run's first line, when it goes on from `step`."""
        c = self.config
        weights = ", ".join(f"{t.name} {t.weight:g}" for t in self.terms)
        reads = any(term.name == "content" for term in self.terms)
        content = f", content at {'+'.join(c.objective.content_layers)}" if reads else ""
        nets = "".join(
            f", {name} {file}" for name in ("init", "teacher", "vgg") if (file := getattr(c, name))
        )
        styles = f", styles {', '.join(style.name for style in self.styles)}" if self.styles else ""
        return (
            f"{c.out}: {c.task}, net {c.net.preset}, losses {c.objective.losses} ({weights})"
            f"{content}{nets}, {counted(self.about_data['count'], 'image')}, "
            f"{summary(c, c.task)}, {c.engine} on {jax.device_count()} "
            f"{jax.devices()[0].device_kind}, steps {step + 1} to {c.steps}{styles}"
        )


def prepare(
    config: TrainConfig,
    terms: Sequence[LossTerm] | None = None,
    ranges: views.Ranges = views.USUAL,
) -> Start:
    """Reads and checks everything that the run needs. `terms` replace the config's own. Raises
    InputError for what is missing or does not fit, before anything is written."""
    styles, rows = plan(config)
    pictures = [_picture(path, config.style_size) for path in config.style_images]
    hashes = _hashes(config, styles)
    source = data.open_sources(config.data, config.exclude, own=config.out)
    about_data = data.describe(config.data, opened=source)
    engine = engines.make_engine(config.engine, config.batch_size)
    cache = resident.choose_cache(config, about_data["count"], engine.devices)
    config = dataclasses.replace(config, cache=cache)
    processes.check_same(settings=to_dict(config), images=about_data["fingerprint"])
    state, earlier = init_state(config, rows)
    dtype = _dtype(config)
    vgg_params = vgg.load_vgg16(config.vgg)
    chosen = objective.chosen(config.objective, terms)
    if any(term.features for term in chosen):
        hashes["loss network"] = weights_file.sha256(vgg.source(config.vgg))
    grams = gram_targets(config, chosen, vgg_params, pictures)
    if terms is not None:
        side = config.image_size
        objective.try_terms(
            chosen,
            vgg_params,
            grams,
            (side, side),
            convention=config.objective.losses,
            two_views=any(term.second_view for term in chosen),
        )
    hashes["terms"] = {term.name: term.weight for term in chosen}
    return Start(
        config=config,
        terms=chosen,
        engine=engine,
        source=source,
        about_data=about_data,
        styles=tuple(styles),
        hashes=hashes,
        vgg_params=objective.prepared(chosen, vgg_params),
        grams=grams,
        state=state,
        earlier=earlier or {},
        teacher=_teacher(config),
        ranges=ranges,
        dtype=dtype,
    )


def plan(config: TrainConfig) -> tuple[list[multistyle.Style], list[int | None]]:
    """Returns `style_plan.plan` of the config, which is empty except in multistyle. Raises
    InputError if the net holds another number of styles."""
    if config.task != "multistyle":
        return [], []
    styles, rows = style_plan.plan(config.style_images, config.init, config.only_new)
    if len(styles) != config.net.styles:
        raise InputError(
            f"net.styles is {config.net.styles}, but these are {len(styles)}: "
            f"{', '.join(s.name for s in styles)}"
        )
    return styles, rows


def init_state(
    config: TrainConfig, rows: Sequence[int | None] | None = None
) -> tuple[TrainState, dict[str, Any] | None]:
    """Returns a fresh state and None, or the state and the header of `config.init`: a weights
    file, a shipped name, or "FILE:STYLE". `rows` is the result of `plan`, if it was called already.
    Raises InputError for a file of another net, or one of several styles if one style is
    trained."""
    rows = plan(config)[1] if rows is None else rows
    header = None
    if config.init is None:
        params, stats = transform_net.init(config.net, config.seed)
    else:
        file, path, style = multistyle.find(config.init, _kind(config))
        net, params, stats, header = net_file.load(path)
        if not rows and (style or net.styles):
            chosen, header = multistyle.one(file, style, header)
            net, params = (
                dataclasses.replace(net, styles=0),
                surgery.single_style(net, params, chosen),
            )
        if rows:
            net = dataclasses.replace(net, styles=config.net.styles)
        bigger = surgery.grown(net, params, config.net)
        params = params if bigger is None else bigger
        if net != config.net and bigger is None:
            raise InputError(
                f"--init {config.init} is another net than this run's: {apart(net, config.net)}; "
                "give another --init, or choose its net with --preset and --width"
            )
        params = surgery.restyle(config.net, params, rows) if rows else params
    opt_state = make_optimizer(config).init(learned(config, params))
    return TrainState(jnp.zeros((), jnp.int32), params, stats, opt_state), header


def gram_targets(
    config: TrainConfig,
    terms: Sequence[LossTerm],
    vgg_params: vgg.Params,
    pictures: Sequence[images.Float] | None = None,
) -> objective.Grams:
    """Returns the Gram matrices at the style layers and those that the terms read, (1, C, C), or
    (styles, C, C) in the order of the style images. They are empty without style images. `pictures`
    are the scaled style images, if they were read already. Raises InputError for terms that need
    others."""
    if pictures is None:
        pictures = [_picture(path, config.style_size) for path in config.style_images]
    own = config.objective.style_layers
    layers = tuple(dict.fromkeys([*own, *(j for term in terms for j in term.style_grams)]))
    objective.check_terms(terms, layers if pictures else ())
    found = [style_targets(vgg_params, jnp.asarray(picture)[None], layers) for picture in pictures]
    return {k: jnp.concatenate([grams[k] for grams in found]) for k in layers} if found else {}


style_targets: Any = jax.jit(objective.style_targets, static_argnums=2)


def _picture(path: str, size: int) -> images.Float:
    style = images.load_style(path)
    if size:
        style = images.resize(style, size, "long")
    if min(style.shape[:2]) < 16:
        raise InputError(
            f"{path}: {style.shape[1]}x{style.shape[0]} is too small; give at least 16 per side"
            + (", or a larger --style-size (0: the picture's own)" if size else "")
        )
    return style


def _teacher(config: TrainConfig) -> Model | None:
    if config.teacher is None:
        return None
    model = load_model(config.teacher, kind="styles")
    if model.config.scale != 1:
        raise InputError(
            f"--teacher {config.teacher} enlarges pictures; give a net that keeps their size"
        )
    return model


def _hashes(config: TrainConfig, styles: Sequence[multistyle.Style]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if styles:
        found["styles"] = [dataclasses.asdict(style) for style in styles]
    elif config.style_images:
        found["style image"] = weights_file.sha256(config.style_images[0])
    named = (("init", config.init, _kind(config)), ("teacher", config.teacher, "styles"))
    for name, given, kind in named:
        if given is not None:
            _, path, style = multistyle.find(given, kind)
            weights_file.read_header(path)  # raises its own error for a wrong file
            found[name] = weights_file.sha256(path) + (f":{style}" if style else "")
    return found


def _kind(config: TrainConfig) -> str:
    """Returns the kind of net that the run trains, and so of the shipped names in `init`."""
    return "superres" if config.task == "superres" else "styles"


def _dtype(config: TrainConfig) -> Any:
    """Returns half precision. The weights that --only-new leaves alone stay exact, also in an
    imported float32 net."""
    if not config.only_new or config.init is None:
        return np.float16
    path = weights_file.resolve(config.init, "styles")
    kept = weights_file.read_weights(path)[0].values()
    return np.result_type(np.float16, *(value.dtype for value in kept))
